"""Meshes of three to five shipped cores in which everything goes wrong, on 500 seeds (or ``LIMINAL_SIM_SEEDS``)."""

from __future__ import annotations

import os

import pytest

from .simulation import simulate

BLOCK = 25
SEEDS = int(os.environ.get("LIMINAL_SIM_SEEDS", "500"))


@pytest.mark.sim
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_a_mesh_stays_true_and_becomes_whole(first: int) -> None:
    """S1, S2, S3, S8, S9 and L3 hold after every step, L1 and L2 at the end; and late frames there were."""
    fenced = [host.core.fenced for seed in range(first, first + BLOCK) for host in simulate(seed).hosts]

    assert sum(fenced) > BLOCK


def test_a_seed_repeats_exactly() -> None:
    """A failing seed can be looked at again."""
    runs = [simulate(7) for _ in range(2)]

    assert runs[0].checker.steps == runs[1].checker.steps
    assert runs[0].world.now == runs[1].world.now
