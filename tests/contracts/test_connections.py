"""A node's clients, as the node sees them, and what becomes of one that it closes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from liminal_mesh.cluster import Pid
from liminal_mesh.node.client import Client
from liminal_mesh.node.errors import OutcomeUnknown
from liminal_mesh.node.node import Node
from liminal_mesh.node.values import ClientConnection

from ..nodes import DEADLINE_S, mesh
from .holders import eventually, holder, message, stay


class Two(NamedTuple):
    """A node, and two clients of it."""

    node: Node
    one: Client
    other: Client

    def seen(self) -> dict[Pid, ClientConnection]:
        """Return what the node shows."""
        return {connection.pid: connection for connection in self.node.connections()}


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    """A node with two clients."""
    async with mesh(1) as (node,), holder("client", node) as one, holder("client", node, "other") as other:
        assert isinstance(one, Client)
        assert isinstance(other, Client)
        yield Two(node, one, other)


async def test_cn1_the_clients_of_a_node_are_listed_with_what_they_have(two: Two) -> None:
    """Each by the process that it is, in the order in which they came; gone when they are."""
    process = await two.one.spawn(stay)
    before = time.time()
    async with two.one.subscribe("ticks"), two.one.monitor(two.other.pid), two.one.watch_members() as watch:
        await anext(watch)
        first, second = two.node.connections()

        assert (first.pid, first.client, first.state) == (two.one.pid, "tester", "open")
        assert (first.subscriptions, first.processes, first.watches) == (1, 1, 2)
        assert (second.pid, second.client) == (two.other.pid, "other")
        assert (second.subscriptions, second.processes, second.watches) == (0, 0, 0)
        assert first.address.startswith("127.0.0.1:")
        assert first.address != second.address
        assert first.since <= second.since <= before < first.since + 60
        assert first.bytes_in > second.bytes_in > 0 < first.bytes_out
        assert first.queued_bytes == 0
    process.exit()
    await two.other.close()
    await eventually(lambda: list(two.seen()) == [two.one.pid])


async def test_cn4_a_client_that_is_closed_hears_why_and_comes_back(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its requests name the reason, whoever monitors it does, and nobody else notices."""
    former, other = two.one.pid, two.other.pid
    async with (
        two.one.subscribe("ticks", wait="cluster") as ticks,
        two.node.monitor(former) as monitor,
        two.node.monitor(ticks.id) as subscription,
    ):
        asked = asyncio.Event()

        async def ready(_timeout_s: float) -> None:
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(two.node.running.hub.interests, "ready", ready)
        waiting = asyncio.create_task(two.one.ready(DEADLINE_S))
        await asked.wait()

        assert await two.node.disconnect(former, "it is in the way")
        assert list(two.seen()) == [other]
        assert (await monitor.down(DEADLINE_S)).reason == "error: disconnected: it is in the way"
        assert (await subscription.down(DEADLINE_S)).reason == "error: disconnected: it is in the way"
        with pytest.raises(OutcomeUnknown, match="the node said: it is in the way"):
            await waiting
        await eventually(lambda: two.one.pid != former)
        await eventually(lambda: [one.subscriptions for one in two.node.connections()] == [0, 1])
        await two.node.publish("ticks", 1)
        assert (await message(ticks)).payload == 1
        assert two.other.pid == other


async def test_cn4_nobody_is_closed_who_is_not_there(two: Two) -> None:
    """Another process of the node, a connection that is over, one of another node."""
    former = two.one.pid
    assert await two.node.disconnect(former)
    for pid in (former, two.node.pid, Pid("b", 1, two.other.pid.number)):
        assert not await two.node.disconnect(pid)
    assert two.other.pid in two.seen()


async def test_cn4_all_clients_can_be_closed_at_once(two: Two) -> None:
    """Also when there are none."""
    assert await two.node.disconnect_all("make room") == 2
    assert two.node.connections() == ()
    await eventually(lambda: len(two.seen()) == 2)
    for client in (two.one, two.other):
        await client.close()
    await eventually(lambda: not two.seen())
    assert await two.node.disconnect_all("make room") == 0
    (event,) = [one for one in two.node.running.hub.events if one["kind"] == "clients_disconnected"]
    assert (event["count"], len(event["clients"]), event["reason"]) == (2, 2, "make room")
