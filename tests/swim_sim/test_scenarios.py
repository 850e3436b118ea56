"""Our own target table at 3, 5 and 20 nodes: no false death at all, and times within three times the target."""

from __future__ import annotations

import os
from functools import cache

import pytest

from .targets import ROWS, SIZES, Row

PROVE = bool(os.environ.get("LIMINAL_PROVE"))
SEEDS = 10 if PROVE else 1
LARGEST = 100 if PROVE else 20


@cache
def _figures(first_row: int, seed: int, size: int) -> dict[str, float]:
    return ROWS[first_row].run(seed, size)


@pytest.mark.sim
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_fault_is_found_and_healed_in_time(row: Row) -> None:
    """Counts are exact; times have room, since the page shows the maxima and this only that the fault is survived."""
    # One run serves all rows that show a figure of it.
    first_row = [repr(other.run) for other in ROWS].index(repr(row.run))
    for size, most in zip(SIZES, row.most, strict=True):
        if size <= min(LARGEST, row.largest if PROVE else row.largest_quick):
            for seed in range(SEEDS):
                found = _figures(first_row, seed, size)[row.figure]
                assert found <= 3 * most, f"seed {seed}, {size} nodes: {found}"
