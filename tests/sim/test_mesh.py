"""Meshes of two to five whole nodes in which everything goes wrong, on 125 seeds (or ``LIMINAL_SIM_SEEDS``)."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from liminal_mesh.cluster.effects import SessionDown

from .simulation import simulate
from .watching import link, of
from .world import World

BLOCK = 25
SEEDS = int(os.environ.get("LIMINAL_SIM_SEEDS", "125"))
SOMETIMES = ("suspect to alive", "suspect to dead", "dead to alive", "alive to left", "succeeded", "refuted", "failed")


@pytest.mark.sim
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_a_mesh_stays_true_and_becomes_whole(first: int) -> None:
    """S1 to S9, L3 and M1 to M8 hold after every step, L1, L2, G1, G3 and G4 at the end; and faults there were."""
    seen: Counter[str] = Counter()
    for seed in range(first, first + BLOCK):
        simulation = simulate(seed)
        seen += simulation.seen
        seen["fenced"] += sum(host.core.fenced for host in simulation.hosts)

    assert seen["fenced"] > BLOCK
    assert all(seen[event] >= 3 for event in SOMETIMES), seen


def test_a_seed_repeats_exactly() -> None:
    """A failing seed can be looked at again."""
    runs = [simulate(7) for _ in range(2)]

    assert runs[0].checker.steps == runs[1].checker.steps
    assert runs[0].world.now == runs[1].world.now
    assert runs[0].seen == runs[1].seen


@pytest.mark.parametrize("stopped", [False, True])
def test_a_silent_session_is_found_although_nothing_is_sent(stopped: bool) -> None:
    """The way of the session alone is dead in both directions, or the peer does nothing any more."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.add("c", "a")
    world.run(2)
    if stopped:
        b.stop()
    else:
        world.holes |= {("a", "b"), ("b", "a")}
    took = world.run_until(lambda: "b" not in a.core.sessions(), 20)

    assert took < 15
    assert of(SessionDown, a)[-1].peer == b.me
    world.heal("a", "b")
    world.heal("b", "a")
    if stopped:
        b.resume()
    world.run_until(lambda: "b" in a.core.sessions() and "a" in b.core.sessions(), 10)
    assert link(a, "b").peer is link(b, "a")
