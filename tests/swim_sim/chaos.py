"""A mesh in which everything goes wrong, and what must hold of it: always, and when it has come to rest.

After every change of a view: a record only gives way to one that counts for more, and only its owner raises an
incarnation. At rest: each view holds exactly the living for alive (G1, G3), nobody suspects anybody, digests are
equal, there is a link for each pair, and what was purged has not come back (G2); nothing is queued, and every table
is as small as the mesh.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.swim import TEST
from liminal_mesh.cluster.swim.record import weight
from liminal_mesh.cluster.swim_frames import MemberRecord

from .mesh import Mesh, MeshNode

__all__ = ["ACTIONS", "Chaos", "chaos"]

ACTIONS = ("crash", "restart", "move", "intrude", "leave", "stop", "resume", "cut", "hole", "one_way", "part", "heal")
CONVERGE_S = 20.0
REST_S = 8.0


@dataclass(frozen=True)
class Faults:
    """What happens in one world: most kinds of faults are off, and the others come at wild weights."""

    nodes: int
    steps: int
    pause_s: float
    loss: float
    weights: dict[str, float] = field(default_factory=dict)

    @classmethod
    def draw(cls, rng: Random) -> Faults:
        """Draw the faults of one world."""
        weights = {action: rng.choice((0.3, 1.0, 3.0)) for action in ACTIONS if rng.random() < 0.5}
        return cls(
            nodes=rng.choice((2, 3, 4, 5, 6)),
            steps=rng.randrange(10, 40),
            pause_s=rng.choice((0.02, 0.2, 1.0)),
            loss=rng.choice((0.0, 0.0, 0.05, 0.3)),
            weights=weights or {"stop": 1.0, "resume": 1.0},
        )


class Chaos:
    """One world. ``seen`` counts what came about in it, so that a run in which nothing did is noticed."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.faults = Faults.draw(self.rng)
        self.mesh = Mesh(seed, TEST, loss=self.faults.loss)
        self.seen: Counter[str] = Counter()
        self._epochs: Counter[str] = Counter()
        self._best: dict[tuple[str, int, str], MemberRecord] = {}
        self.mesh.on_change = self._changed

    def run(self) -> None:
        """Let it happen, and check what must be so at the end."""
        for number in range(self.faults.nodes):
            self._start(f"n{number}")
        self.mesh.run(self.rng.choice((0.0, 0.5, 3.0)))
        actions, weights = list(self.faults.weights), list(self.faults.weights.values())
        for _ in range(self.faults.steps):
            living = list(self.mesh.nodes.values())
            (action,) = self.rng.choices(actions, weights)
            if living:
                getattr(self, f"_{action}")(self.rng.choice(living))
            self.mesh.run(self.rng.uniform(0, 2 * self.faults.pause_s))
        self._come_to_rest()

    # --- faults -------------------------------------------------------------------------------------

    def _start(self, name: str, address: str = "") -> MeshNode:
        self._epochs[name] += 1
        seeds = sorted({"n0", "n1", *self.mesh.nodes})
        return self.mesh.add(name, " ".join(seeds), self._epochs[name], address)

    def _crash(self, node: MeshNode) -> None:
        if len(self.mesh.nodes) > 2:
            self.mesh.crash(node)

    def _restart(self, node: MeshNode) -> None:
        self.mesh.crash(node)
        self.mesh.run(self.rng.choice((0.0, 0.01, 0.3, 2.0)))
        self._start(node.name, node.address)

    def _move(self, node: MeshNode) -> None:
        self.mesh.crash(node)
        self._start(node.name, f"{node.name}-{self._epochs[node.name]}")

    def _intrude(self, node: MeshNode) -> None:
        """Start a second node of a name that is taken."""
        self._start(node.name, f"{node.name}-{self._epochs[node.name]}")

    def _leave(self, node: MeshNode) -> None:
        if len(self.mesh.nodes) > 2 and not node.stopped:
            node.do(node.swim.leave(self.mesh.clock.now))
            self.mesh.run(1.1)
            assert node.departed or node.stopped or not node.alive, "a goodbye came to no end"
            self.mesh.crash(node)

    def _stop(self, node: MeshNode) -> None:
        self.mesh.stop(node)

    def _resume(self, _: MeshNode) -> None:
        for node in list(self.mesh.nodes.values()):
            if node.stopped:
                self.mesh.resume(node)

    def _cut(self, node: MeshNode) -> None:
        self.mesh.part([node.address], [self.rng.choice(sorted(self.mesh.nodes))], cut=True)

    def _hole(self, node: MeshNode) -> None:
        other = self.rng.choice(sorted(self.mesh.nodes))
        if other != node.address:
            self.mesh.part([node.address], [other])

    def _one_way(self, node: MeshNode) -> None:
        self.mesh.hole(node.address, self.rng.choice(sorted(self.mesh.nodes)))

    def _part(self, _: MeshNode) -> None:
        names = sorted(self.mesh.nodes)
        self.rng.shuffle(names)
        cut = self.rng.randrange(len(names) + 1)
        self.mesh.part(names[:cut], names[cut:], cut=self.rng.random() < 0.5)

    def _heal(self, _: MeshNode) -> None:
        self.mesh.heal()

    # --- always -------------------------------------------------------------------------------------

    def _changed(self, node: MeshNode, change: MemberChanged) -> None:
        after, before = change.after, change.before
        if after is None:
            return
        record = node.swim._board.roster.get(after.name)
        assert record is not None
        key = (node.name, node.me.epoch, after.name)
        best = self._best.get(key)
        assert best is None or weight(record) >= weight(best), f"{best} was followed by {record} at {node.me}"
        self._best[key] = record
        for owner in self.mesh.nodes.values():
            if owner.name == record.name and owner.me.epoch == record.epoch and owner is not node:
                assert record.incarnation <= owner.swim.record.incarnation, (
                    f"only {owner.me} raises its incarnation: {record}, {owner.swim.record}, told at {node.me}"
                )
        if before is not None and before.state != after.state:
            self.seen[f"{before.state} to {after.state}"] += 1
        if before is not None and before.epoch != after.epoch:
            self.seen["succeeded"] += 1

    # --- at rest ------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        mesh = self.mesh
        bearers: set[str] = set()
        for node in list(mesh.nodes.values()):
            if node.name in bearers:
                mesh.crash(node)
                self.seen["doubles"] += 1
            bearers.add(node.name)
        mesh.heal()
        mesh.loss = 0.0
        for node in list(mesh.nodes.values()):
            if node.stopped:
                mesh.resume(node)
        for node in list(mesh.nodes.values()):
            # Whose every address has changed can only be found by a seed.
            node.do(node.swim.seeds(sorted(mesh.nodes), mesh.clock.now))
        begin = mesh.clock.now
        assert mesh.clock.run_until(mesh.whole, begin + CONVERGE_S, 0.05), f"G1: no view is whole: {self._views()}"
        mesh.run(REST_S)
        assert mesh.whole(), f"G3: it does not stay so: {self._views()}"
        mesh.on_change = self._restless
        mesh.run(REST_S)
        self._check_tables()

    def _restless(self, node: MeshNode, change: MemberChanged) -> None:
        """Nothing happens, so nothing changes: only tombstones may grow too old."""
        purged = change.after is None and change.before is not None and change.before.state in {"dead", "left"}
        assert purged, f"G2, G3: {node.me} saw {change} though nothing happens"

    def _check_tables(self) -> None:
        names = set(self._epochs)
        digests = {node.swim.digest for node in self.mesh.nodes.values()}
        assert len(digests) <= 1, "one view, several digests"
        for node in self.mesh.nodes.values():
            swim = node.swim
            assert set(swim._board.roster.names) <= names
            alone = len(self.mesh.nodes) == 1
            assert alone or len(swim._board.rumours) == 0, "what was told often enough is told on"
            assert not swim._judge._suspicions
            assert len(swim._evidence._cases) <= len(names)
            assert not swim._succession._claims
            assert len(swim._relays._requests) <= len(names)
            assert alone or swim.health == 0, f"{node.me} distrusts itself: {swim.health}"
            living = {one.name for one in self.mesh.nodes.values()}
            assert not living & set(swim._redial._calls), "who is there is dialled"

    def _views(self) -> dict[str, dict[str, str]]:
        return {str(node.me): node.states() for node in self.mesh.nodes.values()}


def chaos(seed: int) -> Chaos:
    """Run one world; an assertion that fails names its seed and its faults."""
    world = Chaos(seed)
    try:
        world.run()
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error} ({world.faults})") from error
    return world
