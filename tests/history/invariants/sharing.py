"""Groups of subscriptions that share what is published."""

from __future__ import annotations

from collections.abc import Iterator

from ..events import Deliver
from ..history import History
from ..records import Key, covers
from ..violation import Violation

__all__ = ["e6"]


def e6(history: History) -> Iterator[Violation]:
    """Each message comes to one subscription of a group at most, over all nodes and clients, and to one that covers it.

    What has a key may be published again, and reach another member if some have come or gone: see I2 and I3.
    """
    taken: dict[tuple[str, Key], Deliver] = {}
    for subscription in history.subscriptions.values():
        asked = subscription.asked
        for delivery in subscription.firsts if asked.group else ():
            if not covers(asked.pattern, delivery.channel):
                yield Violation("E6", "phantom", delivery, f"{asked.pattern} does not cover {delivery.channel}")
            key = delivery.client, delivery.n
            former = taken.setdefault((asked.group, key), delivery)
            if former is not delivery and key not in history.keyed:
                where = f"{former.proc}#{former.id}"
                yield Violation("E6", "duplicated", delivery, f"{where} of group {asked.group} had got it before")
