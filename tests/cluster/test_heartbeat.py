"""The signs of life of one session."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import Heartbeat, Peer
from liminal_mesh.cluster.heartbeat import Pulse
from liminal_mesh.cluster.options import PeeringOptions

OPTIONS = PeeringOptions("test", "m:1")


def test_heartbeats_are_due_every_second_and_earlier_with_news() -> None:
    """The first at once; a burst of news brings only one forward."""
    pulse = Pulse(OPTIONS, 100)
    assert pulse.beat_at == 100
    pulse.beat(100)
    assert pulse.beat_at == 101
    pulse.hasten(100)
    pulse.hasten(100)

    assert pulse.beat_at == pytest.approx(100.05)
    assert pulse.beat(100.05) == (2, 0)


def test_news_never_bring_a_heartbeat_into_the_past() -> None:
    """A heartbeat that was late as soon as it was planned would look as if this node had been stopped."""
    pulse = Pulse(OPTIONS, 100)
    pulse.hasten(100)
    assert pulse.beat_at == 100
    pulse.beat(100)
    pulse.hasten(100.9)

    assert pulse.beat_at == 100.9


def test_bytes_without_an_echo_are_not_enough() -> None:
    """R14: silence ends a session, and so does a peer that does not hear us."""
    pulse = Pulse(OPTIONS, 100)
    pulse.beat(100)
    pulse.hear(104)
    assert pulse.verdict(104.9) is None
    assert pulse.verdict(105) == "unheard"
    pulse.received(Heartbeat(1, 1, 1, [], []), 104)
    assert pulse.verdict(108.9) is None
    assert pulse.verdict(109) == "silence"
    assert pulse.next_due() == 101


def test_the_verdict_is_due_when_it_is_said_to_be() -> None:
    """To the last bit: a difference of two times may be a little less than what the one was late by."""
    for number in range(1, 1000):
        pulse = Pulse(OPTIONS, number / 7)
        pulse.beat(number / 7 + 60)
        assert pulse.verdict(pulse.next_due()) == "silence", number


def test_whoever_was_stopped_itself_waits_again() -> None:
    """Its deadlines move by the time it lost."""
    pulse = Pulse(OPTIONS, 100)
    pulse.excuse(60)

    assert pulse.verdict(164.9) is None
    assert pulse.verdict(165) == "silence"


def test_an_overtaken_heartbeat_is_not_news() -> None:
    """It is told from the latest by its number, and echoes must be of what was sent."""
    pulse = Pulse(OPTIONS, 100)
    peers = [Peer("x", 1, "x:1")]
    assert pulse.peers is None
    assert pulse.received(Heartbeat(2, 0, 1, [], peers), 100)
    assert not pulse.received(Heartbeat(1, 0, 1, [], []), 100)
    assert not pulse.received(Heartbeat(2, 0, 1, [], []), 100)

    assert pulse.peers == tuple(peers)
    assert pulse.beat(101) == (1, 2)
    with pytest.raises(ProtocolError):
        pulse.received(Heartbeat(3, 2, 1, [], []), 101)


def test_the_round_trip_is_measured_now_and_then() -> None:
    """Only the answer to the last question counts."""
    pulse = Pulse(OPTIONS, 100)
    asked = []
    for second in range(10):
        pulse.beat(100 + second)
        asked.append(pulse.probe(100 + second))
    assert asked == [1, None, None, None, None, 6, None, None, None, None]
    pulse.answered(1, 111)
    assert pulse.rtt_s is None
    pulse.answered(6, 105.25)

    assert pulse.rtt_s == pytest.approx(0.25)
