"""Operations end."""

from __future__ import annotations

from collections.abc import Iterator

from ..history import History
from ..records import Lifetime
from ..violation import Violation

__all__ = ["q1"]


def q1(history: History) -> Iterator[Violation]:
    """In a process that ended well, every publish and subscribe has ended; whoever settled got the last messages."""

    def well(proc: str) -> bool:
        lifetime: Lifetime | None = history.lifetimes.get(proc)
        return lifetime is not None and lifetime.ended is not None and not lifetime.killed

    for one in history.publications.values():
        if one.end is None and one.key not in history.keyed and well(one.invoke.proc):
            yield Violation("Q1", "stuck", one.invoke, "its process ended well, and this publish never did")
    for attempt in history.attempts.values():
        if attempt.end is None and well(attempt.invoke.proc):
            yield Violation("Q1", "stuck", attempt.invoke, "its process ended well, and this attempt never did")
    for subscription in history.subscriptions.values():
        if subscription.answered is None and well(subscription.asked.proc):
            yield Violation("Q1", "stuck", subscription.asked, "its process ended well, and this subscribe never did")
        if subscription.unsettled is not None:
            missing = subscription.unsettled.missing
            text = f"all was quiet, and the last messages did not come: {missing[:5]}"
            yield Violation("Q1", "stuck", subscription.unsettled, text)
