"""The pressure of a channel: its score, its policies, and the pace of its publishers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster import Envelope, NodeId, OptionKey, Pid
from liminal_mesh.node.inbox import Inbox, Run
from liminal_mesh.node.message import encode_headers
from liminal_mesh.node.pressure import (
    FALL,
    STAY_S,
    ChannelPressure,
    Pace,
    PressureChange,
    PressurePolicy,
    consumption_of,
    priority_of,
)

PID = Pid("a", 1, 2)
SLOW = PressurePolicy(0.7, slow=2.0)
GROW = PressurePolicy(0.8, signal="scale-out")
SHED = PressurePolicy(0.9, shed_below=5)
PANIC = PressurePolicy(0.95, alert="critical", slow=8.0, shed_below=8)


def envelope(headers: dict[str, str] | None = None, body: bytes = b"") -> Envelope:
    """Return a publish."""
    return Envelope(1, 1, 0, 1, 0, body, encode_headers(headers or {}))


def run(count: int, size: int = 0) -> Run:
    """Return a run of messages."""
    return Run("x", NodeId("a", 1), [envelope(body=b"." * size) for _ in range(count)])


def test_a_consumer_is_as_full_as_its_inbox() -> None:
    """PR3: in messages or in bytes, whichever is nearer to its bound."""
    half, heavy, idle = (Inbox(2, 8, 10_000, "drop-oldest") for _ in range(3))
    half.offer(run(5))
    heavy.offer(run(1, 7340))
    consumers = [consumption_of(inbox, PID) for inbox in (half, heavy, idle)]

    assert [one.utilisation for one in consumers] == [0.5, 0.75, 0.0]
    assert consumers[0] == msgspec.structs.replace(consumers[0], in_flight=2, max_in_flight=2, buffered=3)


def test_a_consumer_that_takes_nothing_more_is_full() -> None:
    """PR3: as one is whose policy is to be disconnected."""
    inbox = Inbox(1, 1, 10_000, "disconnect")
    inbox.offer(run(3))
    inbox.take(1)
    assert consumption_of(inbox, PID).utilisation == 1.0


def test_all_policies_that_are_reached_apply() -> None:
    """PR3: told by ascending threshold; the largest factor and the highest bound count."""
    pressure = ChannelPressure([SHED, PANIC, SLOW, GROW])

    assert pressure.look(0.5, 0.0) == []
    assert (pressure.slow, pressure.shed_below, pressure.reached) == (1.0, 0, ())
    assert pressure.look(0.85, 1.0) == [PressureChange(SLOW, True, 0.85), PressureChange(GROW, True, 0.85)]
    assert (pressure.slow, pressure.shed_below, pressure.reached) == (2.0, 0, (SLOW, GROW))
    assert pressure.look(0.9, 1.5) == [PressureChange(SHED, True, 0.9)]
    assert pressure.shed_below == 5
    assert pressure.look(1.0, 2.0) == [PressureChange(PANIC, True, 1.0)]
    assert (pressure.slow, pressure.shed_below, pressure.reached) == (8.0, 8, (SLOW, GROW, SHED, PANIC))
    over = pressure.look(0.0, 9.0)
    assert [(change.policy, change.reached) for change in over] == [(one, False) for one in (SLOW, GROW, SHED, PANIC)]
    assert (pressure.slow, pressure.shed_below, pressure.reached) == (1.0, 0, ())


def test_a_score_that_wavers_is_not_told_again_and_again() -> None:
    """PR3: a policy is over a tenth below its threshold, and not before it has applied for a second."""
    pressure = ChannelPressure([SLOW])
    assert len(pressure.look(0.7, 0.0)) == 1
    for tenth in range(1, 100):
        assert pressure.look(0.64 if tenth % 2 else 0.7, tenth / 10) == []
    assert len(pressure.look(0.62, 10.0)) == 1
    assert len(pressure.look(0.7, 10.1)) == 1
    assert pressure.look(0.0, 11.0) == []
    assert len(pressure.look(0.0, 11.1)) == 1


@given(
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4),
    st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.5)), max_size=40),
)
def test_what_applies_follows_from_what_was_told(thresholds: list[float], looks: list[tuple[float, float]]) -> None:
    """PR3: each policy is reached and over in turn, rises at once, falls late, and applies in between."""
    policies = [PressurePolicy(at, slow=1.5 + index, shed_below=index + 1) for index, at in enumerate(thresholds)]
    pressure = ChannelPressure(policies)
    since: dict[PressurePolicy, float] = {}
    now = 0.0
    for score, pause in looks:
        now += pause
        changes = pressure.look(score, now)
        assert [one.policy.at for one in changes] == sorted(one.policy.at for one in changes)
        for policy, reached, told in changes:
            assert told == score
            assert reached == (policy not in since)
            if reached:
                assert score >= policy.at
                since[policy] = now
            else:
                assert score < policy.at * FALL
                assert now - since.pop(policy) >= STAY_S
        assert all(policy in since for policy in policies if score >= policy.at)
        assert set(pressure.reached) == set(since)
        assert pressure.slow == max([one.slow or 1.0 for one in since], default=1.0)
        assert pressure.shed_below == max([one.shed_below or 0 for one in since], default=0)


@pytest.mark.parametrize(
    ("said", "priority"),
    [(None, 5), ("0", 0), ("9", 9), ("5", 5), ("10", 5), ("", 5), ("-1", 5), ("high", 5), ("٣", 5)],
)
def test_a_priority_is_a_header(said: str | None, priority: int) -> None:
    """PR3: a number from 0 to 9; whatever else it says, or when it says nothing, it is 5."""
    assert priority_of(envelope({} if said is None else {"liminal-priority": said})) == priority


@pytest.mark.parametrize("raw", [b"\xc0", b"\x81\xa1\xff\xa10", b"\x81\xb0liminal-priority\xa1\xff", b"\x81\xa1h"])
def test_bad_headers_have_the_usual_priority(raw: bytes) -> None:
    """PR3: another program's mistake is no reason to shed anything, nor to spare it."""
    bad = Envelope(1, 1, 0, 1, 0, b"", {OptionKey.HEADERS: msgspec.Raw(raw)})
    assert priority_of(bad) == 5


def test_what_is_not_important_enough_is_shed() -> None:
    """PR3: while the policy applies, and no longer."""
    pressure = ChannelPressure([SHED])
    low, usual, high = (envelope({"liminal-priority": said}) for said in ("4", "5", "6"))
    assert not any(map(pressure.sheds, (low, usual, high)))
    pressure.look(0.9, 0.0)
    assert [pressure.sheds(one) for one in (low, usual, high)] == [True, False, False]
    pressure.look(0.0, 2.0)
    assert not pressure.sheds(low)


@settings(deadline=None)
@given(st.floats(1.1, 20.0), st.integers(1, 40), st.integers(1, 3))
def test_slowed_publishers_keep_a_part_of_their_rate(factor: float, per_step: int, seconds: int) -> None:
    """PR3: whoever waits as it is told publishes one factor-th of what it did, however it did that."""
    pace, now = Pace(), 100.0
    for _ in range(100):  # 50 times a second, for two seconds
        pace.count(per_step, now)
        now += 0.02
    pace.slow(factor, now)
    rate, begun, published = per_step * 50, now, 0
    while now - begun < seconds:
        pace.count(per_step, now)
        published += per_step
        now += max(pace.wait(now), 1e-9)

    expected = rate / factor * seconds
    assert expected * 0.95 - per_step <= published <= expected * 1.1 + per_step


def test_publishers_that_are_let_go_do_not_wait() -> None:
    """PR3: nor does what they publish then count against what they did while they were slowed."""
    pace = Pace()
    for step in range(10):
        pace.count(10, step / 10)
    assert pace.wait(1.0) == 0.0
    pace.slow(10.0, 1.0)
    pace.count(10, 1.0)
    assert pace.wait(1.0) == pytest.approx(1.0)
    pace.slow(1.0, 1.0)
    assert pace.wait(1.0) == 0.0
    pace.count(1000, 1.0)
    assert pace.wait(1.0) == 0.0


def test_a_larger_factor_is_one_of_the_rate_before() -> None:
    """PR3: not of what the smaller one has left."""
    pace = Pace()
    for step in range(10):
        pace.count(10, step / 10)
    for factor in (2.0, 4.0, 2.0):
        pace.slow(factor, 1.0)
    pace.slow(4.0, 1.0)
    pace.count(10, 1.0)
    assert pace.wait(1.0) == pytest.approx(0.4)


@pytest.mark.parametrize(("before", "after"), [(1000.0, 2.0), (8.0, 4.0), (4.0, 4.0)])
def test_a_smaller_factor_asks_for_less_time_at_once(before: float, after: float) -> None:
    """PR3: what was published needs as much of it as if the factor had been the smaller one."""
    pace = Pace()
    for step in range(10):
        pace.count(10, step / 10)
    pace.slow(before, 1.0)
    pace.count(10, 1.0)
    assert pace.wait(1.0) == pytest.approx(before / 10)
    pace.slow(after, 1.0)
    assert pace.wait(1.0) == pytest.approx(after / 10)
    pace.slow(before, 1.0)
    assert pace.wait(1.0) == pytest.approx(after / 10)


def test_nothing_was_published_before() -> None:
    """PR3: then there is no rate to take a part of."""
    pace = Pace()
    pace.slow(2.0, 5.0)
    pace.count(10, 5.0)
    assert pace.wait(5.0) == 0.0
