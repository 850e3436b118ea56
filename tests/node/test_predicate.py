"""The predicate of a subscription, over a clock that a test moves."""

from __future__ import annotations

import logging

import pytest

from liminal_mesh.cluster import Encoding, Envelope, NodeId
from liminal_mesh.node.inbox import Run
from liminal_mesh.node.message import Message
from liminal_mesh.node.predicate import Predicate

from .test_message import Counter


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        """Return them."""
        return self.now


def message(number: int) -> Message:
    """Return a message with a number."""
    envelope = Envelope(number, number, 0, 1, Encoding.TEXT, str(number).encode())
    return Message(envelope, Run("ticks", NodeId("a", 9), [envelope]), Counter())


def test_the_truth_of_the_answer_counts() -> None:
    """CH4: as with ``filter``."""
    clock = Clock()
    predicate = Predicate(lambda one: [None, 0, "", 1, "x", True, False][one.sequence], "ticks", clock)

    assert [predicate.wants(message(number)) for number in range(7)] == [False] * 3 + [True] * 3 + [False]
    assert (predicate.filtered, predicate.errors) == (4, 0)


def test_a_hundred_looks_or_two_milliseconds_are_a_turn() -> None:
    """CH4: whichever comes first; a look at a message that is wanted counts as well."""
    clock = Clock()
    quick = Predicate(lambda _: True, "ticks", clock)
    assert not quick.tired
    for number in range(127):
        quick.wants(message(number))
        assert not quick.tired
    quick.wants(message(127))
    assert quick.tired
    quick.rest()
    assert not quick.tired

    def slow(_: Message) -> bool:
        clock.now += 0.0011
        return False

    lazy = Predicate(slow, "ticks", clock)
    lazy.wants(message(1))
    assert not lazy.tired
    lazy.wants(message(2))
    assert lazy.tired
    lazy.rest()
    clock.now += 1.0
    assert not lazy.tired


def test_an_error_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """CH4: with how many there were, and how many lines were held back."""
    clock = Clock()
    predicate = Predicate(lambda one: 1 // (one.sequence % 2), "m.*", clock)
    with caplog.at_level(logging.ERROR, "liminal.subscription"):
        for number in range(20):
            assert predicate.wants(message(number)) is bool(number % 2)
            clock.now += 1.0

    fields = [record.__dict__["fields"] for record in caplog.records]
    assert [(one["errors"], one.get("held_back", 0)) for one in fields] == [(1, 0), (6, 4)]
    assert {one["subscription"] for one in fields} == {"m.*"}
    assert all(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)
    assert (predicate.filtered, predicate.errors) == (10, 10)


def test_who_stops_the_program_is_not_held_up() -> None:
    """CH4: only errors are turned into an answer."""

    def stop(_: Message) -> bool:
        raise KeyboardInterrupt

    predicate = Predicate(stop, "ticks", Clock())
    with pytest.raises(KeyboardInterrupt):
        predicate.wants(message(1))
    assert (predicate.filtered, predicate.errors) == (0, 0)
