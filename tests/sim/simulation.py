"""One mesh on one seed: first everything goes wrong, then nothing, and then it must be whole.

L1  Within 3 s of the last fault and the last link, every node sees exactly what there is.
L2  Each two nodes have one session, the same on both sides, and no more than 2 dials were in vain for each loss.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from liminal_mesh.cluster.effects import Failed, SessionDown, SessionUp
from liminal_mesh.cluster.scopes import SCOPES

from .checker import Checker
from .faults import Faults, FrameFaults
from .host import End, Host
from .world import World, address_of

__all__ = ["Simulation", "simulate"]

NAMES = "abcde"
GROUPS = ("x", "y", "z", "x.*", "deep.>")
USED_SCOPES = (0, 3)
CONVERGE_S = 3.0
LINK_S = 15.0
"""Five seconds of silence, a name check, and redials at the cap, one or two of them in vain."""


def simulate(seed: int, faults: Faults | None = None) -> Simulation:
    """Run one seed.

    Raises:
        AssertionError: a property does not hold; the message begins with the seed.
    """
    simulation = Simulation(seed, faults)
    try:
        simulation.run()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error} ({simulation.faults})") from error
    return simulation


class Simulation:
    """A world, its faults, and its checker."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.rng = Random(seed)
        self.faults = faults or Faults.draw(self.rng)
        self.world = World(self.rng.randrange(2**32))
        self.checker = Checker(may_fail="intrude" in self.faults.weights)
        self.world.checks.append(self.checker.check)
        self.epochs: Counter[str] = Counter()
        self.numbers: Counter[str] = Counter()
        self.last_change = 0.0

    def run(self) -> None:
        """Run the world to its end."""
        names = NAMES[: self.faults.nodes]
        for name in names:
            self._start(name)
            self.world.run(self.rng.uniform(0, 0.05))
        self.world.frame_fault = FrameFaults(self.world, self.faults)
        for _ in range(self.faults.steps):
            self._act()
            self.world.run(self.rng.uniform(0, 2 * self.faults.pause_s))
        self.world.frame_fault = None
        self._heal()
        self._check_end()

    @property
    def hosts(self) -> list[Host]:
        """The nodes that live, by name."""
        return sorted(self.world.hosts.values(), key=lambda host: host.me)

    # --- what happens -------------------------------------------------------------------------------

    def _start(self, name: str, *, same_epoch: bool = False, address: str = "") -> None:
        if not address and address_of(name) in self.world.hosts:
            return
        if not same_epoch:
            self.epochs[name] += self.rng.randrange(1, 3)
            self.numbers[name] = 0
        seeds = " ".join(NAMES[: self.faults.nodes]) if self.faults.everyone_is_a_seed else "a"
        world, epoch = self.world, self.epochs[name]
        ring_records, follow = self.faults.ring_records, self.checker.follow
        host = world.add(name, seeds, epoch, address=address, ring_records=ring_records, before=follow)
        host.watchers.append(lambda effect: self._note(host, effect))
        if self.rng.random() < 0.7:
            self._join(host)

    def _note(self, host: Host, effect: object) -> None:
        if isinstance(effect, SessionUp | SessionDown):
            self.last_change = self.world.now
        elif isinstance(effect, Failed):
            self.world.later(0.01, self._give_up, host)

    def _give_up(self, host: Host) -> None:
        """Do what an operator would, if the name of this node is taken: its bearer gets it back, with a later epoch."""
        self.world.crash(host)
        if not _intrudes(host):
            self.world.later(0.5, self._start, host.me.name)

    def _act(self) -> None:
        weights = self.faults.weights | {"join": 4.0, "leave": 3.0}
        (action,) = self.rng.choices(sorted(weights), [weights[key] for key in sorted(weights)])
        if self.hosts:
            getattr(self, f"_{action}")(self.rng.choice(self.hosts))

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

    def _link(self, host: Host) -> End | None:
        sessions = host.core.sessions()
        return host.ends[sessions[self.rng.choice(sorted(sessions))].conn] if sessions else None

    def _cut(self, host: Host) -> None:
        end = self._link(host)
        if end is not None:
            self.world.cut(end, both=True)

    def _half_cut(self, host: Host) -> None:
        end = self._link(host)
        if end is not None:
            self.world.cut(end, both=False)

    def _one_way(self, host: Host) -> None:
        other = self.rng.choice(self.hosts)
        if other is not host:
            self.world.holes.add((host.me.name, other.me.name))

    def _hole(self, host: Host) -> None:
        other = self.rng.choice(self.hosts)
        if other is not host:
            self.world.holes |= {(host.me.name, other.me.name), (other.me.name, host.me.name)}

    def _heal(self, _: Host | None = None) -> None:
        for hole in sorted(self.world.holes):
            self.world.heal(*hole)

    def _intrude(self, host: Host) -> None:
        """Start a second node of a name that is taken, at another address."""
        if not any(map(_intrudes, self.hosts)):
            self._start(host.me.name, address=f"intruder:{7601 + self.epochs[host.me.name]}")

    def _restart(self, host: Host) -> None:
        self.world.crash(host)
        self.world.run(self.rng.choice((0, 0.01, 0.3, 2.0)))
        self._start(host.me.name)

    def _same_epoch(self, host: Host) -> None:
        self.world.crash(host)
        self._start(host.me.name, same_epoch=True)

    def _drain(self, host: Host) -> None:
        host.drain()
        self.world.run(self.rng.choice((0, 0.01, 0.5)))
        self._restart(host)

    def _stall(self, host: Host) -> None:
        host.stalled_until = self.world.now + self.rng.uniform(0.1, 2)

    # --- what must be true at the end ---------------------------------------------------------------

    def _check_end(self) -> None:
        world, healed = self.world, self.world.now
        self.last_change = healed
        for host in self.hosts:
            host.stalled_until = 0.0
            if _intrudes(host):
                self.world.crash(host)
        world.redundant.clear()
        took = world.run_until(lambda: self._agreed() and self._converged(), LINK_S + CONVERGE_S)
        since = world.now - max(healed, self.last_change)
        assert since <= CONVERGE_S, f"L1: {since:.1f} s after the last link, {took:.1f} s after the last fault"
        world.run(3)
        assert self._agreed(), "L2: a session ended without a fault"
        assert self._converged(), "L1: what was right went wrong"
        losses: Counter[frozenset[str]] = Counter()
        for host in self.hosts:
            for at, effect in zip(host.times, host.effects, strict=True):
                if isinstance(effect, SessionDown) and at >= healed:
                    losses[frozenset((host.me.name, effect.peer.name))] += 1
        for pair, count in Counter(pair for _, pair in world.redundant).items():
            assert count <= 2 * (losses[pair] + 1), f"L2: {count} dials in vain between {sorted(pair)}"

    def _agreed(self) -> bool:
        hosts = self.hosts
        if len(hosts) < self.faults.nodes:
            return False
        for host in hosts:
            sessions = host.core.sessions()
            if len(sessions) != len(hosts) - 1:
                return False
            for name, session in sessions.items():
                other = self.world.hosts[address_of(name)]
                theirs = other.core.sessions().get(host.me.name)
                if theirs is None or theirs.g != session.g or session.peer != other.me:
                    return False
                if host.ends[session.conn].peer is not other.ends[theirs.conn]:
                    return False
        return True

    def _converged(self) -> bool:
        for scope in range(len(SCOPES)):
            truth: dict[str, set[object]] = {}
            for host in self.hosts:
                for group, numbers in host.registry._logs[scope].members.items():
                    truth.setdefault(group, set()).update((*host.me, number) for number in numbers)
            for host in self.hosts:
                if {group: set(pids) for group, pids in host.registry.groups(scope).items()} != truth:
                    return False
                if host.registry.unsynced(scope):
                    return False
        return True


def _intrudes(host: Host) -> bool:
    return host.address != address_of(host.me.name)
