"""Whom to call again: for ever, never all at once, and at random moments.

A member without a link, and one that is suspected or dead although its link stands, is dialled until the link is
there and it is alive; who has left is not. The pause doubles up to a cap that depends on how long it was away. The
dead share a budget of dials, and who was tried longest ago comes first; so it does where more are due than may be
dialled at once, since whoever gossips may make up thousands of members. A seed is dialled as long as it leads to no
live member, since it may be the only way to the other half of a mesh that was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..membership import Member
from .board import Board
from .effects import DialAddress

__all__ = ["Redial"]

_HEAD_START_S = 0.1
"""How long the higher of two names leaves the first dial to the lower one."""


@dataclass(slots=True)
class _Call:
    """One member that is dialled; ``since`` is when it went away."""

    address: str
    since: float
    due: float
    attempts: int = 0
    tried_at: float = -math.inf
    busy: bool = False


class Redial:
    """The plan of all dials of one node."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._calls: dict[str, _Call] = {}
        self._seeds: tuple[str, ...] = ()
        self._leads: dict[str, str] = {}
        """Who answered at a seed: its address may be written otherwise than the member writes it."""
        self._seed_at = math.inf
        self._seed_tries = 0
        self._tokens = board.options.dials_per_s
        self._filled_at = 0.0
        self._busy = 0
        """How many members are being dialled."""

    def seeds(self, addresses: Iterable[str], now: float) -> None:
        """Set where seeds are, as far as that is known now; all are tried, if none were known before."""
        fresh = not self._seeds
        self._seeds = tuple(sorted(set(addresses)))
        self._leads = {address: name for address, name in self._leads.items() if address in self._seeds}
        if fresh and self._seeds:
            for address in self._lost_seeds():
                self._board.out.append(DialAddress(address, "", self._board.options.connect_s))
            self._plan_seed(now)

    def reached(self, address: str, name: str) -> None:
        """Note who answered at an address."""
        if address in self._seeds:
            self._leads[address] = name

    def hasten(self, name: str, now: float) -> None:
        """Dial a member now: it is there."""
        call = self._calls.get(name)
        if call is not None:
            call.due = min(call.due, now)

    def changed(self, name: str, before: Member | None, after: Member | None, now: float) -> None:
        """Plan anew for a member that changed."""
        if name == self._board.name:
            return
        if after is None or after.state == "left" or (after.state == "alive" and after.reachable):
            self._drop(name)
            return
        call = self._calls.get(name)
        new_run = before is not None and before.epoch != after.epoch
        came_back = before is not None and before.state == "dead" and after.state == "alive"
        if call is None or call.address != after.address or new_run or came_back:
            # Of two that have just learned of each other one is to dial; of two that lost each other, both.
            yields = before is None and name < self._board.name
            self._drop(name)
            self._calls[name] = _Call(after.address, now, now + yields * self._board.rng.random() * _HEAD_START_S)

    def linked(self, name: str, now: float) -> None:
        """Note that a new link stands."""
        if self._board.live(name):
            self._drop(name)
        else:
            self.failed(name, now)  # the dial is over, and its member not alive yet: the link may go before it is

    def failed(self, name: str, now: float) -> None:
        """Note that a dial came to nothing."""
        call = self._calls.get(name)
        if call is not None and call.busy:
            call.busy = False
            self._busy -= 1
            call.due = now + self._pause(call, now)

    def tick(self, now: float) -> None:
        """Dial who is due."""
        board, options = self._board, self._board.options
        self._tokens = min(options.dials_per_s, self._tokens + (now - self._filled_at) * options.dials_per_s)
        self._filled_at = now
        due = [(call.tried_at, name) for name, call in self._calls.items() if call.due <= now and not call.busy]
        for _, name in sorted(due):
            if self._full:
                break
            call = self._calls[name]
            if not board.live(name):
                if self._tokens < 1:
                    call.due = now + 1 / options.dials_per_s
                    continue
                self._tokens -= 1
            call.busy, call.tried_at, call.attempts = True, now, call.attempts + 1
            self._busy += 1
            board.out.append(DialAddress(call.address, name, options.connect_s))
        if now >= self._seed_at:
            lost = self._lost_seeds()
            if lost:
                self._seed_tries += 1
                board.out.append(DialAddress(lost[self._seed_tries % len(lost)], "", options.connect_s))
            self._plan_seed(now)

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        if self._full:
            return self._seed_at
        return min((self._seed_at, *(call.due for call in self._calls.values() if not call.busy)))

    @property
    def _full(self) -> bool:
        return self._busy >= self._board.options.dials_max

    def _drop(self, name: str) -> None:
        """Plan no dial of a member any more; one that is under way is its own affair."""
        call = self._calls.pop(name, None)
        self._busy -= call is not None and call.busy

    def _pause(self, call: _Call, now: float) -> float:
        options, away = self._board.options, now - call.since
        if away < options.redial_eager_s:
            most = options.redial_cap_s
        else:
            most = options.redial_slow_s if away < options.redial_slow_until_s else options.redial_rare_s
        pause = min(most, options.redial_gap_s * 2.0 ** min(call.attempts - 1, 16))
        return max(options.redial_gap_s, pause * self._board.rng.uniform(0.7, 1.3))

    def _plan_seed(self, now: float) -> None:
        options = self._board.options
        pause = options.seed_s * self._board.rng.uniform(0.5, 1.5)
        if self._board.roster.live == 1:
            pause = self._board.rng.random() * min(options.seed_s, 0.25 * 2.0 ** min(self._seed_tries, 16))
        self._seed_at = now + pause

    def _lost_seeds(self) -> list[str]:
        """Return the seeds that lead to no live member, us included."""
        roster = self._board.roster
        live = {record.address for record in roster.records() if self._board.live(record.name)} if self._seeds else ()
        lost = [address for address in self._seeds if address not in live]
        return [address for address in lost if not self._board.live(self._leads.get(address, ""))]
