"""What broken links prove: a dead process within a fraction of a second, but only by the agreement of others.

A reset link and a refused dial look the same whether the process is dead or somebody cut the way to it. So whoever
loses a link tells the others and asks some of them. The member is held for dead only if it was refused twice, all
who were asked have lost it too, enough others say so by themselves, and nobody has a link. One objection, and it is
alive and unreachable from here; no answer at all, and we may be what is cut off: then it is a suspicion like any.

A *case* gathers what is said of one member; it is closed after a while, whatever came of it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from ..swim_frames import SwimLinkDown, SwimLinkState
from .board import Board
from .judge import Judge

__all__ = ["DialOutcome", "Evidence", "LinkLoss"]

LinkLoss = Literal["reset", "silent", "local"]
"""How a link ended: by the other side or its kernel, by silence (no proof of anything), or by ourselves."""

DialOutcome = Literal["refused", "closed", "timeout", "unreachable", "rejected", "other"]
"""How a dial failed: refused, accepted and closed before the handshake was over, no answer, no way, turned away by
a live process, or answered by somebody else (ourselves included)."""

TELL_ALL_MAX = 32
TELL_MANY = 8
"""In meshes of up to the first everybody is told of a lost link, in larger ones so many."""


@dataclass(slots=True)
class _Case:
    """What is known of the links to one run of a member. ``lost_at`` is when ours was lost (inf: it was not)."""

    epoch: int
    closes_at: float
    lost_at: float = math.inf
    weighed_at: float = -math.inf
    strong: bool = False
    refused: list[float] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    up: set[str] = field(default_factory=set)
    down: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    """Whom we told that our own link stands: if it goes, they must hear of it."""


class Evidence:
    """The cases of one node."""

    def __init__(self, board: Board, judge: Judge) -> None:
        self._board = board
        self._judge = judge
        self._cases: dict[str, _Case] = {}
        self._losses: deque[float] = deque()
        self._distrusted = False
        """Whether we lost most of our links at once, and none has come back yet."""

    def lost(self, name: str, loss: LinkLoss, now: float) -> None:
        """Note that our link to a live member ended, after it was taken down."""
        board, options = self._board, self._board.options
        record = board.roster.get(name)
        for case in self._cases.values():
            case.asked.discard(name)
        if record is None or not board.live(name) or loss == "local" or board.gone:
            return
        self._losses.append(now)
        self._weigh_ourselves(now)
        case = self._open(name, record.epoch, now)
        case.lost_at, case.strong = now, loss == "reset"
        # What can convict nobody is a suspicion as soon as nobody has objected.
        case.closes_at = now + (options.evidence_s if case.strong else options.veto_s)
        case.up.discard(board.name)
        others = board.live_links()
        if len(others) > TELL_ALL_MAX:
            others = sorted({*board.rng.sample(others, TELL_MANY), *case.told & set(others)})
        case.asked = set(board.rng.sample(others, min(len(others), options.relays)))
        for other in others:
            board.send(other, SwimLinkDown(name, record.epoch, other in case.asked))
        self._weigh(name, now)

    def linked(self, name: str) -> None:
        """Note that a link stands: the way out of here is open."""
        self._distrusted = False
        self._cases.pop(name, None)

    def dial_failed(self, name: str, outcome: DialOutcome, now: float) -> None:
        """Take how a dial to a member failed."""
        case = self._cases.get(name)
        if case is None or case.lost_at == math.inf:
            return
        if outcome in {"refused", "closed"}:
            case.refused.append(now)
            self._weigh(name, now)
        elif outcome == "rejected":
            del self._cases[name]  # somebody answered: that is no sign of death
        else:
            case.strong, case.closes_at = False, max(now, case.lost_at + self._board.options.veto_s)

    def told_down(self, word: SwimLinkDown, peer: str, now: float) -> None:
        """Take a peer's word that it lost its link, and object if we have one."""
        board = self._board
        record = board.roster.get(word.name)
        if record is None or record.epoch != word.epoch or not board.live(word.name) or word.name == board.name:
            return
        case = self._open(word.name, word.epoch, now)
        up = word.name in board.linked
        if up:
            case.told.add(peer)
        if up or (word.ask and board.was_linked(word.name, word.epoch)):  # whoever had none yet knows of no loss
            board.send(peer, SwimLinkState(word.name, word.epoch, up))
        self._note(word.name, case, peer, False, now)

    def told_state(self, word: SwimLinkState, peer: str, now: float) -> None:
        """Take the answer of a peer."""
        case = self._cases.get(word.name)
        if case is not None and case.epoch == word.epoch:
            self._note(word.name, case, peer, word.up, now)

    def tick(self, now: float) -> None:
        """Weigh the cases whose time to object is over, and close those that came to nothing."""
        for name, case in [(name, case) for name, case in self._cases.items() if self._due(case) <= now]:
            case.weighed_at = now
            self._weigh(name, now)
            if (
                now >= case.closes_at
                and self._cases.pop(name, case) is case
                and case.lost_at < math.inf
                and not case.up
            ):
                self._judge.accuse(name, now)

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        return min(map(self._due, self._cases.values()), default=math.inf)

    def excuse(self, lateness: float) -> None:
        """Move all deadlines by the time for which we were stopped."""
        for case in self._cases.values():
            case.lost_at += lateness
            case.closes_at += lateness
            case.weighed_at += lateness

    def _open(self, name: str, epoch: int, now: float) -> _Case:
        case = self._cases.get(name)
        if case is None or case.epoch != epoch:
            case = self._cases[name] = _Case(epoch, now + self._board.options.evidence_s)
        return case

    def _note(self, name: str, case: _Case, peer: str, up: bool, now: float) -> None:
        (case.up.add if up else case.up.discard)(peer)
        (case.down.discard if up else case.down.add)(peer)
        self._weigh(name, now)

    def _weigh(self, name: str, now: float) -> None:
        """Convict, if the agreement is there."""
        board, options, case = self._board, self._board.options, self._cases[name]
        if not options.fast_death or not case.strong or now < case.lost_at + options.veto_s:
            return
        witnesses = len(board.live_links())
        if witnesses == 0:
            alone_with_it = board.roster.live == 2
            agreed = alone_with_it and len(case.refused) >= 3 and now >= case.lost_at + options.lone_death_s
        else:
            twice = len(case.refused) >= 2 and case.refused[-1] - case.refused[0] >= options.redial_gap_s
            agreed = twice and not case.asked - case.down and len(case.down) >= min(3, witnesses)
        if agreed and not case.up and not self._distrusted:
            del self._cases[name]
            self._judge.convict(name, now)

    def _weigh_ourselves(self, now: float) -> None:
        while self._losses and self._losses[0] <= now - self._board.options.mass_loss_s:
            self._losses.popleft()
        had = len(self._board.linked) + len(self._losses)
        if had >= 2 and 2 * len(self._losses) > had:
            self._distrusted = True

    def _due(self, case: _Case) -> float:
        options = self._board.options
        steps = (case.lost_at + options.veto_s, case.lost_at + options.lone_death_s)
        return min((case.closes_at, *(step for step in steps if step > case.weighed_at)))
