"""Delivered plus gaps equals published: nothing is lost in silence, and nothing is told as lost that was not.

Per subscription and stream (a channel, a run of an origin) there are three stretches. Between two deliveries the
sequences say how many are missing, to the number. Before the first delivery and after the last one there is no
number to compare with, so publishes are counted that certainly belong there by the time of their operations: the
books are exact there too once nobody publishes at the stretch's end, which is why runs end with a quiet phase.

From its own node a subscription gets and is told nothing older than itself. From another node it may: its stream
begins where its node has got to, and what was under way to that node, or lost on the way, comes after that.

What is excused: publishes that overlap the subscription's beginning; after the last delivery, everything, if the
subscription or its process ended, or if the run of the origin did (what was in flight at its end).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..events import Deliver, NodeRun
from ..history import History
from ..records import Item, Publication, Stream, SubscriptionRecord, covers
from ..violation import Violation

__all__ = ["e4", "f2", "lost_at_the_end"]


def e4(history: History) -> Iterator[Violation]:
    """What is published at a live subscription's own node is delivered, or counted by a gap where it would stand."""
    for subscription in history.subscriptions.values():
        if subscription.home is not None and not subscription.asked.group:
            yield from _account(history, "E4", subscription, {subscription.home})


def f2(history: History) -> Iterator[Violation]:
    """After a cluster-wide barrier, so is what is published at every node that was linked then."""
    for subscription in history.subscriptions.values():
        if not subscription.asked.group:
            yield from _account(history, "F2", subscription, set(subscription.peers))


def lost_at_the_end(
    history: History, name: str, subscription: SubscriptionRecord, origin: NodeRun
) -> Iterator[Violation]:
    """Find what an origin accepted, and that is neither delivered nor told, although that run is over."""
    for channel in [one for one in history.by_channel if covers(subscription.asked.pattern, one)]:
        yield from _Books(history, name, subscription, (channel, *origin)).check_end()


def _account(
    history: History, name: str, subscription: SubscriptionRecord, origins: set[NodeRun]
) -> Iterator[Violation]:
    for origin in sorted(origins):
        for channel in [one for one in history.by_channel if covers(subscription.asked.pattern, one)]:
            yield from _Books(history, name, subscription, (channel, *origin)).check()


@dataclass(slots=True)
class _Stretches:
    """A stream at a subscription: what was told before its first delivery and after its last."""

    first: Deliver | None = None
    last: Deliver | None = None
    told_before: int = 0
    told_after: int = 0


class _Books:
    """One stream at one subscription."""

    def __init__(self, history: History, name: str, subscription: SubscriptionRecord, stream: Stream) -> None:
        self._history = history
        self._name = name
        self._subscription = subscription
        self._items: list[Item] = subscription.streams.get(stream, [])
        if subscription.asked.causal_s:  # as they came, before some waited for their parents
            self._items = sorted(self._items, key=lambda one: one.sequence if isinstance(one, Deliver) else one.last)
        self._stream = stream
        self._origin: NodeRun = stream[1:]
        self._exact_start = self._origin == subscription.home
        self._numbered = history.numbered_at(self._origin, stream[0])

    def check(self) -> Iterator[Violation]:
        """Find what is missing, and what was told too often."""
        stretches = _Stretches()
        broken = False
        for violation in self._between(stretches):
            broken = True
            yield violation
        if broken:
            return  # the ends' counts follow from it
        yield from self._before(stretches)
        yield from self._after(stretches)

    def check_end(self) -> Iterator[Violation]:
        """Find what is missing after the last delivery, whatever became of the origin."""
        stretches = _Stretches()
        if not any(self._between(stretches)):
            yield from self._lost_after(stretches)

    def _between(self, stretches: _Stretches) -> Iterator[Violation]:
        """Compare sequences; fills in the stretches."""
        sequences = {one.sequence for one in self._items if isinstance(one, Deliver)}
        told, last = 0, 0
        for item in self._items:
            if not isinstance(item, Deliver):
                told += item.count
                continue
            if item.sequence <= last:
                continue  # a repeat, or out of order: another invariant's
            if stretches.first is None:
                stretches.first, stretches.told_before = item, told
            else:
                missing = item.sequence - last - 1
                if missing != told:  # what comes later is out of order, not lost
                    missing -= sum(number in sequences for number in range(last + 1, item.sequence))
                if missing > told:
                    missing -= min(missing - told, self._not_owed(stretches.last) + self._waiting())
                if missing > told:
                    yield self._lost(item, missing - told, f"between sequences {last} and {item.sequence}")
                elif missing < told:
                    yield self._overtold(item, told - missing, f"between sequences {last} and {item.sequence}")
            last, told, stretches.last = item.sequence, 0, item
        stretches.told_after = told

    def _not_owed(self, last: Deliver | None) -> int:
        """Return how many publishes after ``last`` may be missing, since they began before the barrier had returned.

        Another node's messages can arrive before it: while that node does not know yet who wants what, it sends
        everything, and when it knows, it sends nothing until it has heard of the subscription.
        """
        stood = self._subscription.stood
        published = None if last is None else self._history.publications.get((last.client, last.n))
        if self._exact_start or stood is None or published is None:
            return 0
        since, until = published.invoke.t_mono_ns, stood.t_mono_ns
        if since >= until:
            return 0
        return sum(one.end is None or one.end.t_mono_ns > since for one in self._open(0, until))

    def _waiting(self) -> int:
        """Return how many messages may have waited for their parents when the subscription's process was killed."""
        one = self._subscription
        if not one.asked.causal_s or one.settled is not None or one.left is not None:
            return 0
        return sum(published.invoke.parent is not None for published in self._open(0))

    def _before(self, stretches: _Stretches) -> Iterator[Violation]:
        """Before the first delivery: its number, less what may have been numbered before the subscription stood."""
        first, stood = stretches.first, self._subscription.stood
        if first is None or stood is None:
            return
        own = self._history.publications.get((first.client, first.n))
        earlier = self._numbered.begun_before(stood.t_mono_ns)
        if own is not None and own.invoke.t_mono_ns < stood.t_mono_ns:
            earlier -= 1
        surely = 0
        if self._exact_start:
            surely = self._numbered.acknowledged_before(self._subscription.asked.t_mono_ns)
        earlier += self._waiting()
        # What comes after it with a lower number is out of order, not lost.
        late = {one.sequence for one in self._items if isinstance(one, Deliver) and one.sequence < first.sequence}
        told, numbers = stretches.told_before, first.sequence - 1 - len(late)
        if numbers - earlier > told:
            yield self._lost(first, numbers - earlier - told, "before the first delivery")
        elif told > max(0, numbers - surely):
            yield self._overtold(first, told - max(0, numbers - surely), "before the first delivery")

    def _after(self, stretches: _Stretches) -> Iterator[Violation]:
        """After the last delivery: no more than may have been published, nor, if it lives, less than certainly was."""
        last, told = stretches.last, stretches.told_after
        if self._subscription.stood is None:
            return
        published = None if last is None else self._history.publications.get((last.client, last.n))
        possible = self._possible(published, told)
        if told > possible:
            yield self._overtold(self._items[-1], told - possible, "at the end")
        due, ended = self._subscription.due(self._origin), self._history.ended(self._origin)
        if due is not None and (ended is None or ended >= due):
            yield from self._lost_after(stretches)

    def _lost_after(self, stretches: _Stretches) -> Iterator[Violation]:
        """After the last delivery: publishes that certainly came later, or, without one, since it stood."""
        stood, last, told = self._subscription.stood, stretches.last, stretches.told_after
        due = self._subscription.due(self._origin)
        if stood is None or due is None:
            return
        published = None if last is None else self._history.publications.get((last.client, last.n))
        since = begun = stood.t_mono_ns
        if last is not None:
            since = max(since, last.t_mono_ns if published is None else _numbered_by(published, last))
        if published is not None:
            begun = min(since, published.invoke.t_mono_ns)
        missing = [
            one for one in self._open(begun, due)
            if one.origin == self._origin and one.outcome == "ok" and _within(one, since, due, last)
        ]  # fmt: skip
        if len(missing) > told:
            text = f"{len(missing)} publishes were not delivered at the end, {told} of them told: {self._where()}"
            yield Violation(self._name, "lost", missing[-1].invoke, text, len(missing) - told)

    def _possible(self, last: Publication | None, told: int) -> int:
        """Return how many the gaps at the end may speak of, or some of them if ``told`` is no more."""
        begun = 0
        if last is not None:
            begun = last.invoke.t_mono_ns
        elif self._exact_start:
            begun = self._subscription.asked.t_mono_ns
        for first in (begun, 0):
            possible = sum(
                one.end is None or one.end.type == "info" or one.end.t_mono_ns > begun
                for one in (self._open(first) if told else ())
            )
            if told <= possible:
                break
        return possible

    def _open(self, first: int, last: float = float("inf")) -> list[Publication]:
        """Return the publishes of a time that the subscription did not get."""
        got = self._subscription.got
        return [one for one in self._numbered.begun_between(first, last) if one.key not in got]

    def _lost(self, item: Item, count: int, place: str) -> Violation:
        return Violation(
            self._name, "lost", item, f"{count} neither delivered nor told {place}: {self._where()}", count
        )

    def _overtold(self, item: Item, count: int, place: str) -> Violation:
        text = f"{count} told as lost that were not {place}: {self._where()}"
        return Violation(self._name, "phantom", item, text, count)

    def _where(self) -> str:
        asked = self._subscription.asked
        channel, origin, epoch = self._stream
        return f"{channel} of {origin}/{epoch} at {asked.proc}#{asked.id} ({asked.pattern})"


def _numbered_by(published: Publication, delivery: Deliver) -> int:
    """Return when a message certainly had its number: it was acknowledged, or delivered."""
    if published.outcome == "ok" and published.end is not None:
        return min(published.end.t_mono_ns, delivery.t_mono_ns)
    return delivery.t_mono_ns


def _within(one: Publication, since: int, due: int, last: Deliver | None) -> bool:
    """Whether a publish certainly was numbered after ``since`` or after the last delivery, and before ``due``."""
    if one.end is None or one.end.t_mono_ns > due:
        return False
    later = last is not None and one.invoke.client == last.client and one.invoke.id > last.n
    return later or one.invoke.t_mono_ns >= since
