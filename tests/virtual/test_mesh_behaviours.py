"""The mesh's behaviours, line by line (ME1 to ME6, ME8), in virtual time. ME7 is in tests/live/hostile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from liminal_mesh.node import status
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Gap, GroupSnapshot, Joined, Left
from liminal_mesh.testing import Cluster

CHANNEL = "x"


async def names(node: Node, scope: str = "channel") -> list[str]:
    """Return the nodes that have members in the group of the channel, as a node sees it."""
    async with node.watch_group(CHANNEL, scope) as watch:
        snapshot = await anext(watch)
    assert isinstance(snapshot, GroupSnapshot)
    return [pid.node for pid in snapshot.members]


async def payload(subscription: Subscription) -> object:
    """Return the payload of the next item, which is a message."""
    item = await anext(subscription)
    assert isinstance(item, Message)
    return item.payload


def kinds(node: Node, names: Iterable[str]) -> list[dict[str, object]]:
    """Return a node's events of some kinds."""
    return [event for event in node.running.hub.events if event["kind"] in set(names)]


async def test_me1_subscribing_joins_the_channels_group_on_every_node_and_every_end_leaves_it() -> None:
    """By event: a watcher at another node hears of each."""
    async with Cluster(nodes=3) as cluster, cluster["c"].watch_group(CHANNEL, "channel") as watch:
        assert await anext(watch) == GroupSnapshot(())
        async with cluster["a"].subscribe(CHANNEL) as left:
            assert await anext(watch) == Joined(left.id, "a")
        assert await anext(watch) == Left(left.id, "a", "leave")

        task = asyncio.create_task(_hold(cluster["b"]))
        joined = await anext(watch)
        assert isinstance(joined, Joined)
        task.cancel()
        assert await anext(watch) == Left(joined.pid, "b", "leave")

        dropped = [await cluster["b"].subscribe(CHANNEL).__aenter__()]
        joined = await anext(watch)
        dropped.clear()
        assert isinstance(joined, Joined)
        assert await anext(watch) == Left(joined.pid, "b", "leave")


async def _hold(node: Node) -> None:
    async with node.subscribe(CHANNEL) as subscription:
        await anext(subscription)


async def test_me1_a_clients_subscription_leaves_when_its_connection_dies() -> None:
    """However that comes about."""
    async with Cluster(nodes=2) as cluster, cluster["b"].watch_group(CHANNEL, "channel") as watch:
        assert await anext(watch) == GroupSnapshot(())
        async with cluster.client("a") as client:
            await client.subscribe(CHANNEL).__aenter__()
            joined = await anext(watch)
            assert isinstance(joined, Joined)
            cluster.partition("client", {"a", "b"})
            assert await anext(watch) == Left(joined.pid, "a", "leave")


async def test_me2_a_newcomer_is_backfilled_with_all_of_it_before_it_counts_as_synced() -> None:
    """Whoever was there before it is seen by it in one piece; until then it sees nobody, never a part."""
    async with Cluster(nodes=3) as cluster:
        await cluster.kill("c")
        for _ in range(2000):
            await cluster["a"].join("workers", (await cluster["a"].spawn(_idle)).pid)
        newcomer = await cluster.restart("c")
        async with newcomer.watch_group("workers") as watch:
            first = await anext(watch)
            assert isinstance(first, GroupSnapshot)
            seen = set(first.members)
            assert len(seen) in {0, 2000}
            while len(seen) < 2000:
                event = await anext(watch)
                seen |= set(event.members) if isinstance(event, GroupSnapshot) else {event.pid}
                assert len(await newcomer.group_members("workers")) == 2000, "it was seen in part"
        assert await newcomer.group_members("workers") == await cluster["a"].group_members("workers")


async def _idle(me: object) -> None:
    await asyncio.get_running_loop().create_future()


async def test_me3_a_publish_on_one_node_reaches_subscribers_on_all_others_once_each() -> None:
    """In order, with the same envelope."""
    async with (
        Cluster(nodes=3) as cluster,
        cluster["a"].subscribe(CHANNEL, wait="cluster") as here,
        cluster["b"].subscribe(CHANNEL, wait="cluster") as one,
        cluster["b"].subscribe(">", wait="cluster") as other,
        cluster["c"].subscribe(CHANNEL, wait="cluster") as there,
    ):
        for number in range(100):
            await cluster["a"].publish(CHANNEL, number)
        await cluster["a"].publish(CHANNEL, "end", ack="nodes")
        for subscription in (here, one, other, there):
            assert [await payload(subscription) for _ in range(101)] == [*range(100), "end"]
            assert subscription.statistics.waiting == 0


@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
async def test_me4_a_departed_peers_members_are_gone_everywhere_and_survivors_go_on(how: str) -> None:
    """One event for each purge: node, reason, and how many members went; who stops has left before."""
    async with (
        Cluster(nodes=3) as cluster,
        cluster["a"].subscribe(CHANNEL, wait="cluster") as survivor,
    ):
        held = [await cluster["c"].subscribe(CHANNEL, wait="cluster").__aenter__() for _ in range(3)]
        if how == "killed":
            await cluster.kill("c")
        elif how == "stopped":
            await cluster.stop("c")
        else:
            cluster.partition("c", {"a", "b"})
        await asyncio.sleep(8)

        for name in "ab":
            assert await names(cluster[name]) == ["a"]
            purged = kinds(cluster[name], ["purged"])
            assert [(one["node"], one["members"]) for one in purged] == ([] if how == "stopped" else [("c", len(held))])
            assert all(one["reason"] for one in purged)
        await cluster["b"].publish(CHANNEL, "on")
        assert await payload(survivor) == "on"
        if how == "cut off":
            cluster.heal()
            await cluster.linked()
            assert await names(cluster["b"]) == ["a", "c", "c", "c"]


async def test_me4_a_late_frame_cannot_bring_back_who_departed() -> None:
    """What was held on the way arrives when the way is open again: of a run that is over, nothing comes of it."""
    async with Cluster(nodes=3) as cluster:
        former = await cluster["c"].subscribe(CHANNEL, wait="cluster").__aenter__()
        cluster.partition("c", {"a", "b"})
        await cluster["c"].subscribe(CHANNEL).__aenter__()
        await asyncio.sleep(8)
        await cluster.kill("c")
        cluster.heal()
        await asyncio.sleep(8)
        assert await names(cluster["a"]) == await names(cluster["b"]) == []

        c = await cluster.restart("c")
        mesh = c.running.hub.mesh
        assert mesh is not None
        assert await c.running.hub.until(lambda: len(mesh.links) == 2, asyncio.get_running_loop().time() + 10)
        async with c.subscribe(CHANNEL, wait="cluster") as again:
            async with cluster["a"].watch_group(CHANNEL, "channel") as watch:
                snapshot = await anext(watch)
            assert snapshot == GroupSnapshot((again.id,))
            assert again.id.epoch > former.id.epoch


def seeded(folder: Path, *nodes: str) -> Cluster:
    """Return a cluster whose nodes have the first of them as their only seed, which is a name."""
    cookie = folder / "cookie"
    cookie.write_text("0123456789abcdef" * 4)
    seeds = {"seeds": ["dns://mesh.test:7601"], "cookie_file": str(cookie), "allow_insecure_peers": True}
    cluster = Cluster(nodes=nodes, config={"cluster": seeds})
    cluster.name("mesh.test", nodes[0])
    return cluster


async def test_me5_names_come_from_the_handshake_and_learned_addresses_serve_redials(tmp_path: Path) -> None:
    """The others know each other by what their one seed has told them."""
    async with seeded(tmp_path, "north", "south", "east") as cluster:
        await cluster.kill("north")
        cluster.partition("south", "east")
        await asyncio.sleep(8)
        assert not [one for one in await cluster["south"].members() if one.name == "east" and one.reachable]
        cluster.heal()
        await asyncio.sleep(8)

        assert {one.name for one in await cluster["south"].members() if one.reachable} == {"south", "east"}
        dials = {(one["peer"], one["seed"]) for one in status.discovery(cluster["south"].running)["dials"]}
        assert dials == {("north", True), ("north", False), ("east", False)}


async def test_me6_a_node_whose_peers_are_all_unreachable_serves_locally_and_keeps_trying(tmp_path: Path) -> None:
    """And it finds its seed when that comes, which knows of nobody."""
    async with seeded(tmp_path, "a", "b") as cluster:
        await cluster.stop("b")
        await cluster.stop("a")
        lone = await cluster.restart("b")
        async with lone.subscribe(CHANNEL, wait="cluster") as subscription:
            await lone.publish(CHANNEL, "alone")
            assert await payload(subscription) == "alone"
            await asyncio.sleep(120)
            await cluster.restart("a")
            await cluster.linked()
            await cluster["a"].publish(CHANNEL, "together", ack="nodes")
            assert await payload(subscription) == "together"


async def test_me8_a_peer_that_takes_nothing_delays_neither_another_peer_nor_a_local_publisher() -> None:
    """In the very instants in which it would have been reached; what it missed it is told."""
    async with (
        Cluster(nodes=3) as cluster,
        cluster["a"].subscribe(CHANNEL, wait="cluster") as here,
        cluster["b"].subscribe(CHANNEL, wait="cluster") as there,
        cluster["c"].subscribe(CHANNEL, wait="cluster") as frozen,
    ):
        cluster.partition("c", {"a", "b"})
        for number in range(50):
            began = cluster.now
            await cluster["a"].publish(CHANNEL, bytes(100_000))
            assert cluster.now == began, "a publish waited for a peer"
            await anext(here)
            await anext(there)
            assert cluster.now - began < 0.05, f"publish {number} was delayed at another peer"
        await asyncio.sleep(8)
        cluster.heal()
        await cluster.linked()

        missed = received = 0
        while missed + received < 50:
            item = await anext(frozen)
            missed, received = (missed + item.count, received) if isinstance(item, Gap) else (missed, received + 1)
        assert missed + received == 50
