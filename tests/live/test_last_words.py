"""What a client is told before its connection ends, and what it had been promised by then: byte by byte."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from liminal_mesh.cluster import (
    ClientPublish,
    Confirm,
    Credit,
    Deliver,
    Disconnect,
    Envelope,
    KeepAlive,
    KeepAliveReply,
    Pid,
    Subscribe,
    Subscribed,
)
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.node.node import Node

from ..nodes import DEADLINE_S, node_config
from .hostile.clients import goodbye, greeted, served
from .raw_peer import RawClient, header

pytestmark = pytest.mark.live

ITEM = Envelope(0, 0, 0, 0, 0, b"x")
CONFIRM = 1
LEAVING = Disconnect("leave", "the client closed")


def only_client(node: Node, name: str = "raw") -> Pid:
    """Return the connection of the one client that calls itself so."""
    [pid] = [one.pid for one in node.connections() if one.client == name]
    return pid


async def test_cn4_a_connection_that_is_closed_by_force_gets_one_disconnect_and_nothing_after_it() -> None:
    """Whatever waits for it."""
    async with served() as (a, client, _), greeted(a) as raw:
        raw.send(Subscribe(1, 1, "ticks", 1, "", 0))
        await raw.expect(Subscribed)
        for number in range(5):
            await client.publish("ticks", number)
        closing = asyncio.create_task(a.disconnect(only_client(a), "move on"))
        await client.publish("ticks", 5)
        rest = await raw.ended()

        assert await closing
        assert [frame for frame in rest if isinstance(frame, Disconnect)] == [Disconnect("closed", "move on")]
        assert isinstance(rest[-1], Disconnect)
        assert [one.pid for one in a.connections()] == [client.pid]


async def test_cn4_a_connection_that_does_not_read_is_broken_off() -> None:
    """Its process and its subscriptions are over at once, the socket soon."""
    async with served() as (a, client, ticks), greeted(a) as raw:
        raw.send(Subscribe(1, 1, "m.much", 100_000, "", 0))
        await raw.expect(Subscribed)
        transport = raw.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        for _ in range(40):
            await client.publish("m.much", bytes(500_000))
        pid = only_client(a)
        async with a.monitor(pid) as monitor, asyncio.timeout(DEADLINE_S):
            assert await a.disconnect(pid, "it is stuck")
            assert (await monitor.down()).reason == "error: disconnected: it is stuck"
        assert a.running.registry.groups(0).keys() == {"ticks"}
        assert ticks.statistics.waiting == 0


PIPELINES: dict[str, tuple[list[Frame], list[type[Frame]]]] = {
    "publish": ([ClientPublish(1, CONFIRM, "ticks", "", 0, [ITEM] * 3), LEAVING], [Confirm]),
    "ping": ([KeepAlive(7), LEAVING], [KeepAliveReply]),
    "ping, publish": (
        [KeepAlive(7), ClientPublish(1, CONFIRM, "ticks", "", 0, [ITEM]), LEAVING],
        [KeepAliveReply, Confirm],
    ),
    "publish, ping": (
        [ClientPublish(1, CONFIRM, "ticks", "", 0, [ITEM]), KeepAlive(7), LEAVING],
        [KeepAliveReply, Confirm],
    ),
}


@pytest.mark.parametrize("what", PIPELINES)
async def test_cn6_what_was_sent_before_a_disconnect_is_done_and_answered(what: str) -> None:
    """In one piece, so that the node sees the end together with what came before it."""
    frames, answers = PIPELINES[what]
    items = sum(len(frame.items) for frame in frames if isinstance(frame, ClientPublish))
    async with served() as (a, _, ticks), greeted(a) as raw:
        raw.send(*frames, ClientPublish(9, CONFIRM, "ticks", "", 0, [ITEM]))
        assert [type(frame) for frame in await raw.ended()] == answers
        for _ in range(items):
            await anext(ticks)
        assert a.running.hub.exchange.statistics.published == items


async def test_cn6_what_was_accepted_is_confirmed_before_a_refusal() -> None:
    """A good frame, and behind it in one piece what ends the connection."""
    async with served() as (a, _, ticks), greeted(a) as raw:
        raw.send_bytes(raw.codec.encode(ClientPublish(1, CONFIRM, "ticks", "", 0, [ITEM] * 2)) + header(0))
        assert [type(frame) for frame in await raw.ended()] == [Confirm, Disconnect]
        for _ in range(2):
            await anext(ticks)
        assert a.running.server.refusals == {"protocol": 1}


async def test_cn4_nothing_follows_the_last_word() -> None:
    """Whatever still comes about for this client in the same turn."""
    async with served() as (a, _, _), greeted(a) as raw:
        [connection] = [one for one in a.running.server.connections.values() if one.client == "raw"]
        connection.refuse("version", "it is too old")
        connection.send(KeepAliveReply(1))
        connection.close("draining", "it leaves", "shutdown")
        assert await raw.ended() == [Disconnect("version", "it is too old")]


@pytest.mark.parametrize("turns", range(6))
async def test_hc3_who_comes_as_the_node_is_told_to_stop_keeps_nobody_from_being_seen_off(turns: int) -> None:
    """Whether it is being accepted in that moment or was just before: it is told at once, and the others in their time.

    Which of these it is depends on how many turns of the loop its connection is old.
    """
    async with Node(node_config("a")) as a, greeted(a) as raw:
        raw.send(Subscribe(1, 1, "ticks", 1, "", 0))
        await raw.expect(Subscribed)
        for number in range(2):
            await a.publish("ticks", number)
        coming = asyncio.create_task(_come(a))
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping = asyncio.create_task(a.stop("maintenance"))
        assert await coming in ([], [Disconnect("draining", "maintenance")])

        await raw.expect(Deliver)
        raw.send(Credit(1, 1))
        rest = [await raw.receive(), await raw.receive()]
        assert [type(frame) for frame in rest] == [Deliver, Disconnect]
        await raw.close()
        assert await stopping


async def _come(node: Node) -> list[Frame]:
    """Connect, and return what the node says until it closes; nothing if it never accepts."""
    with contextlib.suppress(ConnectionError):
        async with RawClient.to(node.addresses["client"]) as raw:
            return await raw.ended()
    return []


async def test_cn8_a_refusal_is_the_last_word(caplog: pytest.LogCaptureFixture) -> None:
    """And counted once, whatever else the client sends."""
    async with served() as (a, _, _), RawClient.to(a.addresses["client"]) as raw:
        raw.send(KeepAlive(1), KeepAlive(2), LEAVING)
        assert (await goodbye(raw)).code == "protocol"
        assert a.running.server.refusals == {"protocol": 1}
        assert caplog.text.count("client_refused") == 1
