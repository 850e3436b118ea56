"""Meshes of two to six shipped machines in which everything goes wrong, on 40 seeds (or ``LIMINAL_SIM_SEEDS``)."""

from __future__ import annotations

import os
from collections import Counter
from hashlib import blake2b

import pytest

from .chaos import Chaos, shrunk
from .mesh import MeshNode

BLOCK = 40
SEEDS = int(os.environ.get("LIMINAL_SIM_SEEDS", "40"))
SEED_WITH_CRASH = 117
SOMETIMES = ("alive to suspect", "suspect to alive", "suspect to dead", "dead to alive", "alive to left", "succeeded")


@pytest.mark.sim
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_views_become_true_and_stay_so(first: int) -> None:
    """G1, G2 and G3 hold at rest, records only gain weight, every table stays small; and faults there were."""
    seen: Counter[str] = Counter()
    for seed in range(first, first + BLOCK):
        seen += shrunk(seed).seen

    assert all(seen[event] >= 5 for event in SOMETIMES), seen


def test_a_seed_repeats_exactly() -> None:
    """A failing seed can be looked at again: every effect of every machine is the same, in the same order."""
    digests = []
    for _ in range(2):
        world, digest = Chaos(7), blake2b()
        world.mesh.on_effect = lambda node, effect, digest=digest: digest.update(f"{node.me} {effect}".encode())  # type: ignore[misc]
        world.run()
        digests.append(digest.hexdigest())

    assert digests[0] == digests[1]


def test_a_failing_seed_is_told_with_the_faults_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """All others are left out of the plan, and what is left fails alone."""
    planned = Chaos(SEED_WITH_CRASH).plan()
    crash = Chaos._crash

    def broken(self: Chaos, node: MeshNode) -> None:
        crash(self, node)
        raise AssertionError("planted")

    monkeypatch.setattr(Chaos, "_crash", broken)

    with pytest.raises(AssertionError, match="planted") as failed:
        shrunk(SEED_WITH_CRASH)

    assert len(planned) > 10
    crashes = [repr(fault) for fault in planned if fault.action == "crash"]
    assert any(f"faults: [{one}]" in str(failed.value) for one in crashes)
