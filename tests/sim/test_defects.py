"""Tests of the simulator: each defect, planted in the shipped code, is found within a few seeds."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from liminal_mesh.cluster.digest import EntryDigest
from liminal_mesh.cluster.frames import Range
from liminal_mesh.cluster.heartbeat import Pulse
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.replica import Diff, Replica
from liminal_mesh.cluster.replication import Replication
from liminal_mesh.cluster.session import Pair
from liminal_mesh.cluster.sessions import Sessions
from liminal_mesh.cluster.visible import VisibleGroups

from .simulation import simulate

SEEDS_MAX = 12
Plant = Callable[[pytest.MonkeyPatch], None]


def _without_contiguity(patch: pytest.MonkeyPatch) -> None:
    """Apply a range wherever the replica stands, as an implementation would that has no positions."""
    apply = Replica.apply

    def anywhere(self: Replica, frame: Range, room: int) -> Diff | None:
        if frame.first == self.applied + 1 or frame.last < frame.first:
            return apply(self, frame, room)
        nobody: set[int] = set()
        joins = [(group, sorted(set(some) - self.members.get(group, nobody))) for group, some in frame.joins]
        leaves = [(group, sorted(set(some) & self.members.get(group, nobody))) for group, some in frame.leaves]
        joins, leaves = [pair for pair in joins if pair[1]], [pair for pair in leaves if pair[1]]
        digest = self.digest ^ self._hash.of_all(dict(joins)) ^ self._hash.of_all(dict(leaves))
        self.applied = frame.first - 1
        return apply(self, msgspec.structs.replace(frame, joins=joins, leaves=leaves, digest=digest), room)

    patch.setattr(Replica, "apply", anywhere)


def _without_epochs(patch: pytest.MonkeyPatch) -> None:
    """Continue what is held of a name whatever its epoch and run, with no digest as a second line."""
    session_up = Registry.session_up

    def keep(self: Registry, peer: NodeId, run: bytes = b"") -> object:
        held = self._peers.get(peer.name)
        if held is not None:
            held.node, held.run = peer, run
            for replica in held.replicas:
                replica.node = peer
        return session_up(self, peer, run)

    patch.setattr(Registry, "session_up", keep)
    patch.setattr(EntryDigest, "of", lambda *_: 0)


def _without_heartbeat_check(patch: pytest.MonkeyPatch) -> None:
    """Never compare the position in a heartbeat: a lost range stays lost."""
    patch.setattr(Replication, "_compare", lambda *_: [])


def _without_masking(patch: pytest.MonkeyPatch) -> None:
    """Leave the members of a lost peer in sight."""
    patch.setattr(VisibleGroups, "hide", lambda *_: 0)


def _without_runs(patch: pytest.MonkeyPatch) -> None:
    """Take every node of one name for the same."""
    patch.setattr(Pair, "knows", lambda self, _: self.node is not None)


def _without_silence(patch: pytest.MonkeyPatch) -> None:
    """Take every new session for a sign that this node was stopped itself, so that deadlines move away."""
    patch.setattr(Pulse, "hasten", lambda self, _: setattr(self, "beat_at", 0.0))


def _without_ends(patch: pytest.MonkeyPatch) -> None:
    """Tell nobody that a session ended."""
    patch.setattr(Sessions, "down", lambda *_: None)


@pytest.mark.sim
@pytest.mark.parametrize(
    "plant",
    [
        _without_contiguity,
        _without_epochs,
        _without_heartbeat_check,
        _without_masking,
        _without_runs,
        _without_ends,
        _without_silence,
    ],
)
def test_a_planted_defect_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A property of the simulator fails, or an assertion of the product does."""
    plant(monkeypatch)

    with pytest.raises(AssertionError, match=r"seed \d+"):
        _hunt()


def _hunt() -> None:
    for seed in range(SEEDS_MAX):
        simulate(seed)
