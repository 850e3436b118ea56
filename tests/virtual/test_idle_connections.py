"""What a connection costs that has nothing to say, and how one is noticed that is there no more (CN7, CN9)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import pytest

from liminal_mesh import NoConnection, Node
from liminal_mesh.cluster import (
    ClientPublish,
    Disconnect,
    Envelope,
    KeepAlive,
    OpenMailbox,
    Subscribe,
    Subscribed,
    WatchMembers,
)
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient
from ..nodes import until

MANY = 500
ITEM = Envelope(0, 0, 0, 0, 0, bytes(100_000))


@asynccontextmanager
async def idle(cluster: Cluster, count: int) -> AsyncIterator[list[RawClient]]:
    """Connect so many clients to the node ``a`` that say no more than who they are."""
    outside = cluster._network.host("127.0.0.99")
    async with AsyncExitStack() as stack:
        raws = []
        for _ in range(count):
            raw = await stack.enter_async_context(RawClient.to(cluster["a"].addresses["client"], outside))
            await raw.greet()
            raws.append(raw)
        yield raws


@contextmanager
def timers() -> Iterator[list[str]]:
    """Note what is set on the loop's clock."""
    loop, noted = asyncio.get_running_loop(), []
    call_at = loop.call_at

    def note(when: float, callback: object, *args: object, **options: object) -> asyncio.TimerHandle:
        noted.append(getattr(callback, "__qualname__", repr(callback)))
        return call_at(when, callback, *args, **options)  # type: ignore[arg-type]

    loop.call_at = note  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        del loop.call_at


MESH = ("ControlPlane.", "Mesh.")
"""Whose timers run in any case: other nodes may be there."""


async def test_cn7_idle_connections_wake_nobody() -> None:
    """500 of them set no timer at all, and wait for none, until something is due."""
    async with Cluster(nodes=1) as cluster, idle(cluster, MANY):
        await asyncio.sleep(6)  # the time for their greetings is over
        with timers() as noted:
            await asyncio.sleep(38)
        [mine] = [one for one in noted if not one.startswith(MESH)]
        assert "set_result" in mine, "but for the sleep of this test"
        assert len(cluster["a"].connections()) == MANY


async def test_cn7_idle_connections_cost_no_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs in half a minute runs without them, too; each has a subscription, a process and a watch."""
    runs = 0
    run = asyncio.Handle._run

    def counted(handle: asyncio.Handle) -> None:
        nonlocal runs
        runs += 1
        run(handle)

    monkeypatch.setattr(asyncio.Handle, "_run", counted)
    counts = []
    for many in (0, 200):
        async with Cluster(nodes=1) as cluster, idle(cluster, many) as raws:
            for raw in raws:
                raw.send(Subscribe(1, 1, "x", 8, "", 0), OpenMailbox(2, 2, 8, True), WatchMembers(3, 3))
            await asyncio.sleep(6)
            before = runs
            await asyncio.sleep(30)
            counts.append(runs - before)
    assert counts[0] == counts[1]


async def test_cn7_all_connections_that_live_are_looked_at_by_one_timer() -> None:
    """It rings no more for 500 than for one: a few times in a minute, at what it finds nothing."""
    rings = []
    async with Cluster(nodes=1) as cluster:
        for count in (1, MANY):
            async with idle(cluster, count) as raws:
                with timers() as noted:
                    for _ in range(20):
                        await asyncio.sleep(15.0)
                        for raw in raws:
                            raw.send(KeepAlive(1))
                rings.append(sum("Alarm" in one for one in noted))
                assert len(cluster["a"].connections()) == count
            await asyncio.sleep(1)
            assert cluster["a"].running.server._vigil.next_at == math.inf
        assert cluster["a"].running.server.refusals == {}
    assert rings[1] <= rings[0] + 2 <= 12


async def test_cn9_a_client_that_is_silent_for_45_s_is_gone() -> None:
    """What it had ends with it; one that only says that it lives stays."""
    async with Cluster(nodes=2) as cluster, cluster.client("a") as client, idle(cluster, 1) as [raw]:
        node = cluster["a"]
        raw.send(Subscribe(1, 1, "x", 8, "cluster", 5000))
        await raw.expect(Subscribed)
        [silent] = [one.pid for one in node.connections() if one.client == "raw"]
        began = cluster.now
        async with cluster["b"].monitor(silent) as monitor:
            down = await monitor.down(timeout=60)
        assert 45.0 <= cluster.now - began <= 51.0
        assert down.reason == "error: keepalive: nothing was heard for 45 s"
        said = await raw.ended()
        assert [one.code for one in said if isinstance(one, Disconnect)] == ["keepalive"]
        assert node.running.server.refusals == {"keepalive": 1}
        assert node.running.registry.groups(0) == {}
        await asyncio.sleep(300)
        assert [one.pid for one in node.connections()] == [client.pid]


async def test_cn9_a_client_behind_a_black_hole_is_found_from_both_ends() -> None:
    """The node drops it after 45 s; it says so itself after 30 s, and comes back when it can."""
    async with Cluster(nodes=1) as cluster, cluster.client("a") as client:
        node, former = cluster["a"], client.pid
        cluster.partition({"a"}, {"client"})
        await asyncio.sleep(60)
        assert node.connections() == ()
        with pytest.raises(NoConnection):
            await client.members()
        cluster.heal()
        await asyncio.sleep(60)
        assert client.pid != former
        assert [one.pid for one in node.connections()] == [client.pid]


async def flood(node: Node, raw: RawClient) -> None:
    """Let more wait for a client than its connection takes; it reads nothing."""
    raw.send(Subscribe(1, 1, "x", 1000, "", 0))
    await raw.expect(Subscribed)
    transport_of(raw).pause_reading()
    for _ in range(10):
        await node.publish("x", ITEM.body)


def transport_of(raw: RawClient) -> asyncio.Transport:
    """Return what it reads from."""
    transport = raw.writer.transport
    assert isinstance(transport, asyncio.Transport)
    return transport


async def test_a_client_that_does_not_read_is_cut_off_at_the_write_deadline() -> None:
    """However much it sends meanwhile; one that reads in time stays."""
    async with Cluster(nodes=1) as cluster, idle(cluster, 2) as [stuck, slow]:
        node = cluster["a"]
        [first, second] = [one.pid for one in node.connections()]
        await flood(node, slow)
        await asyncio.sleep(9)
        transport_of(slow).resume_reading()
        reading = asyncio.create_task(slow.ended())
        await asyncio.sleep(0.5)
        await flood(node, stuck)
        began = cluster.now
        for _ in range(9):
            await asyncio.sleep(1)
            stuck.send(KeepAlive(1), ClientPublish(1, 1, "y", "", 0, [ITEM]))
        assert [one.pid for one in node.connections()] == [first, second]
        await until(node, lambda: len(node.connections()) == 1)
        assert cluster.now - began == pytest.approx(10.0, abs=0.2)
        assert node.running.server.refusals == {"write-deadline": 1}
        assert [one.pid for one in node.connections()] == [second]
        reading.cancel()
