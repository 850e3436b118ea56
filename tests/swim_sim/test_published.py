"""The figures of the SWIM and Lifeguard papers, within the tolerances that the design names."""

from __future__ import annotations

import math
import os
from statistics import mean, median

import pytest

from .datagrams import LIFEGUARD, SWIM
from .joins import settled
from .published import false_suspicions, idle, interval, spread_rounds, threshold

PROVE = bool(os.environ.get("LIMINAL_PROVE"))


@pytest.mark.parametrize("count", [8, 32, 128])
def test_a_member_at_rest_sends_two_messages_a_period(count: int) -> None:
    """The load does not grow with the mesh (SWIM, Fig. 2)."""
    assert idle(1, count, 40).load == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("count", [32, 128])
def test_the_first_probe_of_a_dead_member_comes_after_a_constant_time(count: int) -> None:
    """It takes e / (e - 1) periods in the mean, however many there are (SWIM, Fig. 3a)."""
    waits = [wait for seed in range(3) for wait in idle(seed, count, 40).periods_to_probe]

    assert mean(waits) == pytest.approx(math.e / (math.e - 1), rel=0.05)


def test_everybody_probes_everybody_within_two_rounds() -> None:
    """Time-bounded completeness: at most 2n - 1 periods lie between two probes of one member by one other."""
    assert idle(1, 16, 200).longest_gap <= 2 * 16 - 1


def test_a_rumour_spreads_in_logarithmic_time() -> None:
    """Ten times the members cost about two more rounds of gossip, and everybody is reached."""
    rounds, shares = zip(*(spread_rounds(seed, count) for count in (24, 240) for seed in range(4)), strict=True)

    assert set(shares) == {1.0}
    assert 1.0 < mean(rounds[4:]) - mean(rounds[:4]) < 3.0


@pytest.mark.parametrize("relays", [1, 2, 3])
def test_false_suspicions_under_loss_follow_the_closed_form(relays: int) -> None:
    """A round fails if the ping or its ack is lost, and one of four messages of each relay (SWIM, 3.1)."""
    delivered = 0.9
    failed, rounds = false_suspicions(relays, delivered=delivered, relays=relays, periods=200 if PROVE else 100)
    chance = (1 - delivered**2) * (1 - delivered**4) ** relays

    assert abs(failed - chance * rounds) < 3 * math.sqrt(rounds * chance * (1 - chance))


def test_suspicion_holds_a_group_together_in_which_a_tenth_of_all_messages_is_lost() -> None:
    """Of 17 members that join, most are seen with it and few without it (SWIM, Fig. 4: 12, 4 and 2)."""
    seeds = range(60 if PROVE else 5)
    basic, infection, suspicion = (
        mean(settled(seed, mode) for seed in seeds) for mode in ("basic", "infection", "infection and suspicion")
    )

    assert suspicion > 9
    assert max(basic, infection) < 5


def test_detection_takes_as_long_as_published() -> None:
    """Median and 99th percentile of Table V: 12.44 and 16.96 s; Lifeguard is no slower."""
    seeds = range(8 if PROVE else 1)
    swim = sorted(first for seed in seeds for first in threshold(seed, SWIM).first_s)
    lifeguard = sorted(first for seed in seeds for first in threshold(seed, LIFEGUARD).first_s)

    assert median(swim) == pytest.approx(12.44, rel=0.05)
    assert swim[-1] < 1.1 * 16.96
    assert median(lifeguard) <= 1.02 * median(swim)


def test_members_that_are_stalled_again_and_again_kill_others_in_swim_and_not_in_lifeguard() -> None:
    """Table IV, in one cell."""
    cell = {"blocked": 4, "block_s": 32.768, "pause_s": 0.001, "count": 48}

    assert interval(1, SWIM, **cell).false >= 1  # type: ignore[arg-type]
    assert interval(1, LIFEGUARD, **cell).false == 0  # type: ignore[arg-type]
