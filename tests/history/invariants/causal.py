"""Causal order: who asks for it gets a message after the one that caused it.

A publish writes down which content it names as its parent, and by which reference; there may be no such content. What
waits for a parent may be overtaken by what does not, so sequences say less here: see ``order``.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events import Deliver
from ..history import History
from ..records import Key, Publication, SubscriptionRecord, covers
from ..violation import Violation

__all__ = ["o4"]


def o4(history: History) -> Iterator[Violation]:
    """Who asks for causal order gets no child before its parent, unless it had waited for so long, and says so."""
    for subscription in history.subscriptions.values():
        come: set[Key] = set()
        children: dict[Key, list[Deliver]] = {}
        for delivery in subscription.firsts:
            key = delivery.client, delivery.n
            for child in children.pop(key, ()):
                yield Violation("O4", "reordered", child, f"it came before its parent {key}, and was no orphan")
            come.add(key)
            published = history.publications.get(key)
            if published is None:
                continue
            if delivery.cause != published.invoke.cause:
                text = f"it names {delivery.cause} as its parent, and {published.invoke.cause} was named"
                yield Violation("O4", "phantom", delivery, text)
            parent = published.invoke.parent
            if delivery.orphaned:
                wrong = _no_orphan(history, subscription, delivery, published, come)
                if wrong:
                    yield Violation("O4", "reordered", delivery, f"it is called an orphan, and {wrong}")
            elif subscription.asked.causal_s and parent is not None and parent not in come:
                children.setdefault(parent, []).append(delivery)
                if _due(history, subscription, delivery, parent):
                    text = f"{delivery.cause} never came, and is not over, and it is called no orphan"
                    yield Violation("O4", "reordered", delivery, text)


def _no_orphan(
    history: History, subscription: SubscriptionRecord, delivery: Deliver, published: Publication, come: set[Key]
) -> str:
    """Return why a message that is called an orphan cannot be one; "" if it may."""
    asked, left, parent, cause = subscription.asked, subscription.left, published.invoke.parent, published.invoke.cause
    if not asked.causal_s:
        return "this subscription waits for no parents"
    if parent is None or cause is None:
        return "it named no parent"
    if parent in come:
        return f"its parent {parent} had come"
    if not covers(asked.pattern, cause[0]):
        return f"nobody waits for its parent on {cause[0]}"
    over = left is not None and left.t_mono_ns <= delivery.t_mono_ns  # then nothing is waited for any more
    over = over or history.leaving((delivery.node, delivery.epoch), delivery.t_mono_ns)
    if not over and delivery.t_mono_ns - published.invoke.t_mono_ns < asked.causal_s * 1e9:
        return f"it has waited for less than {asked.causal_s:g} s"
    return ""


def _due(history: History, subscription: SubscriptionRecord, delivery: Deliver, parent: Key) -> bool:
    """Whether a parent that was never published would still be waited for."""
    if delivery.cause is None or parent in history.publications:
        return False
    channel, origin, epoch, _ = delivery.cause
    ended = history.ended((origin, epoch))
    return covers(subscription.asked.pattern, channel) and (ended is None or ended > delivery.t_mono_ns)
