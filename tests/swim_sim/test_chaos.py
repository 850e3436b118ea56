"""Meshes of two to six shipped machines in which everything goes wrong, on 200 seeds (or ``LIMINAL_SIM_SEEDS``)."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from .chaos import chaos

BLOCK = 50
SEEDS = int(os.environ.get("LIMINAL_SIM_SEEDS", "200"))
SOMETIMES = ("alive to suspect", "suspect to alive", "suspect to dead", "dead to alive", "alive to left", "succeeded")


@pytest.mark.sim
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_views_become_true_and_stay_so(first: int) -> None:
    """G1, G2 and G3 hold at rest, records only gain weight, every table stays small; and faults there were."""
    seen: Counter[str] = Counter()
    for seed in range(first, first + BLOCK):
        seen += chaos(seed).seen

    assert all(seen[event] >= 5 for event in SOMETIMES), seen


def test_a_seed_repeats_exactly() -> None:
    """A failing seed can be looked at again."""
    runs = [chaos(7) for _ in range(2)]

    assert runs[0].mesh.clock.events == runs[1].mesh.clock.events
    assert runs[0].seen == runs[1].seen
