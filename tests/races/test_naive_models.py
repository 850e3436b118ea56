"""The five ways in which membership goes wrong elsewhere: planted, each is found; the shipped rules survive them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .naive import (
    b1_sent_after_the_change,
    b2_dropped_when_full,
    b3_backfill_past_the_lane,
    b4_a_second_list,
    b5_applied_after_the_end,
    naive,
    walk,
)

SEEDS = 40
Plant = Callable[[pytest.MonkeyPatch], None]


def failures() -> list[str]:
    """Return how the seeds fail that do."""
    failed = []
    for seed in range(SEEDS):
        try:
            walk(seed)
        except AssertionError as error:
            failed.append(str(error))
    return failed


def test_the_shipped_registry_and_the_naive_model_are_right_over_wires_that_keep_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that what fails below fails for the one defect that is planted, and not for the model."""
    assert failures() == []
    naive(monkeypatch)
    assert failures() == []


@pytest.mark.parametrize(
    "plant",
    [
        b1_sent_after_the_change,
        b2_dropped_when_full,
        b3_backfill_past_the_lane,
        b4_a_second_list,
        b5_applied_after_the_end,
    ],
)
def test_a_naive_model_with_one_defect_diverges(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a third of all runs or more: ghosts, members that are missing, members without a session."""
    naive(monkeypatch)
    plant(monkeypatch)

    assert len(failures()) >= SEEDS * 0.31, failures()


@pytest.mark.parametrize("plant", [b1_sent_after_the_change, b2_dropped_when_full, b3_backfill_past_the_lane])
def test_a_sender_with_that_defect_does_no_lasting_harm_to_the_shipped_receiver(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R3, R5: what does not continue what is held is not applied, and heartbeats fetch what is missing."""
    plant(monkeypatch)

    for seed in range(SEEDS):
        walk(seed, heartbeats=True)
