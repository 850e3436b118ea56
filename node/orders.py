"""Publishes on their way to groups, and what their publisher is told of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import Eagerness, Suppressed

from .inbox import Run

if TYPE_CHECKING:
    from .channel import Channel
    from .queues import Queue
    from .route import Pending

__all__ = ["Order", "Piece", "part_of"]


def part_of(run: Run, start: int, stop: int) -> Run:
    """Return some of a run's messages as a run of their own; the run itself if that is all of it."""
    if stop - start == len(run.items):
        return run
    return Run(run.channel, run.origin, run.items[start:stop])


class Piece:
    """Messages of one order for one group, in a row, which have the same way behind them.

    Attributes:
        first: the index of the first one in the order.
        tried: the nodes that could not take them.
        spared: the nodes that were asked for credit alone; they are asked for room, if nobody else has any.
        eagerness: what the node that was asked last had to put up with.
        awaited: whether the publisher waits for what becomes of them.
    """

    __slots__ = ("awaited", "eagerness", "first", "order", "queue", "run", "spared", "tried")

    def __init__(
        self,
        order: Order,
        queue: Queue,
        run: Run,
        first: int = 0,
        tried: tuple[str, ...] = (),
        spared: tuple[str, ...] = (),
        eagerness: Eagerness = Eagerness.CREDIT,
        awaited: bool = False,
    ) -> None:
        self.order = order
        self.queue = queue
        self.run = run
        self.first = first
        self.tried = tried
        self.spared = spared
        self.eagerness = eagerness
        self.awaited = awaited

    def __len__(self) -> int:
        """Return how many messages they are."""
        return len(self.run.items)

    @property
    def asked(self) -> bool:
        """Whether any node was asked to take them."""
        return bool(self.tried or self.spared or self.eagerness)

    def cut(self, start: int, stop: int) -> Piece:
        """Return some of them; itself if that is all."""
        if stop - start == len(self):
            return self
        run, first = part_of(self.run, start, stop), self.first + start
        return Piece(self.order, self.queue, run, first, self.tried, self.spared, self.eagerness, self.awaited)

    def after(self, node: str, *, full: bool = False) -> Piece:
        """Return the same messages, to be asked elsewhere; ``full`` says that the node has members without room."""
        tried, spared = self.tried, self.spared
        if full and self.eagerness == Eagerness.CREDIT:
            spared = (*spared, node)
        else:
            tried = (*tried, node)
        return Piece(self.order, self.queue, self.run, self.first, tried, spared, self.eagerness, self.awaited)

    def again(self) -> Piece:
        """Return the same messages, for the nodes that were spared."""
        return Piece(
            self.order, self.queue, self.run, self.first, self.tried, (), Eagerness.ROOM, self.awaited
        )  # fmt: skip


class Order:
    """One batch of publishes, and who wants to hear of it.

    Args:
        channel: where they were published.
        pending: of all of them, when somebody wants to hear; it is told of what happens before :meth:`sent`, and of
            what comes later if ``receipts``.
        receipts: whether the publisher waits for what becomes of them.
        key: of one publish that has one.
    """

    __slots__ = ("_asked", "_here", "_plain", "channel", "key", "pending", "receipts")

    def __init__(self, channel: Channel, pending: Pending | None, receipts: bool, key: str = "") -> None:
        self.channel = channel
        self.key = key
        self.pending = pending
        self.receipts = receipts and pending is not None
        self._plain = channel.interested
        """Who gets them anyway, whatever groups are there."""
        self._asked: dict[str, int] = {}
        """How many answers each node owes."""
        self._here: dict[str, int] = {}
        """How many were taken at this node, by group."""

    def sent(self) -> int:
        """All was sent for now; return how many groups have got all of them at this node."""
        pending = self.pending
        if not self.receipts:
            self.pending = None
        return 0 if pending is None else sum(count == pending.count for count in self._here.values())

    def taken_here(self, piece: Piece) -> None:
        """Members at this node have taken them."""
        pending, group = self.pending, piece.queue.group
        if pending is None or self._expired(piece):
            return
        here = self._here[group] = self._here.get(group, 0) + len(piece)
        pending.took(piece.first, len(piece))
        if here == pending.count:
            pending.local += 1
        if piece.awaited:
            pending.answered(len(piece))

    def asked(self, node: str, piece: Piece) -> None:
        """A node was asked to take them."""
        pending = self.pending
        if pending is None or self._expired(piece):
            return
        pending.nodes.setdefault(node, "sent")
        if self.receipts:
            self._asked[node] = self._asked.get(node, 0) + len(piece)
            if not piece.awaited:
                piece.awaited = True
                pending.left += len(piece)

    def taken(self, node: str, piece: Piece) -> None:
        """Members at a node have taken them."""
        pending = self._answered(node, piece)
        if pending is not None:
            pending.settle(node, piece.first, len(piece), True)

    def passed_on(self, node: str, piece: Piece) -> None:
        """A node could not take them, and is none that they went to, unless it gets them or others anyway."""
        pending = self._answered(node, piece)
        if pending is None or self._asked[node] or node in self._plain:
            return
        if pending.nodes.get(node) == "sent":
            del pending.nodes[node]

    def suppressed(self, node: str, piece: Piece, original: int, reused: bool) -> None:
        """Members at a node have taken message ``original`` under its key before."""
        pending = self._answered(node, piece)
        if pending is not None:
            pending.suppressed(node, Suppressed(0, original, reused))

    def suppressed_here(self, piece: Piece, original: int, reused: bool) -> None:
        """So have members at this node."""
        pending = self.pending
        if pending is None or pending.keyed is None or self._expired(piece):
            return
        pending.keyed.suppressed(original, reused)
        if piece.awaited:
            pending.answered(1)

    def unknown(self, node: str, piece: Piece) -> None:
        """Nobody knows whether a node took them."""
        pending = self._answered(node, piece)
        if pending is not None:
            pending.nodes[node] = "unknown"
            pending.lose(node, len(piece))

    def dropped(self, node: str, piece: Piece) -> None:
        """They are for nobody any more; ``node`` was the last that was asked."""
        pending = self.pending
        if pending is None or self._expired(piece):
            return
        if node:
            pending.nodes[node] = "dropped"
        if piece.awaited:
            pending.settle(node, piece.first, len(piece), False)

    def _answered(self, node: str, piece: Piece) -> Pending | None:
        pending = self.pending
        if pending is None or self._expired(piece):
            return None
        self._asked[node] -= len(piece)
        return pending

    def _expired(self, piece: Piece) -> bool:
        """Whether the publisher has been told already."""
        return piece.awaited and self.pending is not None and self.pending.left <= 0
