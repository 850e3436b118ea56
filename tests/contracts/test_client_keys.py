"""Keys as any client may send them, not only ours: in publishes that are confirmed in runs, to groups, and bad ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, GROUP_SCOPE, Envelope, OptionKey, ProtocolError
from liminal_mesh.node.client import Client
from liminal_mesh.node.client_sinks import CONFIRM
from liminal_mesh.node.errors import KeyReused, OutcomeUnknown
from liminal_mesh.node.node import Node

from ..nodes import DEADLINE_S, mesh
from .conftest import channels, lone_node
from .holders import holder, payloads
from .test_bus_mesh import deafen, hear


@dataclass(eq=False)
class Heard:
    """Notes the end of each publish."""

    count: int
    undelivered: int = 0
    confirmed: int = 0
    errors: list[Exception] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def acknowledged(self, count: int, undelivered: int) -> None:
        """Some were confirmed."""
        self.confirmed += count
        self.undelivered += undelivered
        self._check()

    def failed(self, error: Exception, count: int) -> None:
        """Some failed."""
        self.errors += [error] * count
        self._check()

    def _check(self) -> None:
        if self.confirmed + len(self.errors) == self.count:
            self.done.set()


def envelope(body: bytes, key: object = None) -> Envelope:
    """Return an envelope as a client sends it, with anything for a key."""
    options = None if key is None else {OptionKey.KEY.value: msgspec.Raw(msgspec.msgpack.encode(key))}
    return Envelope(0, 0, 0, 0, 0, body, options)


async def sent(
    client: Client, *envelopes: Envelope, scope: int = CHANNEL_SCOPE, name: str = "ticks", patience_ms: int = 5000
) -> Heard:
    """Send publishes as one batch, to be confirmed; return what was heard of them."""
    heard = Heard(len(envelopes))
    client.queue((scope, name, CONFIRM, "", patience_ms), list(envelopes), heard)
    async with asyncio.timeout(DEADLINE_S):
        await heard.done.wait()
    return heard


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A lone node."""
    async with lone_node() as node:
        yield node


@pytest.fixture
async def client(node: Node) -> AsyncIterator[Client]:
    """A client of it."""
    async with holder("client", node) as client:
        assert isinstance(client, Client)
        yield client


async def test_confirmed_publishes_with_keys_are_delivered_once(node: Node, client: Client) -> None:
    """A duplicate is confirmed as taken by nobody; another body under its key is refused alone."""
    async with node.subscribe("ticks") as subscription:
        heard = await sent(
            client, envelope(b"1", "a"), envelope(b"2"), envelope(b"1", "a"), envelope(b"x", "a"), envelope(b"3", "b")
        )

        assert (heard.confirmed, heard.undelivered) == (4, 1)
        assert [type(error) for error in heard.errors] == [KeyReused]
        assert await payloads(subscription, 3) == [b"1", b"2", b"3"]


async def test_a_confirmed_publish_with_a_key_waits_for_receipts_as_any() -> None:
    """It is confirmed when they are in, and unknown when they are not."""
    async with mesh(2, channels=channels()) as (a, b), holder("client", a) as client:
        assert isinstance(client, Client)
        async with b.subscribe("ticks", wait="cluster") as far:
            heard = await sent(client, envelope(b"1", "a"))
            assert (heard.confirmed, heard.undelivered) == (1, 0)
            deafen(b, "a")
            heard = await sent(client, envelope(b"2", "b"), patience_ms=100)
            assert [type(error) for error in heard.errors] == [OutcomeUnknown]
            hear(b, "a")
            heard = await sent(client, envelope(b"2", "b"))
            assert (heard.confirmed, heard.undelivered) == (1, 1)
            assert await payloads(far, 2) == [b"1", b"2"]


@pytest.mark.parametrize("key", [7, "", b"k", ["k"]])
async def test_a_key_that_is_none_is_refused_and_the_connection_lives(node: Node, client: Client, key: object) -> None:
    """Alone: the others of its batch are delivered."""
    async with node.subscribe("ticks") as subscription:
        heard = await sent(client, envelope(b"1", "a"), envelope(b"2", key), envelope(b"3"))

        assert [type(error) for error in heard.errors] == [ProtocolError]
        assert await payloads(subscription, 2) == [b"1", b"3"]
        assert (await client.publish("ticks", b"4")).delivered


async def test_a_key_says_nothing_to_a_group(node: Node, client: Client) -> None:
    """Keys belong to channels; a channel and a group of one name never meet."""
    await node.join("ticks")
    async with node.subscribe("ticks") as subscription:
        for body in (b"1", b"1", b"2"):
            heard = await sent(client, envelope(body, "a"), scope=GROUP_SCOPE)
            assert not heard.errors
        await sent(client, envelope(b"3", "a"))

        assert await payloads(node.mailbox, 3) == [b"1", b"1", b"2"]
        assert await payloads(subscription, 1) == [b"3"]
