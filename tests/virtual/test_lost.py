"""What a publish says of nodes that are alive and cannot be reached: they are told as lost, never left out."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from liminal_mesh.testing import Cluster


async def unlinked(cluster: Cluster, name: str, other: str) -> None:
    """Wait until a node has no session with another."""
    hub = cluster[name].running.hub
    mesh = hub.mesh
    assert mesh is not None
    assert await hub.until(lambda: other not in mesh.links, asyncio.get_running_loop().time() + 60)


@pytest.mark.parametrize("pattern", ["x.y", "x.*", ">"])
@pytest.mark.parametrize("ack", ["accepted", "nodes"])
async def test_an_interested_member_that_is_not_linked_is_lost(pattern: str, ack: Literal["accepted", "nodes"]) -> None:
    """As long as it is a member: c sees both, so neither is dead for the other; nobody waits for its receipt."""
    async with Cluster(nodes=3) as cluster:
        a, b = cluster["a"], cluster["b"]
        async with b.subscribe(pattern, wait="cluster"), b.subscribe("z", wait="cluster"):
            cluster.partition(["a"], ["b"])
            publish = asyncio.create_task(a.publish("x.y", b"in flight"))  # what waits is what finds a link dead
            await unlinked(cluster, "a", "b")
            await publish
            began = asyncio.get_running_loop().time()
            outcome = await a.publish("x.y", b"1", ack=ack, timeout=5)
            assert asyncio.get_running_loop().time() - began < 1
            assert (outcome.nodes, outcome.delivered, outcome.local) == ({"b": "lost"}, False, 0)
            assert (await a.publish("x.z.z" if pattern != ">" else "x.y", b"2")).nodes == (
                {"b": "lost"} if pattern == ">" else {}
            )
            assert [one.state for one in await a.members()] == ["alive", "alive", "alive"]

            cluster.heal()
            await a.ready()
            assert await a.running.hub.until(
                lambda: bool(a.running.registry.members(0, pattern)), asyncio.get_running_loop().time() + 60
            )
            assert (await a.publish("x.y", b"3", ack="nodes")).nodes == {"b": "delivered"}


async def test_a_dead_member_is_interested_in_nothing() -> None:
    """With its run everything is gone that was kept of it."""
    async with Cluster(nodes=3) as cluster:
        a = cluster["a"]
        async with cluster["b"].subscribe("x", wait="cluster"):
            await cluster.kill("b")
            await unlinked(cluster, "a", "b")
            hub = a.running.hub
            dead = asyncio.get_running_loop().time() + 60
            assert await hub.until(lambda: hub.members()[1].state == "dead", dead)

            assert (await a.publish("x", b"1")).nodes == {}
