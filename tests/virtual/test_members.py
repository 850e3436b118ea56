"""Who watches the members of a mesh that falls apart and heals."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from liminal_mesh.node import status
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.metrics import Metrics
from liminal_mesh.node.node import Node
from liminal_mesh.node.values import MembersSnapshot
from liminal_mesh.testing import Cluster

from ..contracts.test_bus_members import acquainted, apply, following, seen, view_of
from ..nodes import until


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_a_watch_follows_a_mesh_that_falls_apart_and_heals(kind: str) -> None:
    """A cut, a kill, a restart under a later epoch: each event continues the one before, and the end is the truth."""
    async with Cluster(nodes=3) as cluster, AsyncExitStack() as stack:
        bus: Bus = cluster["a"]
        if kind == "client":
            bus = await stack.enter_async_context(cluster.client("a"))
        async with bus.watch_members() as watch:
            view = apply({}, await following(watch))
            assert {member.state for member in view.values()} == {"alive"}
            former = view["c"].epoch
            cluster.partition({"a"}, {"b"})
            await cluster.kill("c")
            while view["b"].reachable or view["c"].reachable:
                view = apply(view, await following(watch))
            cluster.heal()
            await cluster.restart("c")
            await cluster.linked()
            while not (view["b"].reachable and view["c"].reachable and view["c"].epoch > former):
                view = apply(view, await following(watch))
            assert (await seen(watch, view, view_of(cluster["a"])))[1] == 0


async def test_a_client_that_finds_another_node_sees_what_that_one_sees() -> None:
    """The view of one node is never mixed with that of another."""
    async with Cluster(nodes=2) as cluster, cluster.client("a", "b") as client, client.watch_members() as watch:
        view = apply({}, await following(watch))
        await cluster.kill("a")
        event = await following(watch)
        assert isinstance(event, MembersSnapshot)
        view = apply(view, event)
        assert client.pid.node == "b"
        assert (await seen(watch, view, view_of(cluster["b"])))[0]["b"].reachable


async def test_each_node_shows_which_links_are_missing_anywhere() -> None:
    """R15: of three nodes two do not see each other; the third sees who misses whom, and nothing else is cut."""
    async with Cluster(nodes=3) as cluster:
        run = cluster["c"].running
        assert status.links(run)["missing"] == []
        cluster.partition({"a"}, {"b"})
        await until(cluster["c"], lambda: len(status.links(run)["missing"]) == 2)
        assert status.links(run)["missing"] == [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]
        assert [(one["peer"], one["up"]) for one in status.links(run)["links"]] == [("a", True), ("b", True)]
        assert {"from": "a", "to": "b"} in status.links(cluster["a"].running)["missing"]
        page, _ = await Metrics(run).node()
        assert b"liminal_missing_links 2.0" in page
        cluster.heal()
        await until(cluster["c"], lambda: not status.links(run)["missing"])


def membership(node: Node) -> tuple[bool, int, list[str]]:
    """Return what readiness says of the mesh: whether it is enough, how many are there, and whom it misses."""
    [one] = [one for one in status.ready(node.running)["conditions"] if one["name"] == "membership"]
    return one["met"], one["linked"], one["missing"]


async def test_a_node_that_lost_its_mesh_is_not_ready_and_names_whom_it_misses() -> None:
    """A majority of five is three: one that is cut off with one other is no part of it; who left is not missed."""
    async with Cluster(nodes=5, config={"cluster": {"ready": "majority", "expected": 5}}) as cluster:
        a, c = cluster["a"], cluster["c"]
        assert membership(a) == (True, 5, [])
        await until(cluster["e"], lambda: acquainted(cluster["e"], *"abcd"))
        await cluster.stop("e")
        await until(a, lambda: membership(a) == (True, 4, []))
        cluster.partition({"a", "b"}, {"c", "d"})
        await until(a, lambda: membership(a) == (False, 2, ["c", "d"]))
        await until(c, lambda: membership(c) == (False, 2, ["a", "b"]))
        assert status.ready(a.running)["unmet"] == ["membership"]
        cluster.heal()
        await cluster.linked()
        await until(a, lambda: membership(a) == (True, 4, []))
        await cluster.kill("d")
        await until(a, lambda: membership(a) == (True, 3, ["d"]))


async def test_a_node_that_needs_nobody_still_says_whom_it_misses() -> None:
    """It is ready alone, as it was told, and its page shows that it is."""
    async with Cluster(nodes=2) as cluster:
        await cluster.kill("b")
        await until(cluster["a"], lambda: membership(cluster["a"]) == (True, 1, ["b"]))
        assert status.ready(cluster["a"].running)["ready"]
