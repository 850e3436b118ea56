"""One mesh on one seed: first everything goes wrong, then nothing, and then it must be whole.

L1  Within 3 s of the last fault and the last link, and of what was late on its way, every node sees what there is.
L2  Each two nodes have one session, the same on both sides, and no more than 2 dials were in vain for each loss.
G1  Every node's view of the mesh is the truth: who lives is alive and reachable, at its present run; nobody else is.
G3  At rest nothing changes in any view.
G4  Each two nodes have one control link, the same on both sides, and no connection besides.

What :mod:`.checker` and :mod:`.views` check after every step holds all the time.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from liminal_mesh.cluster.effects import Failed, SessionDown, SessionUp
from liminal_mesh.cluster.membership import GONE, MemberChanged
from liminal_mesh.cluster.scopes import SCOPES
from liminal_mesh.cluster.swim import LAN
from liminal_mesh.cluster.swim.options import TEST

from .actions import Actions
from .checker import Checker
from .faults import Faults, FrameFaults
from .host import Host
from .views import Views
from .world import World, address_of

__all__ = ["CONVERGE_S", "HEAL_S", "Simulation", "simulate"]

NAMES = "abcdef"
MESH = "dns://mesh:7601"
CONVERGE_S = 3.0
HEAL_S = 15.0
"""What may pass from the last fault until all is well, whatever the faults were.

Five seconds until what a hole has swallowed is given up, as much until a name is looked up again, a name check, redials
at their cap, and the end of the longest suspicion of whoever died last.
"""
REST_S = 3.0
THREAD_LAG_S = 0.01
LATE_S = 12.0
"""How long packets that were lost again and again may make trouble: six seconds late, and given up five after that."""
LOOK_S = 50.0
"""Within this a registry is compared in any case: what no stream does, as losing a frame, is mended no sooner."""


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


class Simulation(Actions):
    """A world, its faults, and its checkers. ``seen`` counts what came about in it."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        rng = Random(seed)
        drawn = faults or Faults.draw(rng)
        world = World(rng.randrange(2**32), TEST if drawn.eager else LAN)
        world.thread_lag_s = THREAD_LAG_S if drawn.threads else 0.0
        super().__init__(world, rng, drawn)
        self.checker = Checker(may_fail=drawn.clock == "behind" or "intrude" in drawn.weights or drawn.loss > 0)
        self.views = Views(runs_differ="same_epoch" not in drawn.weights and "reborn" not in drawn.weights)
        self.world.checks += [self.checker.check, self.views.check]
        self.world.control_checks.append(self.views.check_control)
        self.last_change = 0.0
        self.healed_after = 0.0

    @property
    def seen(self) -> Counter[str]:
        """What came about, so that a run in which nothing did is noticed."""
        return self.views.seen

    def run(self) -> None:
        """Run the world to its end."""
        for name in NAMES[: self.faults.nodes]:
            self.start(name)
            self.world.run(self.rng.uniform(0, 0.05))
        self.world.frame_fault = FrameFaults(self.world, self.faults)
        self.world.loss = self.faults.loss
        for _ in range(self.faults.steps):
            self.act()
            self.world.run(self.rng.uniform(0, 2 * self.faults.pause_s))
        self.world.frame_fault = None
        self._end_all_faults()
        self._check_end()

    def start(self, name: str, *, same_epoch: bool = False, address: str = "") -> Host:
        """Start a node."""
        epoch = self.epochs[name] if same_epoch else self.next_epoch(name)
        if not same_epoch:
            self.numbers[name] = 0
        seeds = " ".join(NAMES[: self.faults.nodes]) if self.faults.everyone_is_a_seed else "a"
        where = address or address_of(name)
        if self.faults.named:
            seeds = ""
            self.world.names["mesh"] = sorted({*self.world.hosts, where})

        def follow(host: Host, run: bytes) -> None:
            self.checker.follow(host, run)
            self.views.follow(host)
            host.watchers.append(lambda effect: self._note(host, effect))

        ring_records, names = self.faults.ring_records, MESH if self.faults.named else ""
        host = self.world.add(name, seeds, epoch, address=where, ring_records=ring_records, names=names, before=follow)
        if self.rng.random() < 0.7:
            self._join(host)
        return host

    def _note(self, host: Host, effect: object) -> None:
        if isinstance(effect, SessionUp | SessionDown | MemberChanged):
            self.last_change = self.world.now
        elif isinstance(effect, Failed):
            self.seen["failed"] += 1
            self.world.later(0.01, self.give_up, host)

    # --- what must be true at the end ---------------------------------------------------------------

    def _check_end(self) -> None:
        world, healed = self.world, self.world.now
        self.last_change = healed
        late = self.faults.retransmit_s + (LATE_S if self.faults.loss else 0.0)
        look = LOOK_S if self.faults.alters_frames else 0.0
        world.later(late, world.redundant.clear)
        took = world.run_until(lambda: self._whole() and self._agreed(), HEAL_S, 0.02)
        took += world.run_until(self._converged, HEAL_S + look, 0.02)
        since = world.now - max(healed, self.last_change)
        self.healed_after = took
        assert since <= CONVERGE_S + late + look, (
            f"L1: {since:.1f} s after the last link, {took:.1f} s after the last fault"
        )
        world.run(REST_S + late)
        self.views.at_rest = True
        world.run(REST_S)
        assert self._whole(), f"G1: what was right went wrong: {self.hosts}"
        assert self._agreed(), "L2: a session ended without a fault"
        assert self._converged(), "L1: what was right went wrong"
        self._check_connections()
        losses: Counter[frozenset[str]] = Counter()
        for host in self.hosts:
            for at, effect in zip(host.times, host.effects, strict=True):
                if isinstance(effect, SessionDown) and at >= healed:
                    losses[frozenset((host.me.name, effect.peer.name))] += 1
        for pair, count in Counter(pair for _, pair in world.redundant).items():
            assert count <= 2 * (losses[pair] + 1), f"L2: {count} dials in vain between {sorted(pair)}"

    def _whole(self) -> bool:
        """G1: whether every view is the truth, and all views have one digest, if all runs can be told apart."""
        living = {host.me.name: host.me.epoch for host in self.hosts}
        expected = {*NAMES[: self.faults.nodes]} - self.down
        if living.keys() != expected:
            return False
        if self.views.runs_differ and len({host.control.swim.digest for host in self.hosts}) > 1:
            return False
        for host in self.hosts:
            seen = {}
            for member in host.core.membership.members():
                if member.state not in GONE:
                    seen[member.name] = member.epoch
                    if member.state != "alive" or not member.reachable or member.stalled:
                        return False
            if seen != living:
                return False
        return True

    def _agreed(self) -> bool:
        """L2, G4: whether each two nodes have one session and one control link, the same on both sides."""
        hosts = {host.me.name: host for host in self.hosts}
        for name, host in hosts.items():
            sessions, links = host.core.sessions(), host.control._links
            if not sessions.keys() == links.keys() == hosts.keys() - {name}:
                return False
            for other_name, other in hosts.items() - {(name, host)}:
                session, link = sessions[other_name], links[other_name]
                theirs, back = other.core.sessions().get(name), other.control._links.get(name)
                if theirs is None or theirs.g != session.g or session.peer != other.me:
                    return False
                if back is None or back.g != link.g or link.node != other.me:
                    return False
                if host.ends[session.conn].peer is not other.ends[theirs.conn]:
                    return False
                if host.control_ends[link.conn].peer is not other.control_ends[back.conn]:
                    return False
        return True

    def _check_connections(self) -> None:
        for host in self.hosts:
            for ends in (host.ends, host.control_ends):
                # A node that dials a seed may meet itself there, now and then.
                peers = Counter(end.peer.host.me.name for end in ends.values() if end.peer.host is not host)
                assert set(peers.values()) <= {1}, f"G4: {host} has {peers}"

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
