"""What one peer has been sent of one of our logs, and what it is sent next.

Nothing is queued for a peer. A feed is a position in the log, and what the peer is owed is read when its lane
has room: the net effect of what came since, or, if the ring does not reach back that far, a snapshot. A slow peer
therefore costs no memory but a snapshot's, and nothing can be dropped on the way to it.

A peer asks with ``Sync``. When it has been sent all that was there when it asked, it is told so: by the end of a
snapshot, or by an empty range. From then on it counts as synced, and our heartbeats state our position, by which
the peer sees what it has missed. Until then they do not: it would take a position on the way for the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from .errors import ProtocolError
from .frames import Ack, LinkFrame, Position, SnapBegin, SnapChunk, SnapEnd, Sync
from .oplog import GroupLog, Snapshot

__all__ = ["Feed"]


class Feed:
    """The way of one of our logs to one peer, for one session.

    Args:
        log: the log that is read.
    """

    def __init__(self, log: GroupLog) -> None:
        self.acknowledged = 0
        """How much of the log the peer has said that it holds."""
        self.snapshots = 0
        """How many snapshots were begun."""
        self._log = log
        self._asked: Sync | None = None
        self._next = 1
        """The first record that the peer was not sent."""
        self._target = 0
        """Where the log stood when the peer asked: once it has got so far, it is told."""
        self._stated = False
        self._snapshot: Iterator[LinkFrame] | None = None
        self._snapshot_rest = 0

    def answer(self, sync: Sync) -> None:
        """Go on behind what the peer says it holds, or start over with a snapshot if that cannot be continued."""
        # Asked again for what is under way: starting over each time might never come to an end on a slow link.
        # If something was lost, the peer will see so by the position at the end.
        if sync == self._asked and not self._stated:
            return
        self._asked = sync
        log = self._log
        if sync.epoch == log.node.epoch and log.digest_at(sync.sequence) == sync.digest:
            self.acknowledged = sync.sequence
            self._snapshot, self._snapshot_rest = None, 0
            self._next, self._target, self._stated = sync.sequence + 1, log.sequence, False
        else:
            self.acknowledged = 0
            self._start_over()

    def acknowledge(self, ack: Ack) -> None:
        """Note how far the peer has come.

        Raises:
            ProtocolError: it claims records that do not exist.
        """
        if ack.epoch != self._log.node.epoch:
            return
        if ack.sequence > self._log.sequence:
            raise ProtocolError(f"acknowledged {ack.sequence} of {self._log.sequence} records")
        self.acknowledged = max(self.acknowledged, ack.sequence)

    def pull(self, entries_max: int) -> LinkFrame | None:
        """Return the next frame for the peer, and count it as sent; None if there is nothing to send."""
        log = self._log
        if self._asked is None:
            return None
        if self._snapshot is None and not log.reaches(self._next):
            self._start_over()
        if self._snapshot is not None:
            return self._pull_snapshot(self._snapshot)
        if self._next > log.sequence and self._stated:
            return None
        # If the ring has just lost the digest to state, there is more to send, and we state behind that.
        stating = self._next > self._target and not self._stated and log.digest_at(self._next - 1) is not None
        frame = log.net(self._next, 0 if stating else entries_max)
        self._stated = self._stated or stating
        self._next = frame.last + 1
        return frame

    @property
    def lag(self) -> int:
        """How many records and entries of a snapshot are still to be sent."""
        if self._asked is None:
            return 0
        return self._log.sequence + 1 - self._next + self._snapshot_rest

    @property
    def settled(self) -> bool:
        """Whether the peer has confirmed all that there is."""
        return self._stated and self.acknowledged == self._log.sequence

    @property
    def position(self) -> Position | None:
        """How far the peer has been sent the log, or None while it is not yet where it asked to be."""
        digest = self._log.digest_at(self._next - 1) if self._stated else None
        return None if digest is None else Position(self._log.scope, self._next - 1, digest)

    def _start_over(self) -> None:
        # The set is captured in the same call that moves the position behind it: a change is in one or the other.
        captured = self._log.snapshot()
        self._next, self._target, self._stated = captured.sequence + 1, captured.sequence, False
        self._snapshot, self._snapshot_rest = self._frames(captured), captured.count
        self.snapshots += 1

    def _frames(self, captured: Snapshot) -> Iterator[LinkFrame]:
        scope, epoch, sequence = self._log.scope, self._log.node.epoch, captured.sequence
        yield SnapBegin(scope, epoch, sequence, captured.count, captured.digest)
        for chunk in captured.chunks():
            yield SnapChunk(scope, epoch, sequence, chunk)
        yield SnapEnd(scope, epoch, sequence)

    def _pull_snapshot(self, frames: Iterator[LinkFrame]) -> LinkFrame:
        frame = next(frames)
        if isinstance(frame, SnapChunk):
            self._snapshot_rest -= sum(len(numbers) for _, numbers in frame.entries)
        elif isinstance(frame, SnapEnd):
            self._snapshot, self._stated = None, True
        return frame
