"""Causal order for one subscription: a message waits until the one that caused it was handed out.

Everything that arrives goes in, and comes out in ``ready``, in the order in which it may be handed out. A message is
held while the parent that it names may still come, which the numbers of its stream tell: once the stream has passed
the parent's number, the parent has come, was told as lost, or is older than the subscription. Whatever names no
parent, or one on a channel that the subscription does not cover, is not held back by anybody.

A parent may never come although nobody says so. So nothing is held for longer than a while, and only so much is held:
then the topmost held ancestor of the oldest message goes out as an *orphan*, flagged, and whatever was held behind it
follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple, TypeAlias

from liminal_mesh.cluster import CHANNEL_SCOPE, NodeId, ProtocolError

from .message import Message, alone, orphan
from .reference import Reference
from .values import Gap

__all__ = ["NEVER", "CausalBounds", "CausalOrder"]

NEVER: Final = float("inf")
"""When nothing is due."""

ORIGINS_MAX: Final = 1024
"""Of so many nodes is known where they stand: of more than a mesh has, but not of all that ever were in it."""

Stream: TypeAlias = "tuple[str, str, int]"
"""Channel, origin, epoch."""


class _Place(NamedTuple):
    """Where a message stands: a stream, and its number in it."""

    stream: Stream
    sequence: int


@dataclass(frozen=True, slots=True)
class CausalBounds:
    """How long messages wait for their parents, in seconds, and how many of them, in messages and in bytes."""

    wait_s: float = 5.0
    messages: int = 1024
    size: int = 4 * 1024 * 1024

    @classmethod
    def told(cls, limits: Mapping[str, int]) -> CausalBounds:
        """Return what a node's greeting says of them; the defaults, where it says nothing."""
        usual = cls()
        return cls(
            limits.get("causal_wait_ms", usual.wait_s * 1000) / 1000,
            limits.get("causal_messages", usual.messages),
            limits.get("causal_bytes", usual.size),
        )


@dataclass(slots=True)
class _Held:
    """A message that waits."""

    message: Message
    parent: _Place
    due: float
    size: int
    number: int
    """Counts those that had to wait."""


class CausalOrder:
    """Puts the messages of one subscription into causal order.

    Args:
        covers: whether the subscription gets what is published on a channel.
        bounds: of what is held.

    Attributes:
        ready: what may be handed out, in order.
        orphans: how many went out without their parent.
        due: when :meth:`expire` has something to do, in the seconds that it is given; infinite when nothing is held.
    """

    __slots__ = (
        "_awaited", "_bounds", "_covers", "_epochs", "_heads", "_held", "_numbers", "_size", "due", "orphans", "ready",
    )  # fmt: skip

    def __init__(self, covers: Callable[[str], bool], bounds: CausalBounds) -> None:
        self.ready: deque[Message | Gap] = deque()
        self.orphans = 0
        self.due = NEVER
        self._covers = covers
        self._bounds = bounds
        self._epochs: dict[str, int] = {}
        """The run of each origin that was seen last; whose run is the oldest news comes first."""
        self._heads: dict[Stream, int] = {}
        """Up to where the streams of these runs have come."""
        self._held: dict[_Place, _Held] = {}
        """In the order of arrival, and so of their times."""
        self._size = self._numbers = 0
        self._awaited: dict[Stream, dict[int, dict[_Place, None]]] = {}
        """Parents, by stream and number, to those that are held behind them."""

    @property
    def waiting(self) -> int:
        """How many messages are in here."""
        return len(self._held) + sum(1 for item in self.ready if isinstance(item, Message))

    def take(self, item: Message | Gap, now: float) -> None:
        """Take what has arrived, at a time in seconds."""
        stream = (item.channel, item.origin, item.epoch)
        if isinstance(item, Gap):
            self.ready.append(item)
            self._pass(stream, item.last)
            return
        sequence = item.sequence
        head = self._heads.get(stream)
        if head is not None and sequence == head + 1:
            self._heads[stream] = sequence
        else:
            self._pass(stream, sequence - 1)
            self._pass(stream, sequence, comes=True)
        place = _Place(stream, sequence)
        parent = self._parent(item)
        if parent is not None and place not in self._held:
            self._hold(place, item, parent, now)
            return
        self.ready.append(item)
        if sequence in self._awaited.get(stream, ()):
            self._follow(place)

    def anchor(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """Nothing of an origin comes up to these numbers any more."""
        for channel, sequence in heads.items():
            self._pass((channel, *origin), sequence)

    def expire(self, now: float) -> None:
        """Let go of what has waited long enough."""
        while self.due <= now:
            self._let_go(next(iter(self._held)))

    def close(self) -> None:
        """Let go of everything: nothing comes any more."""
        while self._held:
            self._let_go(next(iter(self._held)))

    # --- what is known of streams ---

    def _head(self, stream: Stream) -> int:
        """Return up to where a stream has come: nothing more of it comes once a later run of its origin was seen."""
        _, origin, epoch = stream
        return 1 << 64 if self._epochs.get(origin, 0) > epoch else self._heads.get(stream, 0)

    def _pass(self, stream: Stream, last: int, *, comes: bool = False) -> None:
        """A stream has come up to ``last``; unless that is what ``comes``, whatever waits for less waits in vain."""
        head = self._head(stream)
        if last <= head:
            return
        _, origin, epoch = stream
        if self._epochs.get(origin, -1) < epoch:
            self._epochs.pop(origin, None)
            self._epochs[origin] = epoch
            self._end_runs_before(origin, epoch)
            if len(self._epochs) > ORIGINS_MAX:
                self._forget(next(iter(self._epochs)))
        self._heads[stream] = last
        if not comes:
            self._give_up(stream, head, last)

    def _end_runs_before(self, origin: str, epoch: int) -> None:
        """A later run of an origin was seen: of those before it comes nothing more."""
        for stream in [one for one in self._heads if one[1] == origin and one[2] < epoch]:
            del self._heads[stream]
        for stream in [one for one in self._awaited if one[1] == origin and one[2] < epoch]:
            self._give_up(stream, 0, 1 << 64)

    def _forget(self, origin: str) -> None:
        """Know nothing of an origin any more; what waits for it waits on, and what comes of it begins anew."""
        del self._epochs[origin]
        for stream in [one for one in self._heads if one[1] == origin]:
            del self._heads[stream]

    def _give_up(self, stream: Stream, after: int, last: int) -> None:
        """Hand out what waits for these numbers of a stream, unless those are held themselves."""
        places = [_Place(stream, one) for one in self._awaited.get(stream, ()) if after < one <= last]
        self._follow(*(place for place in places if place not in self._held))

    def _parent(self, message: Message) -> _Place | None:
        """Return the parent that a message has to wait for, None when it has not."""
        try:
            parent: Reference | None = message.causal
        except ProtocolError:  # another program's; whoever reads it hears of that
            return None
        if parent is None or parent.scope != CHANNEL_SCOPE or not self._covers(parent.channel):
            return None
        place = _Place((parent.channel, parent.origin, parent.epoch), parent.sequence)
        return place if parent.sequence > self._head(place.stream) or place in self._held else None

    # --- what is held ---

    def _hold(self, place: _Place, message: Message, parent: _Place, now: float) -> None:
        lone, size = alone(message)
        self._numbers += 1
        held = self._held[place] = _Held(lone, parent, now + self._bounds.wait_s, size, self._numbers)
        self._size += held.size
        self._awaited.setdefault(parent.stream, {}).setdefault(parent.sequence, {})[place] = None
        while len(self._held) > self._bounds.messages or self._size > self._bounds.size:
            self._let_go(next(iter(self._held)))
        self._look()

    def _let_go(self, place: _Place) -> None:
        """Hand out a held message: first the topmost of its ancestors that are held, as an orphan."""
        seen = {place}
        top = place
        while (above := self._held[top].parent) in self._held and above not in seen:  # programs can name circles
            seen.add(above)
            top = above
        held = self._release(top)
        awaited = self._awaited[held.parent.stream]
        del awaited[held.parent.sequence][top]
        if not awaited[held.parent.sequence]:
            del awaited[held.parent.sequence]
        if not awaited:
            del self._awaited[held.parent.stream]
        self.orphans += 1
        self.ready.append(orphan(held.message))
        self._follow(top)
        self._look()

    def _follow(self, *places: _Place) -> None:
        """Hand out what is held behind messages that were handed out, or that will not come.

        It goes in the order of arrival, as far as parents come first: of one stream nothing is mixed up by that.
        """
        free = [one for place in places for one in self._behind(place)]
        heapify(free)
        while free:
            _, child = heappop(free)
            self.ready.append(self._release(child).message)
            for one in self._behind(child):
                heappush(free, one)
        self._look()

    def _behind(self, place: _Place) -> list[tuple[int, _Place]]:
        """Return what is held behind a message, and is no more from now on: when each arrived, and its place."""
        stream, sequence = place
        awaited = self._awaited.get(stream)
        children = None if awaited is None else awaited.pop(sequence, None)
        if awaited is None or children is None:
            return []
        if not awaited:
            del self._awaited[stream]
        return [(self._held[child].number, child) for child in children]

    def _release(self, place: _Place) -> _Held:
        held = self._held.pop(place)
        self._size -= held.size
        return held

    def _look(self) -> None:
        self.due = next(iter(self._held.values())).due if self._held else NEVER
