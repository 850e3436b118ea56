"""Publishes with keys: each is answered with one original, and handed out once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..events import Attempt, Deliver, NodeRun
from ..history import History
from ..records import Key, KeyedAttempt
from ..violation import Violation

__all__ = ["i2", "i3"]


def i2(history: History) -> Iterator[Violation]:
    """All who are told at one node that a key was delivered are told of one message, which somebody had published."""
    originals: dict[tuple[NodeRun, tuple[str, str]], Attempt] = {}
    attempts: dict[tuple[str, str], list[KeyedAttempt]] = defaultdict(list)
    for attempt in history.attempts.values():
        attempts[attempt.place].append(attempt)
    for attempt in history.attempts.values():
        end = attempt.end
        if end is None or end.type != "ok" or not (end.delivered or end.duplicate):
            continue
        first = originals.setdefault(((end.node, end.epoch), attempt.place), end)
        if first.message != end.message:
            text = f"message {end.message} of {attempt.place}, where another one was told of message {first.message}"
            yield Violation("I2", "duplicated", end, text)
        others = (one for one in attempts[attempt.place] if one is not attempt and one.outcome != "fail")
        if end.duplicate and not any(one.invoke.t_mono_ns < end.t_mono_ns for one in others):
            yield Violation("I2", "phantom", end, f"a duplicate of nothing: {attempt.place}")


def i3(history: History) -> Iterator[Violation]:
    """What bears a key is handed to a subscription at most once by one node."""
    for subscription in history.subscriptions.values():
        seen: dict[tuple[NodeRun, str, Key], Deliver] = {}
        for delivery in subscription.firsts:
            content = delivery.client, delivery.n
            if content in history.keyed:
                place = (delivery.node, delivery.epoch), delivery.channel, content
                former = seen.setdefault(place, delivery)
                if former is not delivery:
                    text = f"it had got message {former.message} of {former.origin} under the same key before"
                    yield Violation("I3", "duplicated", delivery, text)
