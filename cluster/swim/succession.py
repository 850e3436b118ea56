"""Two nodes of one name: a later run takes the name over, unless the earlier one shows that it lives.

The link of the newcomer is held back while the bearer, if there is a link to it, is asked. A bearer without a link is
the normal case: a node that was restarted, maybe at another address, takes over at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..identity import NodeId
from ..swim_frames import MemberRecord, SwimPing
from .board import Board
from .effects import Admit, CloseLink, Refuse

__all__ = ["Succession"]


@dataclass(slots=True)
class _Claim:
    newcomer: MemberRecord
    asked_at: float
    deadline: float


class Succession:
    """The claims that are open."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._claims: dict[str, _Claim] = {}

    def holds_back(self, newcomer: MemberRecord, now: float) -> bool:
        """Whether this link of a later run must wait for the bearer of its name to be asked."""
        board, name = self._board, newcomer.name
        held = board.roster.get(name)
        if held is None or held.epoch >= newcomer.epoch or name not in board.linked or not board.live(name):
            return False
        if name not in self._claims:
            self._claims[name] = _Claim(newcomer, now, now + board.options.name_check_s)
            board.send(name, SwimPing(board.number()))
        return True

    def lost(self, name: str) -> None:
        """Note that the link to a bearer is over: nobody is left to ask."""
        claim = self._claims.pop(name, None)
        if claim is not None:
            self._board.out.append(Admit(NodeId(name, claim.newcomer.epoch)))

    def tick(self, now: float) -> None:
        """Settle the claims whose time is up."""
        board = self._board
        for name in [name for name, claim in self._claims.items() if claim.deadline <= now]:
            claim = self._claims.pop(name)
            newcomer, bearer = NodeId(name, claim.newcomer.epoch), board.roster.get(name)
            if bearer is not None and bearer.epoch < newcomer.epoch and board.heard_since(name, claim.asked_at):
                board.out.append(Refuse(newcomer, bearer))
                continue
            # The newcomer may have been heard of meanwhile, and have a link by now.
            if name in board.linked and (bearer is None or bearer.epoch < newcomer.epoch):
                board.out.append(CloseLink(name, "a later run has the name"))
                board.link(name, False)
            board.out.append(Admit(newcomer))

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        return min((claim.deadline for claim in self._claims.values()), default=math.inf)

    def excuse(self, lateness: float) -> None:
        """Move all deadlines by the time for which we were stopped."""
        for claim in self._claims.values():
            claim.deadline += lateness
