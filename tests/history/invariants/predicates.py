"""Predicates of subscriptions.

A predicate is a function of the run's own, which writes down what it does not want; what it wants is written down when
it is handed out. So what a subscription is handed, what its predicate refused and what its gaps count are together all
that was sent to it: that is E4's and F2's, and this says which is which.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events import Deliver
from ..history import History
from ..violation import Violation

__all__ = ["e7"]


def e7(history: History) -> Iterator[Violation]:
    """Who has a predicate is handed what it wants, and nothing else; what it raises on is not wanted."""
    for subscription in history.subscriptions.values():
        where = subscription.asked.where
        for delivery in (*subscription.firsts, *subscription.repeats):
            if delivery.wanted and not _wants(where, delivery):
                yield Violation("E7", "phantom", delivery, f"{where} does not want publish {delivery.n}")
            elif not delivery.wanted and _wants(where, delivery):
                yield Violation("E7", "lost", delivery, f"{where} wants publish {delivery.n}")
        for delivery in subscription.insisted:
            yield Violation("E7", "phantom", delivery, "its predicate was asked, and had not wanted it")


def _wants(where: tuple[int, int] | None, delivery: Deliver) -> bool:
    return where is None or delivery.n % where[0] == where[1]
