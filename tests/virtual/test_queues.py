"""Groups of subscriptions on three nodes, in virtual time: each message goes to one member, whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from liminal_mesh.cluster import QUEUE_SCOPE, MemberChanged
from liminal_mesh.cluster.membership import MeshMembership
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.errors import Busy
from liminal_mesh.node.message import Message
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Gap
from liminal_mesh.testing import Cluster

CHANNEL = "work"


class Worker:
    """A member of a group that writes down what it gets."""

    def __init__(
        self, bus: Bus, channel: str = CHANNEL, group: str = "g", pause: float = 0.0, credit: int = 256
    ) -> None:
        self.got: list[int] = []
        self.gaps: list[Gap] = []
        self._pause = pause
        self._subscription = bus.subscribe(channel, group=group, max_in_flight=credit, wait="cluster")
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> Worker:
        """Join the group, and take what comes."""
        await self._subscription.__aenter__()
        self._task = asyncio.create_task(self._read(self._subscription))
        return self

    async def leave(self) -> None:
        """Leave the group, and take what waits."""
        await self._subscription.__aexit__(None, None, None)
        assert self._task is not None
        await self._task

    async def _read(self, subscription: Subscription) -> None:
        async for item in subscription:
            if isinstance(item, Message):
                self.got.append(item.payload)
            else:
                self.gaps.append(item)
            if self._pause:
                await asyncio.sleep(self._pause)


def taken(workers: Iterable[Worker]) -> Counter[int]:
    """Return how often each message was taken."""
    return Counter(number for worker in workers for number in worker.got)


async def known(cluster: Cluster, members: int, timeout: float = 30.0) -> None:
    """Wait until every node knows of so many members of groups."""
    for node in cluster.nodes.values():
        registry = node.running.registry
        deadline = asyncio.get_running_loop().time() + timeout
        assert await node.running.hub.until(
            lambda: sum(map(len, registry.groups(QUEUE_SCOPE).values())) == members,  # noqa: B023 - awaited here
            deadline,
        )


async def test_each_message_has_one_taker_while_members_come_and_go() -> None:
    """Published at all nodes at once, in every way; members leave with messages under way."""
    async with Cluster(nodes=3) as cluster:
        everybody = [await Worker(cluster["a"]).begin()]

        async def publish(name: str, first: int) -> None:
            async with cluster[name].publisher(CHANNEL, ack="nodes", window=64) as publisher:
                for number in range(first, first + 2000, 2):
                    await publisher.send(number)
                    if number % 10 == 0:
                        assert (await cluster[name].publish(CHANNEL, number + 1, ack="nodes")).delivered
                    else:
                        cluster[name].publish_nowait(CHANNEL, number + 1)
                    if number % 50 == 0:
                        await asyncio.sleep(0.01)

        async def come_and_go(name: str) -> None:
            for _ in range(20):
                worker = await Worker(cluster[name], "*").begin()
                everybody.append(worker)
                await asyncio.sleep(0.013)
                await worker.leave()

        await asyncio.gather(
            *(publish(name, first) for name, first in (("a", 0), ("b", 10_000), ("c", 20_000))),
            *map(come_and_go, "bc"),
        )
        await asyncio.sleep(5)

        counts = taken(everybody)
        assert sorted(counts) == sorted({*range(2000), *range(10_000, 12_000), *range(20_000, 22_000)})
        assert set(counts.values()) == {1}
        passed_on = sum(node.running.hub.exchange.statistics.passed_on for node in cluster.nodes.values())
        assert passed_on > 0, "nobody left with messages under way"


async def test_a_member_that_leaves_with_messages_under_way_leaves_them_to_the_next_node() -> None:
    """R18: its node says so for each, and the publisher hears of the one that took it."""
    async with Cluster(nodes=3) as cluster:
        leaver, heir = await Worker(cluster["b"]).begin(), await Worker(cluster["c"]).begin()
        await known(cluster, 2)
        publishes = [asyncio.create_task(cluster["a"].publish(CHANNEL, number, ack="nodes")) for number in range(10)]
        await asyncio.sleep(0)  # all are on their way
        await leaver.leave()
        outcomes = await asyncio.gather(*publishes)

        assert leaver.got == []
        assert sorted(heir.got) == list(range(10))
        assert {(one.delivered, one.local, tuple(one.nodes.items())) for one in outcomes} == {
            (True, 0, (("c", "delivered"),))
        }


@pytest.mark.parametrize("how", ["kill", "partition", "stop"])
async def test_no_message_is_taken_twice_when_a_node_goes(how: str) -> None:
    """What was under way to it may be lost, and then reads unknown; all else has one taker."""
    async with Cluster(nodes=3) as cluster:
        workers = [await Worker(cluster[name]).begin() for name in "abc"]
        await known(cluster, 3)
        outcomes = {}

        async def publish() -> None:
            for number in range(600):
                outcomes[number] = asyncio.create_task(cluster["a"].publish(CHANNEL, number, ack="nodes", timeout=20.0))
                await asyncio.sleep(0.01)

        publishing = asyncio.create_task(publish())
        await asyncio.sleep(2)
        if how == "kill":
            await cluster.kill("c")
        elif how == "stop":
            await cluster.stop("c")
        else:
            cluster.partition({"c"}, {"a", "b"})
        await publishing
        told = {number: await task for number, task in outcomes.items()}
        if how == "partition":
            cluster.heal()
            await cluster.linked()
        await asyncio.sleep(5)

        counts = taken(workers)
        assert set(counts.values()) == {1}
        unknown = {number for number, one in told.items() if "unknown" in one.nodes.values()}
        assert set(range(600)) - set(counts) <= unknown
        assert all(one.delivered for number, one in told.items() if number not in unknown)
        if how == "stop":
            assert not unknown, "whoever stops has left before"
        else:
            assert 0 < len(unknown) < 400
        late = [number for number in range(400, 600) if number not in unknown]
        assert {number for worker in workers[:2] for number in worker.got} >= set(late[-50:])


async def test_a_partition_leaves_both_sides_with_the_members_that_they_see() -> None:
    """And together again, they share again."""
    async with Cluster(nodes=3) as cluster:
        workers = [await Worker(cluster[name]).begin() for name in "bc"]
        await known(cluster, 2)
        cluster.partition({"a", "b"}, {"c"})
        await asyncio.sleep(10)
        for number in range(10):
            assert (await cluster["a"].publish(CHANNEL, number, ack="nodes")).delivered
            assert (await cluster["c"].publish(CHANNEL, 100 + number, ack="nodes")).local == 1
        await asyncio.sleep(0)
        assert workers[0].got == list(range(10))
        assert workers[1].got == list(range(100, 110))
        cluster.heal()
        await cluster.linked()
        await known(cluster, 2)
        for number in range(200, 210):
            assert (await cluster["a"].publish(CHANNEL, number, ack="nodes")).delivered
        assert [len(worker.got) for worker in workers] == [15, 15]


async def test_a_client_that_is_a_member_leaves_with_its_connection_and_comes_back() -> None:
    """What is published meanwhile is for the others; numbers that it never got are no gaps."""
    async with Cluster(nodes=3) as cluster:
        here = await Worker(cluster["b"]).begin()
        async with cluster.client("c") as client:
            there = await Worker(client).begin()
            await known(cluster, 2)
            for number in range(10):
                await cluster["a"].publish(CHANNEL, number, ack="nodes")
            cluster.partition("client", {"a", "b", "c"})
            await known(cluster, 1, timeout=120.0)  # until the node gives the client up
            for number in range(10, 20):
                await cluster["a"].publish(CHANNEL, number, ack="nodes")
            assert here.got[5:] == list(range(10, 20))
            cluster.heal()
            await known(cluster, 2)
            for number in range(20, 40):
                await cluster["a"].publish(CHANNEL, number, ack="nodes")
            await asyncio.sleep(1)

            assert set(taken([here, there]).values()) == {1}
            assert set(taken([here, there])) == set(range(40))
            assert [number for number in there.got if number >= 20] != []
            assert there.gaps == here.gaps == []


async def test_a_worker_with_one_long_job_does_not_keep_others_waiting() -> None:
    """While another has credit; the outcome names the node that took it, not the one that was busy."""
    async with Cluster(nodes=3) as cluster:
        stuck = await Worker(cluster["b"], pause=1000.0, credit=1).begin()
        quick = await Worker(cluster["c"], credit=1).begin()
        await known(cluster, 2)
        nodes = Counter[str]()
        for number in range(100):
            outcome = await cluster["a"].publish(CHANNEL, number, ack="nodes")
            nodes.update(outcome.nodes.keys())
            await asyncio.sleep(0.01)

        assert len(stuck.got) <= 1
        assert len(quick.got) >= 98
        assert nodes["b"] <= 2, "one in hand, and one in front of it"


async def test_members_on_all_nodes_get_even_parts_of_a_window_at_any_node() -> None:
    """Weighted by how many members a node has, and each gets its part in order."""
    async with Cluster(nodes=3) as cluster:
        workers = [await Worker(cluster[name], credit=4096).begin() for name in "abbc"]
        await known(cluster, 4)
        async with cluster["c"].publisher(CHANNEL, ack="nodes") as publisher:
            for number in range(8000):
                await publisher.send(number)
        await asyncio.sleep(1)

        assert taken(workers) == Counter(range(8000))
        assert all(abs(len(worker.got) - 2000) < 50 for worker in workers)
        assert all(worker.got == sorted(worker.got) for worker in workers)


@pytest.mark.parametrize("how", ["leaves", "is closed", "is lost"])
async def test_what_a_client_was_never_sent_is_for_the_other_members_at_its_node(how: str) -> None:
    """At most once: what was sent to it stays its own; no other node gets what came from one."""
    async with Cluster(nodes=2) as cluster, cluster.client("b", name="one") as client:
        first = client.subscribe(CHANNEL, group="g", max_in_flight=4, wait="cluster")
        await first.__aenter__()
        for number in range(20):
            assert (await cluster["a"].publish(CHANNEL, number, ack="nodes")).delivered
        heir = await Worker(cluster["b"]).begin()
        await known(cluster, 2)
        if how == "leaves":
            await first.__aexit__(None, None, None)
        elif how == "is closed":
            await client.close()
        else:
            cluster.partition("one", {"a", "b"})
        await known(cluster, 1, timeout=120.0)
        await asyncio.sleep(1)

        taken_first = [item.payload async for item in first if isinstance(item, Message)] if how != "is lost" else []
        assert heir.got == list(range(4, 20))
        assert set(taken_first) <= {0, 1, 2, 3}
        assert heir.gaps == []


async def test_what_nobody_inherits_is_given_up_and_counted() -> None:
    """The last member of a group leaves with messages that it was never sent."""
    async with Cluster(nodes=1) as cluster, cluster.client("a") as client:
        async with client.subscribe(CHANNEL, group="g", max_in_flight=4):
            for number in range(20):
                await cluster["a"].publish(CHANNEL, number)
            await client.members()
        await known(cluster, 0)
        assert cluster["a"].running.hub.exchange.statistics.untaken == 16


async def test_a_node_that_hangs_is_passed_over_until_it_goes_on() -> None:
    """A member there would get its messages late; those at other nodes get all meanwhile."""
    async with Cluster(nodes=3, channels=[CHANNEL]) as cluster:
        workers = {name: await Worker(cluster[name]).begin() for name in "bc"}
        await known(cluster, 2)
        peering = cluster["a"].running.peering
        assert peering is not None
        membership = peering.membership
        assert isinstance(membership, MeshMembership)

        def says(stalled: bool) -> None:
            shown = membership.get("b")
            assert shown is not None
            membership.gossiped(MemberChanged(shown, replace(shown, stalled=stalled)))

        says(stalled=True)
        for number in range(20):
            await cluster["a"].publish(CHANNEL, number, ack="nodes")
        assert (workers["b"].got, len(workers["c"].got)) == ([], 20)

        says(stalled=False)
        for number in range(20, 40):
            await cluster["a"].publish(CHANNEL, number, ack="nodes")
        assert set(taken(workers.values())) == set(range(40))
        assert workers["b"].got


SMALL_LANES = {"limits": {"channel_lane_bytes": 64 << 10, "max_frame": 64 << 10}}


async def test_a_peer_that_answers_nothing_holds_nobody_up_for_long() -> None:
    """ME8: neither who publishes for a group that is there alone, nor what else its client does."""
    async with (
        Cluster(nodes=2, config=SMALL_LANES) as cluster,
        cluster["b"].subscribe(CHANNEL, group="g", wait="cluster"),
        cluster.client("a") as client,
    ):
        loop, body = asyncio.get_running_loop(), b"x" * 5000
        mesh = cluster["b"].running.hub.mesh
        assert mesh is not None
        mesh.links["a"].wire.pause_reading()
        end, worst = loop.time() + 3.5, 0.0

        async def flood(bus: Bus) -> None:
            while loop.time() < end:
                start = loop.time()
                try:
                    bus.publish_nowait(CHANNEL, body)
                except Busy:
                    await bus.writable(CHANNEL)
                    note(start)
                await asyncio.sleep(0.001)

        async def probe() -> None:
            while loop.time() < end:
                start = loop.time()
                await client.publish("other", b"", timeout=30.0)
                note(start)
                await asyncio.sleep(0.05)

        def note(start: float) -> None:
            nonlocal worst
            worst = max(worst, loop.time() - start)

        await asyncio.gather(flood(client), flood(cluster["a"]), probe())
        assert mesh.links, "it is not given up yet"
        assert 0.4 < worst < 1.2


async def test_room_in_one_lane_is_none_in_another() -> None:
    """A client that publishes into a lane that is crowded is read again when that one has room."""
    async with (
        Cluster(nodes=2, config=SMALL_LANES) as cluster,
        cluster["b"].subscribe(CHANNEL, group="g", wait="cluster") as far,
        cluster.client("a") as client,
    ):
        hub, mesh = cluster["a"].running.hub, cluster["b"].running.hub.mesh
        assert mesh is not None
        mesh.links["a"].wire.pause_reading()
        while not hub.exchange.resolve(CHANNEL).crowded:
            client.publish_nowait(CHANNEL, b"x" * 5000)
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(client.publish("other", b"", timeout=30.0))
        for _ in range(20):
            hub.lane_room()
            await asyncio.sleep(0.005)
        assert not waiting.done()

        mesh.links["a"].wire.resume_reading()
        await waiting
        assert (await client.publish(CHANNEL, b"last", ack="nodes")).delivered
        assert hub.exchange.statistics.untaken == 0
        assert far.statistics.waiting > 20
