"""What arrives from peers: each publish becomes a delivery or a gap, once.

**Losses.** Each origin numbers its publishes on a channel from 1 without holes. A receiving node keeps, per channel
and origin, the last number that it delivered or reported (the channel's ``heads``). A publish that continues it is
delivered; one that skips numbers makes a gap first; one that goes back is a duplicate and is dropped. So late,
repeated and lost frames of any cause end as a delivery or as a gap, once each.

What a number that never came means depends on whether the origin knew of our interest: a group is *anchored* at an
origin once that has applied the group's join and told where its channels stood (``Heads``). From then on every
missing number is a gap for the group's subscribers; before, it is none. Heads are told again when a link was made
again, which is how the losses of the time between become visible without another publish.

**Keys.** What has a key that subscribers here have taken already, through another node or by an earlier attempt, is
suppressed: its number counts as delivered, and its receipt says so. A publish with a key always asks for a receipt, so
that what asks for none is never looked at for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
    Eagerness,
    Envelope,
    Heads,
    Lost,
    NodeId,
    NoRoute,
    Offer,
    ProtocolError,
    Publish,
    Reason,
    Receipt,
    ReceiptRun,
    Suppressed,
    Taken,
)

from .channel import Channel
from .channel_table import ChannelTable
from .covering import covered_by
from .inbox import Run
from .keyed import digest_of, has_key, key_of
from .keyed_queues import Given, give
from .queueing import Fate
from .route import Route, receipt_runs
from .shared import Shared

__all__ = ["Arrivals", "heads_at"]


class Arrivals:
    """Where the publishes of peers in one scope meet this node's subscribers.

    Args:
        shared: what it has in common with the node's other scopes.
        channels: the channels and local groups.
        current: sees to it that a channel knows its subscribers.
    """

    def __init__(self, shared: Shared, channels: ChannelTable, current: Callable[[Channel], None]) -> None:
        self.channels = channels
        self.statistics = shared.statistics
        self._shared = shared
        self._guard = shared.supervisor.guard
        self._budget = shared.budget
        self._keys = shared.keys
        self._current = current

    def receive(self, origin: NodeId, frame: Publish) -> Receipt | None:
        """Deliver a peer's publishes here; return what to answer, None when it asked for no receipts.

        Raises:
            ProtocolError: a key is none, or nothing can have the channel's name, here and in the others.
        """
        items = frame.items
        count = len(items)
        self.statistics.received += count
        channel = self.channels.wanted(frame.channel)
        if channel is None or channel.failed:
            self.statistics.stale_forward += count
            if channel is None:
                self.channels.no_room(frame.channel, origin, items[0].sequence, items[-1].sequence, self._guard)
            else:
                self._pass_over(channel, origin, items[-1].sequence, "overflow")
            return Receipt([ReceiptRun(frame.receipt, count, delivered=False)]) if frame.receipt else None
        self._current(channel)
        head = channel.heads.get(origin, 0)
        if items[0].sequence != head + 1 or items[-1].sequence != head + count:
            return self._receive_singly(channel, origin, frame)
        if frame.receipt and frame.scope == CHANNEL_SCOPE and has_key(items):
            return self._receive_singly(channel, origin, frame)
        if channel.press is not None and channel.press.shedding:
            return self._receive_singly(channel, origin, frame)
        channel.heads[origin] = head + count
        accepted = self._accepted(channel, Run(channel.name, origin, items))
        if not frame.receipt:
            return None
        return Receipt(receipt_runs(frame.receipt, [(accepted, True), (count - accepted, False)]))

    def _receive_singly(self, channel: Channel, origin: NodeId, frame: Publish) -> Receipt | None:
        """Deliver one by one what has keys, may be shed, or does not continue what was delivered.

        Repeats are skipped, and gaps reported.
        """
        fates: list[tuple[int, bool]] = []
        suppressed: list[Suppressed] = []
        keyed = frame.receipt and frame.scope == CHANNEL_SCOPE
        for index, item in enumerate(frame.items):
            head = channel.heads.get(origin, 0)
            if item.sequence <= head:
                self.statistics.duplicates += 1
                fates.append((1, False))
                continue
            self._pass_over(channel, origin, item.sequence - 1)
            if keyed and has_key((item,)):
                answer = self._receive_keyed(channel, origin, item, frame.receipt + index)
            else:
                answer = self._receive_one(channel, origin, item)
            if isinstance(answer, Suppressed):
                suppressed.append(answer)
            fates.append((1, answer is True))
        return Receipt(receipt_runs(frame.receipt, fates), suppressed) if frame.receipt else None

    def _receive_one(self, channel: Channel, origin: NodeId, item: Envelope) -> bool:
        """Deliver one that is due, unless it is shed; return whether somebody took it."""
        if channel.press is not None and channel.press.sheds(item):
            self.statistics.shed += 1
            self._pass_over(channel, origin, item.sequence, "overflow")
            return False
        channel.heads[origin] = item.sequence
        return self._accepted(channel, Run(channel.name, origin, [item])) == 1

    def _receive_keyed(self, channel: Channel, origin: NodeId, item: Envelope, number: int) -> bool | Suppressed:
        """Deliver what has a key, unless that was taken here before; return whether somebody took it, or why not."""
        keys, key = self._keys, key_of(item)
        before = keys.taken_before(channel.name, key)
        if before is not None:
            channel.heads[origin] = item.sequence
            self._tell_passed(channel, origin, item.sequence)
            return Suppressed(number, before.message_id, before.digest != digest_of(item))
        if not keys.room(channel.name, key):  # it could not be told from its own retry
            self._pass_over(channel, origin, item.sequence, "overflow")
            return False
        accepted = self._receive_one(channel, origin, item)
        if accepted:
            keys.taken(channel.name, key, item, channel.settings.dedup_window_s)
        return accepted

    def _tell_passed(self, channel: Channel, origin: NodeId, sequence: int) -> None:
        """Tell subscribers that are not here up to where they know everything, though they got nothing for it."""
        for group in channel.groups:
            if origin in group.anchored:
                for subscriber in tuple(group.subscribers.values()):
                    heads = {channel.name: sequence}
                    self._guard(subscriber, partial(subscriber.listener.anchored, origin, heads))

    def _accepted(self, channel: Channel, run: Run) -> int:
        """Offer a run to every local subscriber; return how many of its messages the best of them accepted."""
        if not channel.subscribers:
            self.statistics.stale_forward += len(run.items)
        most = 0
        for subscriber in channel.subscribers:
            try:
                accepted = subscriber.offer(run)
            except Exception as error:  # noqa: BLE001 - it is the supervisor's
                self._shared.supervisor.crashed(channel, subscriber, error)
                continue
            self.statistics.delivered += accepted
            most = max(most, accepted)
        if self._budget.passed:
            self._shared.evict()
        if channel.press is not None:
            channel.press.published(0)
        return most

    def receive_offer(self, route: Route, frame: Offer) -> list[Receipt | Taken | NoRoute]:
        """Give a peer's publishes to members of groups here, each to one of each group; return what to answer.

        Raises:
            ProtocolError: it does not follow the peer's last offer, or names a group twice.
        """
        count, number = len(frame.items), frame.number
        if number < route.expected:
            self.statistics.duplicates += count
            return []
        if number > route.expected:
            raise ProtocolError(f"offer {number}, where {route.expected} was due")
        if len(dict(frame.claims)) < len(frame.claims):
            raise ProtocolError("an offer to one group twice")
        route.expected += count
        answers: list[Receipt | Taken | NoRoute] = []
        if frame.plain:
            receipt = self.receive(route.peer, Publish(frame.epoch, frame.channel, frame.receipt, frame.items))
            answers += [receipt] if receipt is not None else []
        else:
            self.statistics.received += count
        channel = self.channels.wanted(frame.channel)
        run = Run(frame.channel, route.peer, frame.items)
        for group, eagerness in frame.claims:
            first = number
            for given in self._given(channel, run, group, Eagerness(eagerness)):
                answers.append(_answer(group, first, given))
                first += given.size
        return answers

    def _given(self, channel: Channel | None, run: Run, group: str, eagerness: Eagerness) -> list[Given]:
        """Give a run to members of a group; return what became of it, in parts."""
        queue = None
        if channel is not None and not channel.failed:
            self._current(channel)
            queue = channel.queue(group)
        if channel is None or queue is None:
            given = [Given(len(run.items), Fate.ABSENT)]
        else:
            given = give(self._shared, channel, queue, run, eagerness)
            if channel.press is not None:
                channel.press.published(0)
        self.statistics.stale_forward += sum(one.size for one in given if one.fate == Fate.ABSENT)
        return given

    def receive_lost(self, origin: NodeId, frame: Lost) -> None:
        """A peer had to drop publishes on the way here."""
        channel = self.channels.wanted(frame.channel)
        if channel is not None:
            self._pass_over(channel, origin, frame.last)

    def receive_heads(self, origin: NodeId, frame: Heads) -> None:
        """A peer tells where its channels stand, having applied our joins up to ``frame.applied``."""
        for name, sequence in frame.heads:
            channel = self.channels.wanted(name)
            if channel is not None:
                self._pass_over(channel, origin, sequence)
        groups = self.channels.groups.values()
        fresh = [one for one in groups if one.joined_at <= frame.applied and origin not in one.anchored]
        heads: dict[str, dict[str, int]] = {group.pattern: {} for group in fresh}
        for pattern, channel in covered_by(self.channels.channels, heads):
            heads[pattern] |= heads_at(origin, (channel,), pattern)
        for group in fresh:
            group.anchored.add(origin)
            for subscriber in tuple(group.subscribers.values()):
                self._guard(subscriber, partial(subscriber.listener.anchored, origin, heads[group.pattern]))

    def _pass_over(self, channel: Channel, origin: NodeId, last: int, reason: str = "link") -> None:
        self._current(channel)
        lost = channel.pass_over(origin, last, reason, self._shared.supervisor.crashed)
        self.statistics.link_lost += lost if reason == "link" else 0


def heads_at(origin: NodeId, channels: Iterable[Channel], pattern: str) -> dict[str, int]:
    """Return up to where an origin's publishes were delivered or told, on the channels of a pattern."""
    # An exact name is told even where it stands at 0: a mailbox holds the anchors of several groups.
    return {one.name: head for one in channels if (head := one.heads.get(origin, 0)) or one.name == pattern}


_REASONS = {
    Fate.DROPPED: Reason.DROPPED,
    Fate.FULL: Reason.FULL,
    Fate.ABSENT: Reason.ABSENT,
    Fate.SUPPRESSED: Reason.SUPPRESSED,
}


def _answer(group: str, first: int, given: Given) -> Taken | NoRoute:
    if given.fate <= Fate.DEFERRED:
        return Taken(group, first, given.size, given.fate == Fate.DEFERRED)
    return NoRoute(group, first, given.size, _REASONS[given.fate], given.original, given.reused)
