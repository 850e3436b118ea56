"""Nodes that are killed, restarted, or started before their seeds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .fleet import Fleet, Worker, free_port

pytestmark = pytest.mark.live


async def events(node: Worker, kind: str) -> list[dict[str, Any]]:
    """Return the node's events of one kind."""
    return [event for event in await node.call("events") if event["kind"] == kind]


async def test_a_killed_nodes_members_vanish_and_nothing_else_does(fleet: Fleet) -> None:
    """ME4: one purge with its count, and the survivors still deliver to one another."""
    a, b, c = await fleet.mesh("a", "b", "c")
    for node in (a, b, c):
        await node.call("subscribe", key="x", pattern="t.x", wait="cluster")
        await node.call("subscribe", key="all", pattern="t.>", wait="cluster")
    before = await asyncio.gather(*(node.call("groups") for node in (a, c)))

    await b.kill()
    await asyncio.gather(a.linked("c"), c.linked("a"))

    for node, groups in zip((a, c), before, strict=True):
        left = {group: [pid for pid in pids if not pid.startswith("b.")] for group, pids in groups.items()}
        assert await node.call("groups") == left
        (purged,) = await events(node, "purged")
        assert (purged["node"], purged["epoch"], purged["members"]) == ("b", str(b.epoch), 2)
        await node.sees(a="alive", b="dead", c="alive")
    await asyncio.gather(*(node.call("publish", channel="t.x", count=100) for node in (a, c)))
    for node in (a, c):
        for key in ("x", "all"):
            assert (await node.until(key, 200))["delivered"] == 200


async def test_a_restarted_node_is_another_one(fleet: Fleet) -> None:
    """L3: its old members are gone before the first new one shows, and its subscriber starts from a clean slate."""
    a, b, c = await fleet.mesh("a", "b", "c", inbox={"messages": 100_000})
    for node in (a, b):
        await node.call("subscribe", key="x", pattern="t.x", wait="cluster")
    await asyncio.gather(*(node.call("flood", channel="t.x", count=1000) for node in (b, c)))
    await asyncio.gather(a.until("x", 2000), b.until("x", 2000))

    await b.kill()
    again = await fleet.node("b", [a.addresses["mesh"]], mesh=b.addresses["mesh"], inbox={"messages": 100_000})
    await asyncio.gather(a.linked("b", "c"), c.linked("a", "b"), again.linked("a", "c"))
    await again.call("subscribe", key="x", pattern="t.x", wait="cluster", whole=False)

    for node in (a, c):
        story = [line for line in await node.call("registry") if f" b {b.epoch}" in line or f" b {again.epoch}" in line]
        new = story.index(f"Joined t.x b {again.epoch}")
        assert story.index(f"Left t.x b {b.epoch}") < new
        assert not [line for line in story[new:] if f" b {b.epoch}" in line]
        assert await node.call("members") == {"a": "alive", "b": "alive", "c": "alive"}
    await asyncio.gather(*(node.call("flood", channel="t.x", count=1000) for node in (again, c)))
    books = await again.until("x", 2000)
    assert (books["delivered"], books["missed"]) == (2000, 0)
    books = await a.until("x", 4000)
    assert (books["delivered"], books["missed"]) == (4000, 0)
    assert ["b", again.epoch] in books["epochs"]


async def test_a_restarted_seed_finds_its_mesh(fleet: Fleet) -> None:
    """One mesh again, not islands: the others go on dialling it, and each other."""
    a, b, c = await fleet.mesh("a", "b", "c")
    await b.call("subscribe", key="x", pattern="t.x", wait="cluster")

    await a.kill()
    await asyncio.gather(b.linked("c"), c.linked("b"))
    seed = await fleet.node("a", mesh=a.addresses["mesh"])

    await asyncio.gather(seed.linked("b", "c"), b.linked("a", "c"), c.linked("a", "b"))
    await asyncio.gather(*(node.call("publish", channel="t.x", count=10) for node in (seed, c)))
    assert (await b.until("x", 20))["delivered"] == 20


async def test_nodes_serve_without_their_seeds_and_join_when_one_comes(fleet: Fleet) -> None:
    """ME6: started in any order, each is a mesh of one at first; then they become one."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    others = await asyncio.gather(*(fleet.node(name, addresses) for name in ("d", "c", "b")))
    for node in others:
        await node.call("subscribe", key="x", pattern="t.x")
        await node.call("publish", channel="t.x", count=1)
        assert (await node.until("x", 1))["delivered"] == 1
        assert await node.call("members") == {node.name: "alive"}

    seed = await fleet.node("a", addresses, mesh=addresses[1])

    everyone = [seed, *others]
    await asyncio.gather(*(one.linked(*(node.name for node in everyone if node is not one)) for one in everyone))
    await seed.call("publish", channel="t.x", count=10)
    for node in others:
        assert (await node.until("x", 11))["delivered"] == 11
