"""How fast whole nodes find the dead, in virtual time: by the profile, and with and without the evidence of links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

from ..contracts.test_bus_members import acquainted

NAMES = "abcde"


def dead(node: Node) -> bool:
    """Whether a node holds the last one, by name, for dead."""
    return node.running.members()[-1].state == "dead"


async def death_of_e(profile: str, fast_death: bool, nodes: int, seed: int) -> float:
    """Kill the last node of a mesh, and return after how many seconds the last of the others holds it for dead."""
    names = NAMES[-nodes:]
    config = {"cluster": {"profile": profile, "fast_death": fast_death}}
    async with Cluster(nodes=list(names), seed=seed, config=config) as cluster:
        loop = asyncio.get_running_loop()

        async def reach(name: str, condition: Callable[[], bool]) -> None:
            assert await cluster[name].running.hub.until(condition, loop.time() + 600), (seed, name)

        for name in names:
            others = [other for other in names if other != name]
            await reach(name, partial(acquainted, cluster[name], *others))
        await cluster.kill("e")
        began = loop.time()
        for name in names[:-1]:
            await reach(name, partial(dead, cluster[name]))
        return loop.time() - began


@pytest.mark.parametrize("nodes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
async def test_a_killed_node_is_dead_in_a_moment(nodes: int, seed: int) -> None:
    """By the agreement of those who lost it; two that are alone with one another try a little longer."""
    assert await death_of_e("lan", True, nodes, seed) < (1.2 if nodes == 2 else 0.6)


@pytest.mark.parametrize("seed", range(3))
async def test_without_the_evidence_of_links_only_silence_tells(seed: int) -> None:
    """As it does between datacenters, with more patience."""
    local = await death_of_e("local", False, 3, seed)
    lan = await death_of_e("lan", False, 3, seed)
    wan = await death_of_e("wan", False, 3, seed)

    assert 0.2 < local < 2 < lan < 8 < wan < 60
