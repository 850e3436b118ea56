"""The way from this node to one linked peer: its lane, and the receipts that are awaited from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from liminal_mesh.cluster import CHANNEL_SCOPE, NodeId, PeerLane, ProtocolError, Receipt, ReceiptRun, Suppressed

from .inbox import Run

if TYPE_CHECKING:
    from liminal_mesh.storage import LiminalError

    from .keyed import Keyed
    from .orders import Piece

__all__ = ["Pending", "Route", "missing_receipts", "receipt_runs"]

UNANSWERED_LANES: Final = 4
"""How many times what a lane holds may be offered to a peer that has not answered; half of that holds publishers back.

A peer answers as soon as it reads, so that what lies between is a lane, and what the systems on both sides keep."""


RECEIPT_BYTES: Final = 32
"""What a receipt that a peer owes counts, of what its lane may hold: about what the smallest publish takes there."""


class Pending:
    """Publishes of one batch of which somebody wants to hear; most often one.

    Attributes:
        count: how many they are.
        message_id: the number of the first, once they were accepted.
        nodes: interested node to ``sent``, ``delivered``, ``dropped``, ``unknown`` or ``lost`` (not linked now), as it
            becomes known (of a batch: the worst that befell any of it).
        local: how many local subscribers accepted them.
        left: how many receipts are missing.
        keyed: what has to be settled first when it ends, if it is one publish with a key.
        duplicate: whether it was delivered before, under its key; then ``message_id`` is that message's.
    """

    __slots__ = ("_taken", "count", "duplicate", "forget", "keyed", "left", "local", "message_id", "nodes")

    def __init__(self, count: int) -> None:
        self.count = count
        self.message_id = 0
        self.nodes: dict[str, str] = {}
        self.local = 0
        self.left = 0
        self.keyed: Keyed | None = None
        self.duplicate = False
        self.forget: Callable[[], None] | None = None
        """Ends the watch over its deadline."""
        self._taken = bytearray(count)

    @property
    def undelivered(self) -> int:
        """How many no subscriber took, as far as is known."""
        if self.local or any(status in {"sent", "unknown"} for status in self.nodes.values()):
            return 0
        return self.count - sum(self._taken)

    @property
    def delivered(self) -> bool | None:
        """Whether a subscriber took the first; None when only a node that was not asked, or did not answer, knows."""
        if self.local or self._taken[0]:
            return True
        if self.duplicate:
            return False
        return None if any(status in {"sent", "unknown"} for status in self.nodes.values()) else False

    @property
    def failure(self) -> LiminalError | None:
        """What its publisher is to be told instead of an outcome, once it has ended."""
        return None if self.keyed is None else self.keyed.failure

    def settle(self, node: str, first: int, count: int, delivered: bool) -> None:
        """Take a node's receipt for ``count`` of them from index ``first`` on; the last receipt finishes them."""
        if delivered:
            self._taken[first : first + count] = b"\1" * count
            if self.nodes.get(node, "sent") == "sent":
                self.nodes[node] = "delivered"
        elif node in self.nodes:  # one that got it only because its registry was not synced does not count
            self.nodes[node] = "dropped"
        self.answered(count)

    def suppressed(self, node: str, answer: Suppressed) -> None:
        """Take a node's receipt for one publish with a key under which it had got something before."""
        if self.keyed is not None:
            self.keyed.suppressed(answer.original, answer.reused)
        if self.nodes.get(node) == "sent":
            self.nodes[node] = "dropped" if answer.reused else "delivered"
        self.answered(1)

    def lose(self, node: str, count: int) -> None:
        """Note that the receipts of a node for ``count`` of them will not come."""
        if node in self.nodes:
            self.nodes[node] = "unknown"
        self.answered(count)

    def took(self, first: int, count: int) -> None:
        """Note that subscribers at this node took ``count`` of them from index ``first`` on."""
        self._taken[first : first + count] = b"\1" * count

    def expire(self) -> None:
        """Stop waiting: what is still missing reads ``unknown``."""
        if self.left > 0:
            self.nodes = {node: "unknown" if status == "sent" else status for node, status in self.nodes.items()}
            self.left = 0
            self._end()

    def finished(self) -> None:
        """All that was awaited is known."""
        raise NotImplementedError

    def answered(self, count: int) -> None:
        """Note that it is known what became of ``count`` of them at a place; the last answer finishes them."""
        if self.left > 0:  # else it has expired
            self.left -= count
            if self.left == 0:
                if self.forget is not None:
                    self.forget()
                    self.forget = None
                self._end()

    def _end(self) -> None:
        if self.keyed is not None:
            self.keyed.settle(self)
        self.finished()


class _Awaited:
    """A pending batch in the order in which a peer will answer: it owes ``left`` receipts from ``first`` on."""

    __slots__ = ("first", "left", "pending")

    def __init__(self, pending: Pending, left: int, first: int) -> None:
        self.pending = pending
        self.first = first
        self.left = left


class Route:
    """A linked peer, as the publish path sees it.

    Args:
        peer: the node at the other end.
        lane: what waits for it.
        wake: tells the link that there is something to write.
    """

    __slots__ = (
        "_answered", "_awaited", "_offers", "_owed", "expected", "lane", "name", "offered_bytes", "peer", "silent",
        "stalled", "wake",
    )  # fmt: skip

    def __init__(self, peer: NodeId, lane: PeerLane, wake: Callable[[], None]) -> None:
        self.peer = peer
        self.name = peer.name
        self.lane = lane
        self.wake = wake
        self.stalled = False
        """Whether the peer's main loop hangs, as membership shows it."""
        self.offered_bytes = 0
        """What was offered to the peer, and not answered."""
        self.silent = False
        """Whether it leaves offers unanswered, as whoever waited for that has found."""
        self._answered = True
        self.expected = 1
        """The number of the peer's next offer."""
        self._awaited: deque[_Awaited] = deque()
        self._owed = 0
        self._offers: dict[str, deque[tuple[int, Piece]]] = {}
        """By group, in the order in which the peer will answer: the number of the first of each."""

    def publish(self, run: Run, awaited: Pending | None, scope: int = CHANNEL_SCOPE, first: int = 0) -> int:
        """Queue publishes for the peer; return how many its lane took.

        For these, receipts are asked if somebody has ``awaited`` them; ``first`` is the first one's index there.
        """
        lane = self.lane
        if not lane.segments:  # else it is awake, or will be woken when the socket takes more
            self.wake()
        if awaited is not None and self._owes_receipts:
            lane.drop(run.channel, run.items, scope)
            return 0
        taken = lane.publish(run.channel, run.items, run.encoded(), awaited is not None, scope)
        if awaited is not None and taken:
            self._await(awaited, taken, first)
        return taken

    @property
    def _owes_receipts(self) -> bool:
        """Whether the peer owes so many that no more are asked for: it does not answer, or is far behind."""
        return self._owed * RECEIPT_BYTES >= self.lane.bytes_max

    @property
    def crowded(self) -> bool:
        """Whether whoever has offers for this peer alone should wait: for its lane, or for its answers."""
        if self.lane.crowded:
            return True
        return self.offered_bytes * 2 > self.lane.bytes_max * UNANSWERED_LANES and not self.silent

    @property
    def indebted(self) -> bool:
        """Whether the peer owes so many answers that nothing more is offered to it."""
        return self.offered_bytes > self.lane.bytes_max * UNANSWERED_LANES

    @property
    def open(self) -> bool:
        """Whether an offer would be answered at once, as far as is known."""
        return not (self.stalled or self.silent or self.crowded or self.lane.stalled or self.lane.expired)

    def look(self) -> None:
        """Note whether the peer has answered any offer since the last look: who does not is not waited for."""
        self.silent, self._answered = not self._answered, not self.offered_bytes

    def offer(
        self, run: Run, claims: tuple[tuple[str, int], ...], plain: bool, awaited: Pending | None, first: int
    ) -> tuple[int, int]:
        """Queue publishes as offers to groups; return the first one's number, and how many the lane took.

        With ``plain`` they are publishes, too, and ``awaited`` and ``first`` are as there.
        """
        lane = self.lane
        if not lane.segments:
            self.wake()
        receipts = awaited is not None and plain
        if receipts and self._owes_receipts:
            lane.drop(run.channel, run.items)
            return 0, 0
        number, taken = lane.offer(run.channel, run.items, run.encoded(), claims, plain, receipts)
        if awaited is not None and receipts and taken:
            self._await(awaited, taken, first)
        return number, taken

    def owe(self, number: int, piece: Piece) -> None:
        """Note that the peer owes an answer to offers from ``number`` on."""
        self._offers.setdefault(piece.queue.group, deque()).append((number, piece))
        self._answered |= not self.offered_bytes  # it owes nothing yet
        self.offered_bytes += piece.run.size

    def settled(self, group: str, first: int, count: int) -> Iterator[Piece]:
        """Yield the offers to a group that the peer has answered now: ``count`` from number ``first`` on.

        Raises:
            ProtocolError: it was not asked that.
        """
        owed = self._offers.get(group, deque())
        self.silent, self._answered = False, True
        while count:
            if not owed or owed[0][0] != first:
                raise ProtocolError(f"an answer to offer {first} for {group!r}, where another one was due")
            _, piece = owed.popleft()
            part = piece.cut(0, min(count, len(piece)))
            first, count = first + len(part), count - len(part)
            if len(part) < len(piece):
                owed.appendleft((first, piece.cut(len(part), len(piece))))
            elif not owed:
                del self._offers[group]
            self.offered_bytes -= part.run.size
            yield part

    def unsettled(self) -> list[tuple[Piece, bool]]:
        """Return the offers that the peer has not answered, and will not: the link is gone; and which were written."""
        unwritten = self.lane.unwritten
        left = sorted([entry for owed in self._offers.values() for entry in owed], key=lambda entry: entry[0])
        self._offers.clear()
        found: list[tuple[Piece, bool]] = []
        for number, piece in left:
            written = min(max(0, unwritten - number), len(piece))
            if written:
                found.append((piece.cut(0, written), True))
            if written < len(piece):
                found.append((piece.cut(written, len(piece)), False))
        return found

    def receipts(self, frame: Receipt) -> None:
        """Settle what the peer has answered, in the order it was asked.

        Raises:
            ProtocolError: it answers what was not asked.
        """
        suppressed = {one.number: one for one in frame.suppressed} if frame.suppressed else None
        for run in frame.runs:
            if run.count > self._owed:
                raise ProtocolError(f"receipts for {run.count} publishes, where {self._owed} were asked for")
            self._owed -= run.count
            left = run.count
            while left:
                entry = self._awaited[0]
                count = min(left, entry.left)
                first, entry.first = entry.first, entry.first + count
                entry.left -= count
                if not entry.left:
                    self._awaited.popleft()
                answer = suppressed.get(run.first + run.count - left) if suppressed is not None else None
                if answer is not None and entry.pending.keyed is not None:  # which is one publish
                    entry.pending.suppressed(self.name, answer)
                else:
                    entry.pending.settle(self.name, first, count, run.delivered)
                left -= count

    def _await(self, awaited: Pending, taken: int, first: int) -> None:
        self._awaited.append(_Awaited(awaited, taken, first))
        self._owed += taken
        awaited.left += taken

    def close(self) -> None:
        """The link is gone: what was awaited stays unknown."""
        self._owed = 0
        while self._awaited:
            entry = self._awaited.popleft()
            entry.pending.lose(self.name, entry.left)


def receipt_runs(first: int, fates: Sequence[tuple[int, bool]]) -> list[ReceiptRun]:
    """Return runs of equal fate, numbered from ``first``."""
    runs: list[ReceiptRun] = []
    for count, delivered in fates:
        if runs and runs[-1].delivered == delivered:
            runs[-1] = ReceiptRun(runs[-1].first, runs[-1].count + count, delivered)
        elif count:
            runs.append(ReceiptRun(first, count, delivered))
        first += count
    return runs


def missing_receipts(nodes: Mapping[str, str]) -> str:
    """Say whose receipts did not come."""
    missing = ", ".join(sorted(node for node, status in nodes.items() if status == "unknown"))
    return f"no receipt from {missing}"
