"""In which order messages are first handed out.

Where causal order is asked for, what waits for its parent is overtaken: that is judged by those that overtake it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..events import Deliver
from ..history import History
from ..records import SubscriptionRecord
from ..violation import Violation
from .content import crossed

__all__ = ["disorder", "e3", "o1"]


def e3(history: History) -> Iterator[Violation]:
    """What one publisher session publishes on a channel is first delivered in that order, within a node."""
    return disorder(history, "E3", lambda delivery: not crossed(delivery))


def o1(history: History) -> Iterator[Violation]:
    """Sequences of a channel and a run of an origin grow, for each subscriber, on first delivery."""
    for subscription in _ordered(history):
        last: dict[tuple[str, str, int], int] = {}
        for delivery in subscription.firsts:
            stream = delivery.channel, delivery.origin, delivery.origin_epoch
            former = last.get(stream, 0)
            if delivery.sequence > former:
                last[stream] = delivery.sequence
            elif not _waited(subscription, delivery):
                yield Violation("O1", "reordered", delivery, f"sequence {delivery.sequence} came after {former}")


def disorder(history: History, name: str, mine: Callable[[Deliver], bool]) -> Iterator[Violation]:
    """Find first deliveries, of those that are ``mine``, that came after a later publish of the same session.

    A session is a client's connection: the messages of one process of an origin. What a client publishes over two
    connections is two sessions.
    """
    for subscription in _ordered(history):
        last: dict[tuple[str, str, str, int, int], int] = {}
        for delivery in subscription.firsts:
            if not delivery.client or (delivery.client, delivery.n) in history.keyed:
                continue  # nobody's: a phantom; or published as often as it took
            session = (
                delivery.client, delivery.channel, delivery.origin, delivery.origin_epoch, delivery.publisher
            )  # fmt: skip
            former = last.get(session, 0)
            if delivery.n >= former:
                last[session] = delivery.n
            elif mine(delivery) and not _waited(subscription, delivery):
                text = f"publish {delivery.n} of {delivery.client} came after its publish {former}"
                yield Violation(name, "reordered", delivery, text)


def _waited(subscription: SubscriptionRecord, delivery: Deliver) -> bool:
    """Whether a delivery may have waited for its parent."""
    return bool(subscription.asked.causal_s) and delivery.cause is not None


def _ordered(history: History) -> Iterator[SubscriptionRecord]:
    """Yield the subscriptions that get all: what a group shares may be passed on, and come late."""
    return (one for one in history.subscriptions.values() if not one.asked.group)
