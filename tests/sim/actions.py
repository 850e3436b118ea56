"""What happens to the nodes of a simulated mesh, and what they do; one method for each action."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from random import Random

from .faults import Faults
from .host import End, Host
from .world import World

__all__ = ["GROUPS", "USED_SCOPES", "Actions"]

GROUPS = ("x", "y", "z", "x.*", "deep.>")
USED_SCOPES = (0, 3)
GOODBYE_S = 1.5
"""What a goodbye may take: it waits a second for those that confirm it."""


class Actions(ABC):
    """A world whose nodes can be acted on.

    ``epochs`` is the latest run of each name, and ``down`` who is down until it is revived. Intruders bear a name that
    somebody else had first.
    """

    def __init__(self, world: World, rng: Random, faults: Faults) -> None:
        self.world = world
        self.rng = rng
        self.faults = faults
        self.epochs: Counter[str] = Counter()
        self.numbers: Counter[str] = Counter()
        self.down: set[str] = set()
        self._used: set[tuple[str, int]] = set()
        self._intruders: set[Host] = set()
        self._moves = 0

    @abstractmethod
    def start(self, name: str, *, same_epoch: bool = False, address: str = "") -> Host:
        """Start a node."""

    @property
    def hosts(self) -> list[Host]:
        """The nodes that live, by name."""
        return sorted(self.world.hosts.values(), key=lambda host: (host.me, host.address))

    def next_epoch(self, name: str) -> int:
        """Return the epoch of a run that starts now; a clock that is behind gives one that is over, and never two."""
        latest = self.epochs[name]
        if self.faults.clock == "behind" and latest and self.rng.random() < 0.3:
            before = [epoch for epoch in range(max(1, latest - 9), latest) if (name, epoch) not in self._used]
            if before:
                epoch = self.rng.choice(before)
                self._used.add((name, epoch))
                return epoch
        leap = 1000 if self.faults.clock == "ahead" and self.rng.random() < 0.3 else 10
        epoch = self.epochs[name] = latest + self.rng.randrange(1, 3) * leap
        return epoch

    def act(self) -> None:
        """Let something happen to some node."""
        weights = self.faults.weights | {"join": 4.0, "leave": 3.0}
        (action,) = self.rng.choices(sorted(weights), [weights[key] for key in sorted(weights)])
        running = [host for host in self.hosts if not host.stopped]
        if running:
            getattr(self, f"_{action}")(self.rng.choice(running))

    def give_up(self, host: Host) -> None:
        """Do what an operator would for a node that cannot stay: a later run of it, unless it took another's name."""
        self.world.crash(host)
        if host not in self._intruders:
            self.world.later(0.5, self._return, host.me.name)

    def _return(self, name: str) -> None:
        if name not in self.down and not self._lives(name):
            self.start(name)

    def _lives(self, name: str) -> bool:
        return any(host.me.name == name and host not in self._intruders for host in self.hosts)

    # --- groups -------------------------------------------------------------------------------------

    def _join(self, host: Host) -> None:
        # A process may be in several groups; numbers are never used again by another process.
        name, scope = host.me.name, self.rng.choice(USED_SCOPES)
        if self.rng.random() < 0.7 or not self.numbers[name]:
            self.numbers[name] += 1
            number = self.numbers[name]
        else:
            number = self.rng.randrange(1, self.numbers[name] + 1)
        host.registry.join(scope, self.rng.choice(GROUPS), number)
        host.changed()

    def _leave(self, host: Host) -> None:
        own = [
            (scope, group, pid.number)
            for scope in USED_SCOPES
            for group, pids in sorted(host.registry.groups(scope).items())
            for pid in pids
            if pid.node == host.me.name
        ]
        if own:
            host.registry.leave(*self.rng.choice(own))
            host.changed()

    def _burst(self, host: Host) -> None:
        for _ in range(self.rng.randrange(5, 40)):
            self.rng.choice((self._join, self._leave))(host)

    # --- connections --------------------------------------------------------------------------------

    def _some_end(self, host: Host) -> End | None:
        ends = [host.ends[session.conn] for _, session in sorted(host.core.sessions().items())]
        ends += [host.control_ends[link.conn] for _, link in sorted(host.control._links.items())]
        return self.rng.choice(ends) if ends else None

    def _cut(self, host: Host) -> None:
        end = self._some_end(host)
        if end is not None:
            self.world.cut(end, both=True)

    def _half_cut(self, host: Host) -> None:
        end = self._some_end(host)
        if end is not None:
            self.world.cut(end, both=False)

    def _one_way(self, host: Host) -> None:
        other = self.rng.choice(self.hosts)
        if other.me.name != host.me.name:
            self.world.holes.add((host.me.name, other.me.name))

    def _hole(self, host: Host) -> None:
        self._separate(host, self.rng.choice(self.hosts), sever=False)

    def _sever(self, host: Host) -> None:
        self._separate(host, self.rng.choice(self.hosts), sever=True)

    def _part(self, _: Host) -> None:
        """Part the mesh in two, by black holes or like proxies that were switched off."""
        hosts, sever = self.hosts, self.rng.random() < 0.5
        self.rng.shuffle(hosts)
        place = self.rng.randrange(len(hosts) + 1)
        for one in hosts[:place]:
            for other in hosts[place:]:
                self._separate(one, other, sever)

    def _separate(self, host: Host, other: Host, sever: bool) -> None:
        one, two = host.me.name, other.me.name
        if one == two:
            return
        if sever:
            self.world.sever(one, two, accepts=self.rng.random() < 0.5)
        else:
            self.world.holes |= {(one, two), (two, one)}

    def _no_way(self, host: Host) -> None:
        """Take a node's routes away: its dials fail at once, and what it sends goes nowhere."""
        name = host.me.name
        self.world.unreachable.add(name)
        self.world.holes |= {(name, other.me.name) for other in self.hosts if other.me.name != name}

    def _heal(self, _: Host | None = None) -> None:
        self.world.restore()
        self.world.unreachable.clear()
        for hole in sorted(self.world.holes):
            self.world.heal(*hole, self.faults.retransmit_s)

    # --- nodes --------------------------------------------------------------------------------------

    def _intrude(self, host: Host) -> None:
        """Start a second node of a name that is taken, at another address."""
        if not any(other in self._intruders for other in self.hosts):
            self._intruders.add(self.start(host.me.name, address=f"intruder:{7601 + self.epochs[host.me.name]}"))

    def _restart(self, host: Host) -> None:
        if host not in self._intruders:
            self.world.crash(host)
            self.world.run(self.rng.choice((0, 0.01, 0.3, 2.0)))
            self._return(host.me.name)

    def _move(self, host: Host) -> None:
        """Restart a node at another address."""
        if host not in self._intruders:
            self.world.crash(host)
            self._moves += 1
            self.start(host.me.name, address=f"{host.me.name}-{self._moves}:7601")

    def _same_epoch(self, host: Host) -> None:
        if host not in self._intruders and host.me.epoch == self.epochs[host.me.name]:
            self.world.crash(host)
            self.start(host.me.name, same_epoch=True)

    def _crash(self, host: Host) -> None:
        """Kill a node, for good unless it is revived."""
        self.world.crash(host)
        if host not in self._intruders:
            self.down.add(host.me.name)

    def _revive(self, _: Host | None = None) -> None:
        for name in sorted(self.down):
            self.down.discard(name)
            self._return(name)

    def _drain(self, host: Host) -> None:
        host.drain()
        self.world.run(self.rng.choice((0, 0.01, 0.5)))
        self._restart(host)

    def _depart(self, host: Host) -> None:
        """Let a node say goodbye to the end, and go."""
        host.drain()
        self.world.run(GOODBYE_S)
        assert host.departed or host.stopped or not host.alive, "a goodbye came to no end"
        self._crash(host)

    def _pause(self, host: Host) -> None:
        """Stop a process, and let it go on after a while."""
        host.stop()
        self.world.later(self.rng.choice((0.3, 1.5, 4.0, 8.0)), self._resume, host)

    def _resume(self, host: Host) -> None:
        if host.alive and host.stopped:
            host.resume()

    def _stall(self, host: Host) -> None:
        host.stalled_until = self.world.now + self.rng.uniform(0.1, 2)

    def _end_all_faults(self) -> None:
        """Let everything be well again, and everybody there who is to be."""
        self._heal()
        self.world.loss = 0.0
        for host in self.hosts:
            host.stalled_until = 0.0
            self._resume(host)
            if host in self._intruders:
                self.world.crash(host)
        if not self.faults.down or len(self.hosts) < 2:
            self._revive()
