"""What a subscription is handed: only what was published, once, and of no run that was over before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..events import Deliver
from ..history import History
from ..records import Publication
from ..violation import Violation

__all__ = ["crossed", "duplicates", "e1", "e2", "e5", "phantoms"]


def e1(history: History) -> Iterator[Violation]:
    """A node's subscriptions are handed nothing that was not published, with the very content."""
    return phantoms(history, "E1", lambda delivery: not crossed(delivery))


def e2(history: History) -> Iterator[Violation]:
    """A node's own messages reach a subscription instance at most once."""
    return duplicates(history, "E2", lambda delivery: not crossed(delivery))


def e5(history: History) -> Iterator[Violation]:
    """Nothing ephemeral outlives its node: of a run that was over, later subscriptions are handed nothing."""
    for subscription in history.subscriptions.values():
        began = subscription.asked.t_mono_ns
        over = set()
        for _, origin, epoch in subscription.streams:
            ended = history.ended((origin, epoch))
            if ended is not None and ended < began:
                over.add((origin, epoch))
        if over:
            for delivery in (*subscription.firsts, *subscription.repeats):
                if (delivery.origin, delivery.origin_epoch) in over:
                    text = f"{delivery.origin}, epoch {delivery.origin_epoch}, was over before this subscription began"
                    yield Violation("E5", "phantom", delivery, text)


def crossed(delivery: Deliver) -> bool:
    """Whether a message came from another node than the one that handed it out."""
    return delivery.node != delivery.origin


def phantoms(history: History, name: str, mine: Callable[[Deliver], bool]) -> Iterator[Violation]:
    """Find deliveries, of those that are ``mine``, of what was not published."""
    for subscription in history.subscriptions.values():
        for delivery in (*subscription.firsts, *subscription.repeats):
            published = history.publications.get((delivery.client, delivery.n))
            if published is None:
                wrong = "nobody published this"
            else:
                invoke = published.invoke
                if (
                    invoke.hash == delivery.hash
                    and invoke.nonce == delivery.nonce
                    and invoke.channel == delivery.channel
                    and invoke.t_mono_ns <= delivery.t_mono_ns
                    and (published.end is None or published.end.type != "fail")
                ):
                    continue
                wrong = _difference(published, delivery)
            if mine(delivery):
                yield Violation(name, "phantom", delivery, wrong)


def _difference(published: Publication, delivery: Deliver) -> str:
    invoke = published.invoke
    if invoke.channel != delivery.channel:
        return f"it was published on {invoke.channel}"
    if invoke.t_mono_ns > delivery.t_mono_ns:
        return "it was published later"
    if published.outcome == "fail":
        return "its publish was refused"
    return "its content is not what was published"


def duplicates(history: History, name: str, mine: Callable[[Deliver], bool]) -> Iterator[Violation]:
    """Find deliveries, of those that are ``mine``, of what the same subscription had got before."""
    for subscription in history.subscriptions.values():
        for delivery in subscription.repeats:
            if mine(delivery):
                yield Violation(name, "duplicated", delivery, "this subscription had got it before")
