"""Clients that ask for more than the limits allow: a typed error with the name of the limit, nothing for the others."""

from __future__ import annotations

import pytest

from liminal_mesh.node import Gap, NoConnection, connect
from liminal_mesh.node.errors import LimitExceeded

from ...nodes import until
from .clients import served, url

pytestmark = pytest.mark.live


async def test_options_count_against_the_bytes_of_an_inbox_and_have_a_limit_of_their_own() -> None:
    """A client whose messages are nothing but headers fills no memory."""
    headers = {"padding": "x" * 4000}
    async with served(inbox_bytes=100_000, envelope=5000) as (a, client, _), a.subscribe("m.x") as some:
        for _ in range(100):
            await client.publish("m.x", b"", headers=headers)
        gap = await anext(some)
        assert isinstance(gap, Gap)
        assert gap.count > 70
        with pytest.raises(LimitExceeded, match=r"limits\.envelope is 5000"):
            await client.publish("m.x", b"", headers={"padding": "x" * 6000})


async def test_connections_beyond_the_limit_are_told_which_one_it_is() -> None:
    """CN8: and get in when another has gone."""
    async with served(connections=2) as (a, _, _):
        async with connect(url(a)):
            with pytest.raises(NoConnection, match=r"limits\.connections is 2"):
                await connect(url(a)).__aenter__()
            assert a.running.server.refusals == {"connections": 1}
        await until(a, lambda: len(a.running.server.connections) == 1)
        async with connect(url(a)):
            pass


async def test_connections_of_one_address_beyond_the_limit_are_told_so() -> None:
    """CN8: the limit holds for loopback when it is set."""
    async with served(connections_per_ip=2) as (a, _, _), connect(url(a)):
        with pytest.raises(NoConnection, match=r"limits\.connections_per_ip is 2"):
            await connect(url(a)).__aenter__()
        assert a.running.server.refusals == {"connections_per_ip": 1}


async def test_subscriptions_beyond_the_limit_are_a_typed_error() -> None:
    """The others of the connection stand."""
    async with served(subscriptions_per_connection=2) as (a, client, _):
        async with client.subscribe("m.one"):
            with pytest.raises(LimitExceeded) as raised:
                await client.subscribe("m.two").__aenter__()
            assert (raised.value.name, raised.value.limit) == ("subscriptions_per_connection", 2)
        async with client.subscribe("m.two"):
            assert a.running.registry.groups(0).keys() == {"ticks", "m.two"}
