"""Anti-entropy: two views are compared when their digests differ for a while, and now and then in any case.

Each ack carries the digest of a whole view in eight bytes. While news spreads, digests differ for a moment; what
differs for longer was missed, and is found name by name and mended with the differing records alone::

    A ── view: what I know of each name ──> B
    A <── records that A lacks, names that B lacks ── B
    A ── those records ──> B
"""

from __future__ import annotations

import math

from ..envelope import BATCH_MAX
from ..swim_frames import AgedRecord, Known, SwimRecords, SwimView
from .board import Board
from .judge import Judge
from .record import weight

__all__ = ["Exchange"]


class Exchange:
    """When to compare views, and how."""

    def __init__(self, board: Board, judge: Judge, now: float) -> None:
        self._board = board
        self._judge = judge
        self._differs: dict[str, float] = {}
        """Since when the digest of a peer is not ours."""
        self._next_at = now + board.rng.random() * self._pause()

    def digest_seen(self, peer: str, digest: int, now: float) -> None:
        """Compare a peer's digest with ours."""
        if digest == self._board.roster.digest:
            self._differs.pop(peer, None)
        elif now - self._differs.setdefault(peer, now) >= self._board.options.repair_s:
            self._differs[peer] = now
            self.begin(peer)

    def begin(self, peer: str) -> None:
        """Send our view to a peer, in as many pieces as it needs."""
        board = self._board
        known = [Known(one.name, one.epoch, one.incarnation, one.state) for one in board.roster.records()]
        after = ""
        for start in range(0, len(known), BATCH_MAX):
            piece = known[start : start + BATCH_MAX]
            upto = piece[-1].name if start + BATCH_MAX < len(known) else ""
            board.send(peer, SwimView(after, upto, piece))
            after = upto

    def viewed(self, view: SwimView, peer: str, now: float) -> None:
        """Answer a view: with what the peer lacks, and what we lack."""
        roster = self._board.roster
        theirs = {known.name: known for known in view.known}
        wanted, lacking = [], []
        for known in view.known:
            held = roster.get(known.name)
            if held is None or weight(known) > weight(held):
                wanted.append(known.name)
        for record in roster.records():
            if record.name > view.after and (not view.upto or record.name <= view.upto):
                known_there = theirs.get(record.name)
                if known_there is None or weight(record) > weight(known_there):
                    lacking.append(roster.aged(record, now))
        self._reply(peer, lacking, wanted)

    def records(self, frame: SwimRecords, peer: str, now: float) -> None:
        """Take the records that we lacked, and send those that the peer wants."""
        for aged in frame.records:
            self._judge.merge(aged.record, aged.age_s, now, peer)
        roster = self._board.roster
        held = [record for name in frame.wanted if (record := roster.get(name)) is not None]
        self._reply(peer, [roster.aged(record, now) for record in held], [])

    def tick(self, now: float) -> None:
        """Compare views with some member, if it is time."""
        if now >= self._next_at:
            self._next_at = now + self._pause()
            for peer in self._board.roster.pick(self._board.rng, 1, self._board.linked, (self._board.name,)):
                self.begin(peer)

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        return self._next_at

    def forget(self, name: str) -> None:
        """Drop what is held of a name."""
        self._differs.pop(name, None)

    def _pause(self) -> float:
        """Return the time to the next comparison: views grow with the mesh, so they travel the more seldom."""
        return self._board.options.push_pull_s * max(1.0, math.log2(max(1, self._board.roster.live)) - 4)

    def _reply(self, peer: str, records: list[AgedRecord], wanted: list[str]) -> None:
        for start in range(0, max(len(records), len(wanted)), BATCH_MAX):
            end = start + BATCH_MAX
            self._board.send(peer, SwimRecords(records[start:end], wanted[start:end]))
