"""The second line: replicas that hold what is not so, by a defect or by an epoch that came twice, and their digests.

Nothing is checked on the way here, since a replica is wrong until that is found; it must be found and mended by the
end, when every node has to see exactly what there is. Without digests it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import pytest

from liminal_mesh.cluster.digest import EntryDigest
from liminal_mesh.cluster.frames import LinkFrame, Position
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.replication import Replication

from .actions import GROUPS, USED_SCOPES
from .checker import Checker
from .faults import Faults
from .host import Host
from .simulation import Simulation

Patch = pytest.MonkeyPatch

SEEDS = 30
SEEDS_MAX = 12
NOBODY = 1_000_000
"""A process that there is not."""

CORRUPTED = Faults(steps=50, weights={"corrupt": 3.0, "cut": 0.7, "restart": 0.3, "burst": 0.3})
REUSED = Faults(steps=50, weights={"reborn": 1.5, "cut": 0.7, "burst": 0.5}, ring_records=64)


class _Nobody:
    """Stands where a checker would."""

    steps = 0

    def follow(self, host: Host, run: bytes) -> None:
        """Look away."""


class Unchecked(Simulation):
    """A simulation in which replicas may be wrong for a while; only its end is checked."""

    def __init__(self, seed: int, faults: Faults) -> None:
        super().__init__(seed, faults)
        self.world.checks.clear()
        self.checker = cast("Checker", _Nobody())
        self.corrupted = self.resyncs = 0

    def _corrupt(self, host: Host) -> None:
        """Let an entry appear or vanish in a replica, as a defect of the code that applies would: digest and all."""
        held = [peer for _, peer in sorted(host.registry._peers.items())]
        if not held:
            return
        replica = self.rng.choice(held).replicas[self.rng.choice(USED_SCOPES)]
        index = host.registry._visible.scopes[replica.scope]
        if replica.members and self.rng.random() < 0.5:
            group = self.rng.choice(sorted(replica.members))
            number = self.rng.choice(sorted(replica.members[group]))
            replica.members[group].remove(number)
            replica.count -= 1
            if not replica.members[group]:
                del replica.members[group]
                if replica.synced:
                    index.lose(replica.node.name, group)
        else:
            group, number = "x", NOBODY + self.corrupted
            replica.count += 1
            if group in replica.members:
                replica.members[group].add(number)
            else:
                replica.members[group] = {number}
                if replica.synced:
                    index.gain(replica.node.name, group)
        replica.digest ^= replica._hash.of(group, number)
        self.corrupted += 1

    def _reborn(self, host: Host) -> None:
        """Restart a node under its epoch, with as many changes behind it as its former run had, but others."""
        name, positions = host.me.name, [host.registry.position(scope) for scope in USED_SCOPES]
        self._same_epoch(host)
        (again,) = (one for one in self.hosts if one.me.name == name)
        for scope, position in zip(USED_SCOPES, positions, strict=True):
            while again.registry.position(scope) < position:
                self.numbers[name] += 1
                again.registry.join(scope, self.rng.choice(GROUPS), self.numbers[name])

    def _check_end(self) -> None:
        super()._check_end()
        self.resyncs = sum(host.registry.statistics().digest_resyncs for host in self.hosts)


def run(seed: int, faults: Faults) -> Unchecked:
    """Run a seed; a failure names it."""
    simulation = Unchecked(seed, faults)
    try:
        simulation.run()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error
    return simulation


def _epochs_that_come_twice(patch: Patch) -> None:
    """Take two runs of one epoch for the same, and go on where the first one stood."""
    session_up = Registry.session_up

    def forgetful(self: Registry, peer: NodeId, run: bytes = b"") -> list[LinkFrame]:
        return session_up(self, peer)

    patch.setattr(Registry, "session_up", forgetful)


def _without_heartbeat_digests(patch: Patch) -> None:
    """Compare positions in heartbeats, and no digests."""
    compare = Replication._compare

    def trusting(self: Replication, positions: Sequence[Position]) -> list[LinkFrame]:
        own = {replica.scope: replica.digest for replica in self.replicas}
        return compare(self, [msgspec.structs.replace(one, digest=own[one.scope]) for one in positions])

    patch.setattr(Replication, "_compare", trusting)


def _without_digests(patch: Patch) -> None:
    """Let all sets have the same digest: in heartbeats, in ranges, in requests and in snapshots."""
    patch.setattr(EntryDigest, "of", lambda *_: 0)


@pytest.mark.sim
def test_corrupted_replicas_are_found_by_their_digests_and_mended() -> None:
    """R24: on every seed; and the counter of resyncs says how often."""
    runs = [run(seed, CORRUPTED) for seed in range(SEEDS)]

    assert sum(one.corrupted for one in runs) > 10 * SEEDS
    assert sum(one.resyncs > 0 for one in runs) > SEEDS * 0.8


@pytest.mark.sim
def test_an_epoch_that_comes_twice_is_found_by_its_digest(monkeypatch: Patch) -> None:
    """R9: on every seed, with the run's random bytes, which are the first line, not looked at."""
    _epochs_that_come_twice(monkeypatch)
    for seed in range(SEEDS):
        run(seed, REUSED)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("plants", "faults"),
    [
        ((_without_heartbeat_digests,), CORRUPTED),
        ((_without_digests,), CORRUPTED),
        ((_epochs_that_come_twice, _without_digests), REUSED),
    ],
    ids=["corrupted, no digests in heartbeats", "corrupted, no digests", "epochs that come twice, no digests"],
)
def test_without_digests_it_is_not_found(
    plants: Sequence[Callable[[Patch], None]], faults: Faults, monkeypatch: Patch
) -> None:
    """A few seeds are enough for a mesh whose nodes go on seeing what is not there."""
    for plant in plants:
        plant(monkeypatch)

    with pytest.raises(AssertionError, match=r"seed \d+"):
        _hunt(faults)


def _hunt(faults: Faults) -> None:
    for seed in range(SEEDS_MAX):
        run(seed, faults)
