"""The signs of life of one session."""

from __future__ import annotations

import math
from random import Random

import pytest

from liminal_mesh.cluster.frames import Heartbeat, Peer
from liminal_mesh.cluster.heartbeat import Pulse
from liminal_mesh.cluster.options import PeeringOptions

OPTIONS = PeeringOptions("test", "m:1")


def pulse_at(now: float) -> Pulse:
    """Begin a session."""
    return Pulse(OPTIONS, Random(7), now)


def test_a_heartbeat_comes_twice_a_minute_at_random_and_earlier_with_news() -> None:
    """The first at once; a burst of news brings only one forward."""
    pulse = pulse_at(100)
    assert pulse.beat_at == 100
    pauses = []
    for number in range(1, 200):
        now = pulse.beat_at
        assert pulse.beat(now) == number
        pauses.append(pulse.beat_at - now)
    assert 15 <= min(pauses) < 17
    assert 43 < max(pauses) <= 45

    now = pulse.beat_at
    pulse.beat(now)
    pulse.hasten(now)
    pulse.hasten(now)
    assert pulse.beat_at == pytest.approx(now + 0.05)


def test_news_never_bring_a_heartbeat_into_the_past() -> None:
    """A heartbeat that was late as soon as it was planned would look as if this node had been stopped."""
    pulse = pulse_at(100)
    pulse.hasten(100)
    assert pulse.beat_at == 100
    pulse.beat(100)
    pulse.hasten(101)

    assert pulse.beat_at == 101


def test_an_idle_session_asks_nothing_and_ends_for_no_reason() -> None:
    """However long nothing comes."""
    pulse = pulse_at(100)
    pulse.beat(100)

    assert pulse.ask_at == math.inf
    assert pulse.next_due() == pulse.beat_at
    assert pulse.verdict(100_000) is None


def test_what_waits_is_asked_for_once_and_only_the_answer_counts() -> None:
    """R14: bytes that come do not show that we are heard; and an answer to an earlier question is none."""
    pulse = pulse_at(100)
    pulse.beat(100)
    assert pulse.wait(100, 0.5)
    assert not pulse.wait(100.2, 0.5)
    assert pulse.next_due() == 100.5
    assert pulse.ask(100.5) == 1
    assert pulse.wait(100.6, 0.5)
    assert pulse.ask(101.1) is None
    pulse.answered(1, 100.75)
    assert pulse.rtt_s == pytest.approx(0.25)
    assert pulse.verdict(200) is None

    assert pulse.ask(200) == 2
    pulse.answered(1, 201)
    assert pulse.rtt_s == pytest.approx(0.25)
    assert pulse.verdict(204.9) is None
    assert pulse.verdict(205) == "silence"
    pulse.hear(202)
    assert pulse.verdict(205) == "unheard"
    pulse.beat(204)
    assert pulse.next_due() == 205
    pulse.answered(2, 205)
    assert pulse.verdict(300) is None


def test_the_verdict_is_due_when_it_is_said_to_be() -> None:
    """To the last bit: a difference of two times may be a little less than what the one was late by."""
    for number in range(1, 1000):
        pulse = pulse_at(number / 7)
        pulse.beat(number / 7 + 60)
        pulse.ask(number / 7)
        assert pulse.verdict(pulse.next_due()) == "silence", number


def test_whoever_was_stopped_itself_waits_again() -> None:
    """Its deadlines move by the time it lost."""
    pulse = pulse_at(100)
    pulse.ask(100)
    pulse.excuse(60)

    assert pulse.verdict(164.9) is None
    assert pulse.verdict(165) == "silence"


def test_an_overtaken_heartbeat_is_not_news() -> None:
    """It is told from the latest by its number."""
    pulse = pulse_at(100)
    peers = [Peer("x", 1, "x:1")]
    assert pulse.peers is None
    assert pulse.received(Heartbeat(2, 1, [], peers))
    assert not pulse.received(Heartbeat(1, 1, [], []))
    assert not pulse.received(Heartbeat(2, 1, [], []))

    assert pulse.peers == tuple(peers)
