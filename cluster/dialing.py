"""Whom to dial, and when: for ever, but never all at once.

A *target* is an address that a seed stands for, or a peer (by its name): peers are learned from their own Hello
and from what other peers say of whom they are linked with, so any one seed is enough. Each target has at most one dial
in flight, and so has each peer and each address, however many targets lead to it. After a failure the pause
doubles up to a cap, and the dial falls at random into it (full jitter), so that nodes which lost each other in
one moment do not come back in one moment.

Of two nodes that learn of each other the lower name dials first, and the higher gives it a head start. A seed
rests while the peer it leads to is linked, or is dialled at that same address as a peer. A peer that said
goodbye is not dialled; a seed always is, since whoever is started there next may bear any name. A seed at which
we met ourselves is tried seldom: its name may lead to several nodes, and whoever says that it is us has proved
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .options import PeeringOptions

if TYPE_CHECKING:
    from random import Random

__all__ = ["Attempt", "Dialer", "Target"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """How the last dial of a target ended.

    ``peer`` is whom it leads to, as far as known. ``code`` is ``linked`` while a session with it stands, and else how
    the dial ended, "" when none has: a refusal's code, what the network said (``nothing-listens``, ``timeout``,
    ``unknown-host``, ``unreachable``), or the reason for which the connection was closed; ``detail`` says more.
    """

    address: str
    seed: bool
    peer: str
    code: str
    detail: str
    at: float | None


@dataclass(slots=True)
class Target:
    """One address that is dialled.

    ``name`` is the peer it leads to, as far as known; ``dead`` says that this peer is gone, and ``left`` that it will
    not be back. ``busy`` says that a dial, or the connection made by it, has not come to an end. ``retired`` is an
    address that no seed stands for any more, while its dial is in flight. ``code``, ``detail`` and ``ended`` say how
    the last dial ended.
    """

    key: str
    address: str
    seed: bool
    due: float
    name: str = ""
    epoch: int = 0
    attempts: int = 0
    busy: bool = False
    dead: bool = False
    left: bool = False
    retired: bool = False
    code: str = ""
    detail: str = ""
    ended: float | None = None


class _Flying:
    """Whom the dials in flight lead to."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self._names: set[str] = set()
        self._addresses: set[str] = set()

    def add(self, target: Target) -> None:
        self.keys.add(target.key)
        self._addresses.add(target.address)
        if target.name:
            self._names.add(target.name)

    def leads_to(self, target: Target) -> bool:
        """Whether one of them ends where this one would."""
        return target.address in self._addresses or target.name in self._names


class Dialer:
    """The plan of all dials of one node."""

    def __init__(self, me: str, options: PeeringOptions, rng: Random) -> None:
        self._me = me
        self._options = options
        self._rng = rng
        self._linked: set[str] = set()
        self._stopped = False
        self._targets: dict[str, Target] = {}
        self._seeds: dict[str, frozenset[str]] = {}
        """What each seed stands for."""

    def stop(self) -> None:
        """Dial nobody any more."""
        self._stopped = True

    def due(self, now: float) -> list[Target]:
        """Return the targets to be dialled now, longest due first; they are in flight from here on."""
        chosen: list[Target] = []
        flying = self._flying()
        for target in sorted(self._targets.values(), key=lambda target: (target.due, target.key)):
            if len(flying.keys) >= self._options.dials_max:
                break
            if target.due <= now and not self._rests(target, flying):
                target.busy = True
                flying.add(target)
                chosen.append(target)
        return chosen

    def next_due(self) -> float:
        """Return when :meth:`due` should be asked again, as things stand."""
        flying = self._flying()
        if len(flying.keys) >= self._options.dials_max:
            return math.inf
        return min(
            (target.due for target in self._targets.values() if not self._rests(target, flying)), default=math.inf
        )

    def stand_for(self, seed: str, addresses: Iterable[str], now: float) -> None:
        """Note which addresses a seed stands for from now on; those that no seed stands for are dialled no more."""
        self._seeds[seed] = frozenset(addresses)
        if not self._seeds[seed]:
            del self._seeds[seed]
        wanted = frozenset[str]().union(*self._seeds.values())
        for address in sorted(wanted - self._targets.keys()):
            there = (peer.name for peer in self._targets.values() if not peer.seed and peer.address == address)
            self._targets[address] = Target(address, address, True, now, next(there, ""))
        for target in [target for target in self._targets.values() if target.seed]:
            target.retired = target.key not in wanted
            if target.retired and not target.busy:
                del self._targets[target.key]

    def settled(self, seed: str) -> bool:
        """Whether each address that the seed stands for led to a linked peer, or to this node; False without any."""
        names = [self._targets[address].name for address in self._seeds.get(seed, ())]
        return bool(names) and all(name in self._linked or name == self._me for name in names)

    def attempts(self) -> tuple[Attempt, ...]:
        """Return how the last dial of each target ended, seeds first."""
        targets = sorted(self._targets.values(), key=lambda target: (not target.seed, target.key))
        return tuple(self._attempt(target) for target in targets if not target.retired)

    def _attempt(self, target: Target) -> Attempt:
        if target.name in self._linked:
            return Attempt(target.address, target.seed, target.name, "linked", "", None)
        return Attempt(target.address, target.seed, target.name, target.code, target.detail, target.ended)

    def learn(self, name: str, epoch: int, address: str, now: float) -> None:
        """Note that somebody is linked with a peer of this name and address."""
        target = self._targets.get(name)
        if target is None:
            if name == self._me or self._learned() >= self._options.peers_max:
                return
            due = now + self._head_start(name, self._options.yield_first_s)
            self._targets[name] = Target(name, address, False, due, name, epoch)
        elif epoch > target.epoch:
            # A later run counts for more than what we were told before, a goodbye included.
            target.epoch, target.address, target.dead, target.left = epoch, address, False, False

    def linked(self, name: str, epoch: int, address: str, now: float) -> None:
        """Note that a session stands with this peer; what it says of itself overrules what others said."""
        self._linked.add(name)
        target = self._targets.setdefault(name, Target(name, address, False, now, name))
        target.epoch, target.address, target.dead, target.left = epoch, address, False, False
        for other in self._targets.values():
            # A seed that was not reached yet is this peer's all the same, if that is what the peer says.
            if other.address == address and not other.name:
                other.name = name
        for other in self._leading_to(name):
            other.attempts, other.busy = 0, False

    def unlinked(self, name: str, now: float) -> None:
        """Note that the session with this peer is over."""
        self._linked.discard(name)
        pause = self._head_start(name, self._options.yield_again_s) + self._rng.random() * self._options.redial_base_s
        for target in self._leading_to(name):
            target.due = now + pause

    def rest(self, name: str, epoch: int, *, left: bool) -> None:
        """Note that this run of a peer is dead, or has ``left``: only a dead run can come :meth:`back`."""
        target = self._targets.get(name)
        if target is not None and target.epoch <= epoch:
            target.dead, target.left = True, target.left or left

    def back(self, name: str, epoch: int, address: str, now: float) -> None:
        """Note that this run of a peer is alive."""
        self.learn(name, epoch, address, now)
        target = self._targets.get(name)
        if target is not None and target.epoch == epoch and target.dead and not target.left:
            target.dead, target.attempts = False, 0
            target.due = now + self._head_start(name, self._options.yield_again_s)

    def drop(self, name: str) -> None:
        """Forget a peer that is no member any more."""
        target = self._targets.get(name)
        if target is not None and not target.seed and name not in self._linked:
            del self._targets[name]

    def reached(self, key: str, name: str) -> None:
        """Note who answered at a target."""
        target = self._targets.get(key)
        if target is None:
            return
        if target.seed:
            target.name = name
        elif target.name != name:
            # Another node got that address; where the peer is now, somebody will tell who is linked with it.
            del self._targets[key]

    def failed(self, key: str, now: float, code: str = "", detail: str = "") -> None:
        """Note that a dial, or the connection it made, came to nothing, and why (:class:`Attempt`)."""
        target = self._targets.get(key)
        if target is None:
            return
        target.code, target.detail, target.ended = code, detail, now
        options = self._options
        pause = min(options.redial_cap_s, options.redial_base_s * 2.0 ** min(target.attempts, 16))
        target.busy, target.attempts, target.due = False, target.attempts + 1, now + self._rng.random() * pause

    def itself(self, key: str, now: float) -> None:
        """Note that the target was this very node, after its dial has :meth:`failed`."""
        target = self._targets.get(key)
        if target is not None and target.seed:
            target.attempts, target.due, target.name = 0, now + self._options.redial_self_s, self._me
        elif target is not None:
            del self._targets[key]

    def _rests(self, target: Target, flying: _Flying) -> bool:
        if self._stopped or target.retired or target.busy or target.name in self._linked or flying.leads_to(target):
            return True
        if not target.seed:
            return target.dead
        peer = self._targets.get(target.name)
        return peer is not None and peer.address == target.address and not peer.dead

    def _flying(self) -> _Flying:
        flying = _Flying()
        for target in self._targets.values():
            if target.busy:
                flying.add(target)
        return flying

    def _leading_to(self, name: str) -> list[Target]:
        return [target for target in self._targets.values() if target.name == name]

    def _learned(self) -> int:
        return sum(not target.seed for target in self._targets.values())

    def _head_start(self, name: str, pause: float) -> float:
        """Return how long to leave the first dial to that peer: not at all if our name is the lower one."""
        return 0.0 if self._me < name else pause * (1.0 + 0.5 * self._rng.random())
