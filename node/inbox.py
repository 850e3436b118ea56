"""What waits for one subscriber: bounded, in order, with every loss on record.

The bus hands over *runs*: consecutive messages of one origin on one channel, shared by all subscribers that get
them, so that a fan-out costs one append a subscriber and not one object a message. The bound is a credit (what the
subscriber has in hand, ``max_in_flight``) and a buffer behind it, both in messages, and a number of bytes.
Up to the credit a message is *accepted*, up to the buffer *deferred*; beyond both the overflow policy decides whom it
costs. What is lost is merged into gaps, which the subscriber gets in their place: before whatever followed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from liminal_mesh.cluster import Envelope, NodeId, encode_envelopes

from .values import Gap

__all__ = ["MESSAGE_OVERHEAD_BYTES", "Anchor", "Budget", "Inbox", "Overflow", "Run", "weight"]

Overflow = Literal["drop-oldest", "drop-newest", "reject", "disconnect"]

MESSAGE_OVERHEAD_BYTES: Final = 160
"""What an envelope weighs beside its body, so that empty messages are not free."""

OPTION_OVERHEAD_BYTES: Final = 64
"""What an option weighs beside its value."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """From ``heads`` (channel to sequence) on, everything of ``origin`` is delivered or shows as a gap."""

    origin: NodeId
    heads: Mapping[str, int]


Notes: TypeAlias = "dict[tuple[str, NodeId, str], Gap | Anchor]"
"""What is to be told beside messages: losses by channel, origin and reason; anchors by origin."""


class Run:
    """Consecutive messages of one origin on one channel; shared, and never changed.

    Attributes:
        items: the envelopes, with sequences that grow: by one, unless members of groups share them.
        size: their weight in bytes.
    """

    __slots__ = ("_encoded", "_part", "channel", "items", "origin", "size")

    def __init__(self, channel: str, origin: NodeId, items: list[Envelope]) -> None:
        self.channel = channel
        self.origin = origin
        self.items = items
        self.size = _weights(items)
        self._encoded = b""
        self._part = (0, 0, b"")

    def encoded(self) -> bytes:
        """Return the envelopes' bytes, made once for all peers and clients that get the run."""
        if not self._encoded:
            self._encoded = encode_envelopes(self.items)
        return self._encoded

    def part(self, start: int, stop: int) -> bytes:
        """Return the bytes of some of the envelopes, made once for all clients that get the same part next."""
        if stop - start == len(self.items):
            return self.encoded()
        if self._part[:2] != (start, stop):
            self._part = start, stop, encode_envelopes(self.items[start:stop])
        return self._part[2]


def _weights(envelopes: list[Envelope]) -> int:
    """Return what they count together: the sum of their weights, without a call for each."""
    return MESSAGE_OVERHEAD_BYTES * len(envelopes) + sum(
        [_content(item) if item.options else len(item.body) for item in envelopes]
    )


def weight(envelope: Envelope) -> int:
    """Return what one envelope counts against a bound, in bytes."""
    return _content(envelope) + MESSAGE_OVERHEAD_BYTES


def _content(envelope: Envelope) -> int:
    """Return the bytes of a body and of the options, which a client can make much larger than the body."""
    options = envelope.options or {}
    return len(envelope.body) + sum(map(len, options.values())) + OPTION_OVERHEAD_BYTES * len(options)


class Budget:
    """Bytes that several inboxes may hold together; whoever keeps the budget empties the largest when it is passed.

    Args:
        limit: the most bytes.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    @property
    def passed(self) -> bool:
        """Whether they hold more than they may."""
        return self.used > self.limit


class Inbox:
    """The bounded inbox of one subscription.

    What the subscriber has been handed and has not finished is *lent*; it uses the credit. :meth:`take` lends,
    :meth:`settle` (or ``lent -= 1``) takes back.

    Args:
        credit: messages that may be lent before the buffer is used (``max_in_flight``).
        messages: messages in the buffer behind the credit.
        size: bytes that may wait.
        overflow: what happens when credit and buffer are both full.
        budgets: what it shares with other inboxes.

    Raises:
        ValueError: a bound is zero.
    """

    __slots__ = (
        "_after", "_before", "_budgets", "_queue", "bytes", "credit", "dropped", "lent", "limit", "messages",
        "overflow", "overflowed", "passed", "queued", "size",
    )  # fmt: skip

    def __init__(
        self, credit: int, messages: int, size: int, overflow: Overflow, budgets: tuple[Budget, ...] = ()
    ) -> None:
        if min(credit, messages, size) < 1:
            raise ValueError(f"credit={credit}, messages={messages}, size={size}: each must be at least 1")
        self.credit, self.messages, self.size = credit, messages, size
        self.overflow: Overflow = overflow
        self.limit = credit + messages
        self.queued = self.lent = self.bytes = 0
        self.passed = 0
        """All messages that ever left the queue at its head, lent or dropped: it is first in, first out."""
        self._budgets = budgets
        self.dropped = 0
        self.overflowed: tuple[str, int] | None = None
        """The bound of ``[limits]`` that was passed, with the policy ``disconnect``: nothing more is taken."""
        self._queue: deque[tuple[Run, int] | tuple[NodeId, Gap | Anchor]] = deque()
        self._before: Notes = {}
        self._after: Notes = {}

    def __len__(self) -> int:
        """Return how many messages are held."""
        return self.queued + self.lent

    def __bool__(self) -> bool:
        """Whether :meth:`take` would return something, given credit."""
        return bool(self._queue or self._before or self._after)

    def offer(self, run: Run) -> int:
        """Take messages from the front of ``run`` as the bounds and the policy allow; return how many were accepted."""
        count = len(run.items)
        if self.queued + self.lent + count > self.limit or self.bytes + run.size > self.size or self.overflowed:
            return self._overflow(run)
        if self._after:
            self._place_gaps()
        self._queue.append((run, 0))
        self.queued += count
        self._charge(run.size)
        return count

    def room(self, run: Run) -> bool:
        """Whether the whole run fits."""
        return len(self) + len(run.items) <= self.limit and self.bytes + run.size <= self.size

    def note_gap(self, origin: NodeId, gap: Gap) -> None:
        """Put a gap behind everything that waits; gaps of one stream and reason become one."""
        _merge(self._after, origin, gap)

    def note_anchor(self, anchor: Anchor) -> None:
        """Put an anchor behind everything that waits."""
        _merge(self._after, anchor.origin, anchor)

    def take(self, most: int) -> tuple[Run, int, int] | Gap | Anchor | None:
        """Return the next note, or lend up to ``most`` messages: a run and the slice of it that is meant.

        Returns None when nothing waits, or when ``most`` is not positive and no note comes first.
        """
        if self._before:
            return self._before.pop(next(iter(self._before)))
        if not self._queue:
            if not self._after:
                return None
            self._place_gaps()
        run, start = self._queue[0]
        if not isinstance(start, int):
            self._queue.popleft()
            return start
        if most <= 0:
            return None
        assert isinstance(run, Run)
        stop = len(run.items)
        if start == 0 and stop <= most:
            self._queue.popleft()
            self._charge(-run.size)
        else:
            stop = min(stop, start + most)
            self._consume(run, start, stop)
        self.queued -= stop - start
        self.passed += stop - start
        self.lent += stop - start
        return run, start, stop

    def settle(self, count: int) -> None:
        """The subscriber is done with ``count`` of what it was lent.

        Raises:
            ValueError: it was not lent so many; nothing is taken back.
        """
        if count > self.lent:
            raise ValueError(f"{count} messages are done, where {self.lent} were lent")
        self.lent -= count

    def evict(self) -> None:
        """Drop everything that waits, into gaps."""
        while self._queue:
            self._drop_head(len(self._queue[0][0].items) if isinstance(self._queue[0][0], Run) else 0)

    def release(self) -> None:
        """Give back to the budgets: the subscription is over, and what still waits is its holder's alone."""
        for budget in self._budgets:
            budget.used -= self.bytes
        self._budgets = ()

    def _consume(self, run: Run, start: int, stop: int) -> None:
        """Take ``start`` to ``stop`` off the run at the head of the queue."""
        self._charge(-_weights(run.items[start:stop]))
        if stop == len(run.items):
            self._queue.popleft()
        else:
            self._queue[0] = (run, stop)

    def _overflow(self, run: Run) -> int:
        if self.overflow == "drop-oldest":
            return self._drop_oldest(run)
        accepted = 0 if self.overflowed else self.fitting(run)
        if accepted:
            if self._after:
                self._place_gaps()
            part = Run(run.channel, run.origin, run.items[:accepted])
            self._queue.append((part, 0))
            self.queued += accepted
            self._charge(part.size)
        self._lose(self._after, run, accepted, len(run.items))
        if self.overflow == "disconnect" and not self.overflowed:
            full = len(self) >= self.limit
            self.overflowed = ("inbox_messages", self.messages) if full else ("inbox_bytes", self.size)
        return accepted

    def fitting(self, run: Run) -> int:
        """Return how many messages from the front of ``run`` fit."""
        most = min(len(run.items), max(0, self.limit - len(self)))
        room = self.size - self.bytes
        for index in range(most):
            room -= weight(run.items[index])
            if room < 0:
                return index
        return most

    def _drop_oldest(self, run: Run) -> int:
        """Make room by dropping from the head, and, when that is not enough, from the front of the run itself."""
        if max(map(weight, run.items)) > self.size:
            return self._drop_heavy(run)
        if self._after:
            self._place_gaps()
        self._queue.append((run, 0))
        self.queued += len(run.items)
        self._charge(run.size)
        while self._queue and (len(self) > self.limit or self.bytes > self.size):
            head, start = self._queue[0]
            self._drop_head(self._surplus(head, start) if isinstance(head, Run) and isinstance(start, int) else 0)
        return len(run.items)

    def _drop_heavy(self, run: Run) -> int:
        """Take one by one what holds something that no room would be enough for: that costs itself alone."""
        if len(run.items) > 1:
            return sum([self.offer(Run(run.channel, run.origin, [item])) for item in run.items])
        self._lose(self._after, run, 0, 1)
        return 0

    def _drop_head(self, stop: int) -> None:
        """Drop messages at the head of the queue up to index ``stop`` of their run; a note is kept, and told first."""
        head, start = self._queue[0]
        if not isinstance(start, int):
            assert isinstance(head, NodeId)
            self._queue.popleft()
            _merge(self._before, head, start)
            return
        assert isinstance(head, Run)
        self._consume(head, start, stop)
        self.queued -= stop - start
        self.passed += stop - start
        self._lose(self._before, head, start, stop)

    def _charge(self, size: int) -> None:
        self.bytes += size
        for budget in self._budgets:
            budget.used += size

    def _surplus(self, run: Run, start: int) -> int:
        """Return the end of what must go of the run at the head, at least one message."""
        surplus_messages, surplus_bytes = len(self) - self.limit, self.bytes - self.size
        stop = start
        while stop < len(run.items) and (surplus_messages > 0 or surplus_bytes > 0):
            surplus_messages -= 1
            surplus_bytes -= weight(run.items[stop])
            stop += 1
        return stop

    def _lose(self, notes: Notes, run: Run, start: int, stop: int) -> None:
        count = stop - start
        if count:
            self.dropped += count
            first, last = run.items[start].sequence, run.items[stop - 1].sequence
            gap = Gap(run.channel, run.origin.name, first, last, count, "overflow", run.origin.epoch)
            _merge(notes, run.origin, gap)

    def _place_gaps(self) -> None:
        """Move the gaps that wait behind everything into the queue: something follows them."""
        self._queue.extend((key[1], gap) for key, gap in self._after.items())
        self._after.clear()


def _merge(notes: Notes, origin: NodeId, note: Gap | Anchor) -> None:
    if isinstance(note, Anchor):
        pending = notes.get(("", origin, "anchor"))
        if isinstance(pending, Anchor):  # of another group of the same mailbox
            note = Anchor(origin, {**pending.heads, **note.heads})
        notes["", origin, "anchor"] = note
        return
    key = (note.channel, origin, note.reason)
    former = notes.get(key)
    if isinstance(former, Gap):
        first, last = min(former.first, note.first), max(former.last, note.last)
        count = min(former.count + note.count, last - first + 1)  # a peer can have the same told twice
        note = Gap(note.channel, note.origin, first, last, count, note.reason, note.epoch)
    notes[key] = note
