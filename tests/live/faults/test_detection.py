"""Who is held for dead, by whom and how soon: processes killed and stopped, and links cut by proxies.

The seconds are three times what ``make detection`` aims at; it has the faults that need a network of their own.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import permutations
from typing import Any

import pytest

from .fleet import Fleet, Worker, free_port
from .proxies import Proxies, proxies

pytestmark = pytest.mark.live

PROVE = bool(os.environ.get("LIMINAL_PROVE"))

KILLED_S = 3 * 0.6
STOPPED_S = 3 * 4.5
RESUMED_S = 3 * 0.05
CUT_OFF_S = 3 * 1.0
LONELY_S = 45.0  # two and a half times; a command has no longer
HEALED_S = 3 * 2.5
PAIR_CUT_S = 60.0 if PROVE else 4.0
"""In four seconds whoever is suspected at once is dead, and whoever is probed in vain is suspected."""
SLOW_S = 30.0


async def told(node: Worker, name: str, since: float) -> list[dict[str, Any]]:
    """Return what a node has held of another since a time, in order."""
    return [one for one in await node.call("sightings") if one["name"] == name and one["at"] >= since]


async def became(node: Worker, name: str, state: str, since: float) -> float:
    """Return after how many seconds a node came to hold another for this."""
    return min(float(one["at"]) - since for one in await told(node, name, since) if one["state"] == state)


async def verdicts(node: Worker, since: float) -> set[tuple[str, str]]:
    """Return whom a node has held for suspect or dead since a time."""
    held = await node.call("sightings")
    return {(one["name"], one["state"]) for one in held if one["at"] >= since and one["state"] in {"suspect", "dead"}}


@asynccontextmanager
async def proxied(fleet: Fleet, *names: str) -> AsyncIterator[tuple[list[Worker], Proxies]]:
    """Start a mesh with a proxy on each way; each node has all others as its seeds."""
    async with proxies(names) as ways:
        addresses = {name: f"127.0.0.1:{free_port()}" for name in names}
        for name, address in addresses.items():
            ways.point(name, address)
        nodes = await asyncio.gather(
            *(
                fleet.node(name, [*ways.of(name).values()], mesh=address, dial_overrides=ways.of(name))
                for name, address in addresses.items()
            )
        )
        await whole(nodes)
        yield nodes, ways


async def whole(nodes: list[Worker]) -> None:
    """Wait until all are linked with all, and hold one another for alive."""
    names = [node.name for node in nodes]
    for node in nodes:
        others = [name for name in names if name != node.name]
        await node.linked(*others)
        await node.call("controlled", names=others, timeout=20)
    await agree(nodes, dict.fromkeys(names, "alive"))


async def agree(nodes: Sequence[Worker], states: dict[str, str], within: float = 20.0) -> None:
    """Wait until all of the nodes hold the members for these."""
    await asyncio.gather(*(node.call("sees", states=states, timeout=within) for node in nodes))


@pytest.mark.parametrize("count", [3, pytest.param(5, marks=pytest.mark.skipif(not PROVE, reason="make prove"))])
async def test_a_killed_node_is_dead_for_all_within_a_second(fleet: Fleet, count: int) -> None:
    """Broken links and refused dials convict, when all agree; nobody else comes under suspicion."""
    *others, victim = nodes = await fleet.mesh(*"abcde"[:count])
    await whole(nodes)

    since = time.monotonic()
    await victim.kill()
    await agree(others, {**{node.name: "alive" for node in others}, victim.name: "dead"})

    for node in others:
        assert await became(node, victim.name, "dead", since) < KILLED_S
        assert {name for name, _ in await verdicts(node, since)} == {victim.name}


async def test_a_stopped_node_is_dead_until_it_goes_on(fleet: Fleet) -> None:
    """Silence convicts; on SIGCONT it reads that it is dead, and refutes with a higher incarnation, accusing nobody."""
    a, b, c = nodes = await fleet.mesh("a", "b", "c")
    await whole(nodes)

    since = time.monotonic()
    c.freeze()
    await agree((a, b), {"a": "alive", "b": "alive", "c": "dead"}, within=2 * STOPPED_S)
    back = time.monotonic()
    c.thaw()
    await whole(nodes)

    for node in (a, b):
        assert await became(node, "c", "dead", since) < STOPPED_S
        assert await became(node, "c", "alive", back) < RESUMED_S
        assert (await told(node, "c", back))[-1]["incarnation"] > 0
        assert {name for name, _ in await verdicts(node, since)} == {"c"}
    assert not {name for name, state in await verdicts(c, since) if state == "dead"}


@pytest.mark.timeout(150)
async def test_two_nodes_that_cannot_reach_each_other_are_dead_for_nobody(fleet: Fleet) -> None:
    """To both the other looks as if its process were gone; the third has links with both, and objects."""
    async with proxied(fleet, "a", "b", "c") as ((a, b, c), ways):
        since = time.monotonic()
        ways.disable([("a", "b")])
        await asyncio.gather(a.linked("c"), b.linked("c"))
        # Not a moment to settle: for so long nobody may be suspected.
        await asyncio.sleep(PAIR_CUT_S)

        assert await verdicts(c, since) == set()
        for node in (a, b, c):
            assert ("a", "dead") not in await verdicts(node, since)
            assert ("b", "dead") not in await verdicts(node, since)
        for node, other in ((a, "b"), (b, "a")):
            assert not (await told(node, other, since))[-1]["reachable"]
        assert {("a", "b"), ("b", "a")} <= {tuple(edge) for edge in await c.call("missing")}
        await c.linked("a", "b")

        await ways.enable([("a", "b")])
        await whole([a, b, c])
        assert await c.call("missing") == []


@pytest.mark.skipif(not PROVE, reason="make prove")
@pytest.mark.timeout(180)
async def test_halves_that_proxies_part_hold_each_other_for_dead_and_heal(fleet: Fleet) -> None:
    """The majority agrees at once; the one that is left alone waits as long as it must; both come back."""
    async with proxied(fleet, "a", "b", "c") as ((a, b, c), ways):
        since = time.monotonic()
        ways.disable([("a", "c"), ("b", "c")])
        await agree((a, b), {"a": "alive", "b": "alive", "c": "dead"})
        await agree((c,), {"a": "dead", "b": "dead", "c": "alive"}, within=LONELY_S)

        for node in (a, b):
            assert await became(node, "c", "dead", since) < CUT_OFF_S
        healed = time.monotonic()
        await ways.enable([("a", "c"), ("b", "c")])
        await whole([a, b, c])
        assert time.monotonic() - healed < HEALED_S


@pytest.mark.skipif(not PROVE, reason="make prove")
@pytest.mark.timeout(120)
async def test_slow_links_kill_nobody(fleet: Fleet) -> None:
    """200 to 600 ms each way are more than a probe waits for."""
    async with proxied(fleet, "a", "b", "c") as (nodes, ways):
        since = time.monotonic()
        ways.delay(0.2, 0.6)
        await asyncio.sleep(SLOW_S)

        for node, (_, other) in zip(nodes * 2, permutations("abc", 2), strict=True):
            assert (other, "dead") not in await verdicts(node, since)
