"""The links of dead members: kept for a while, so that who wakes up reads in its own kernel's buffer that it is dead.

A process that was stopped reads and refutes within milliseconds of being continued. It is told once at its death,
then now and then, and at once if anything comes from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..membership import Member
from ..swim_frames import Rumour
from .board import Board
from .effects import CloseLink

__all__ = ["Zombies"]


@dataclass(slots=True)
class _Zombie:
    closes_at: float
    told_at: float


class Zombies:
    """Dead members whose links stand."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._zombies: dict[str, _Zombie] = {}

    def changed(self, name: str, after: Member | None, now: float) -> None:
        """Keep or forget a member that changed."""
        if after is None or after.state != "dead" or not after.reachable:
            self._zombies.pop(name, None)
        elif name not in self._zombies:
            self._zombies[name] = _Zombie(now + self._board.options.zombie_s, now)

    def spoke(self, name: str, now: float) -> None:
        """Tell a dead member that speaks what it is held for, unless it was told just now."""
        zombie = self._zombies.get(name)
        if zombie is not None and now - zombie.told_at >= self._board.options.probe_s:
            self._remind(name, zombie, now)

    def tick(self, now: float) -> None:
        """Remind who is due, and close the links that were kept long enough."""
        for name, zombie in list(self._zombies.items()):
            if now >= zombie.closes_at:
                del self._zombies[name]
                self._board.out.append(CloseLink(name, "dead, and silent"))
                self._board.link(name, False)
            elif now >= zombie.told_at + self._board.options.remind_s:
                self._remind(name, zombie, now)

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        remind_s = self._board.options.remind_s
        times = (min(one.closes_at, one.told_at + remind_s) for one in self._zombies.values())
        return min(times, default=math.inf)

    def _remind(self, name: str, zombie: _Zombie, now: float) -> None:
        zombie.told_at = now
        record = self._board.roster.get(name)
        assert record is not None, "a zombie is a member"
        self._board.tell(name, Rumour(record))
