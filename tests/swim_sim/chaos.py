"""A mesh in which everything goes wrong, and what must hold of it: always, and when it has come to rest.

After every change of a view, and after every conviction, what :mod:`.laws` says holds. At rest each view holds exactly
the living for alive (G1, G3), nobody suspects anybody, digests are equal, there is a link for each pair, and what was
purged has not come back (G2); nothing is queued, and every table is as small as the mesh.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.swim import TEST

from .laws import Laws
from .mesh import Mesh, MeshNode

__all__ = ["ACTIONS", "Chaos", "Fault", "chaos", "shrunk"]

LIVES = ("crash", "restart", "move", "intrude", "clock_behind", "leave")
PAUSES = ("stop", "resume", "starve", "block", "recover")
CUTS = ("cut", "hole", "one_way", "unplug", "part", "heal")
ACTIONS = LIVES + PAUSES + CUTS
CONVERGE_S = 20.0
REST_S = 8.0


@dataclass(frozen=True)
class Fault:
    """Something that happens: ``number`` is its place in the plan, and all its chance, so that it bears being alone."""

    number: int
    action: str
    pause_s: float

    def __repr__(self) -> str:
        return f"{self.number} {self.action}, {self.pause_s:.2f} s"


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


EPOCHS_BETWEEN = 10
"""So many runs of a name may begin with a clock that is behind."""


class Chaos:
    """One world. ``seen`` counts what came about in it, so that a run in which nothing did is noticed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.faults = Faults.draw(self.rng)
        self.mesh = Mesh(seed, TEST, loss=self.faults.loss)
        self.laws = Laws(self.mesh)
        self.seen: Counter[str] = Counter()
        self._epochs: Counter[str] = Counter()
        self._behind: Counter[str] = Counter()
        self.mesh.on_change = self._changed

    def plan(self) -> list[Fault]:
        """Return what happens, in order."""
        actions, weights = list(self.faults.weights), list(self.faults.weights.values())
        rng = Random(f"{self.seed} plan")
        return [
            Fault(number, rng.choices(actions, weights)[0], rng.uniform(0, 2 * self.faults.pause_s))
            for number in range(self.faults.steps)
        ]

    def run(self, plan: list[Fault] | None = None) -> None:
        """Let it happen, all of it or what is left of the plan, and check what must be so at the end."""
        for number in range(self.faults.nodes):
            self._start(f"n{number}")
        self.mesh.run(self.rng.choice((0.0, 0.5, 3.0)))
        for fault in self.plan() if plan is None else plan:
            self.rng = Random(f"{self.seed} {fault.number}")
            living = list(self.mesh.nodes.values())
            if living:
                getattr(self, f"_{fault.action}")(self.rng.choice(living))
            self.mesh.run(fault.pause_s)
        self._come_to_rest()

    # --- faults -------------------------------------------------------------------------------------

    def _start(self, name: str, address: str = "") -> MeshNode:
        self._epochs[name] += EPOCHS_BETWEEN
        return self._add(name, self._epochs[name], address)

    def _add(self, name: str, epoch: int, address: str) -> MeshNode:
        seeds = sorted({"n0", "n1", *self.mesh.nodes})
        node = self.mesh.add(name, " ".join(seeds), epoch, address)
        self.laws.watch(node)
        return node

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

    def _clock_behind(self, node: MeshNode) -> None:
        """Start a node again with a lower epoch than the last, as if its clock had been put back."""
        if self._behind[node.name] < EPOCHS_BETWEEN - 1:
            self._behind[node.name] += 1
            self.mesh.crash(node)
            self._add(node.name, self._epochs[node.name] - self._behind[node.name], node.address)

    def _leave(self, node: MeshNode) -> None:
        if len(self.mesh.nodes) > 2 and not node.stopped:
            node.do(node.swim.leave(self.mesh.clock.now))
            self.mesh.run(1.1)
            assert node.departed or node.stopped or not node.alive, "a goodbye came to no end"
            self.mesh.crash(node)

    def _stop(self, node: MeshNode) -> None:
        node.stop()

    def _resume(self, _: MeshNode) -> None:
        for node in list(self.mesh.nodes.values()):
            if node.stopped:
                node.resume()

    def _starve(self, node: MeshNode) -> None:
        if node.reading:
            node.starve()

    def _block(self, node: MeshNode) -> None:
        if node.outbox is None:
            node.block()

    def _recover(self, _: MeshNode) -> None:
        for node in list(self.mesh.nodes.values()):
            if not node.reading:
                node.recover()

    def _unplug(self, node: MeshNode) -> None:
        self.mesh.unplug(node)

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
        self.laws.changed(node, before, after)
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
                node.resume()
            if not node.reading:
                node.recover()
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
        """Nothing happens, so nothing changes: only tombstones may be heard of late, or grow too old."""
        member = change.after or change.before
        assert member is not None
        tombstone = (change.before is None or change.after is None) and member.state in {"dead", "left"}
        assert tombstone, f"G2, G3: {node.me} saw {change} though nothing happens"

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


def chaos(seed: int, plan: list[Fault] | None = None) -> Chaos:
    """Run one world; an assertion that fails names its seed and its faults."""
    world = Chaos(seed)
    try:
        world.run(plan)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error} ({world.faults})") from error
    return world


def shrunk(seed: int) -> Chaos:
    """Run one world; if it fails, raise what fails with as few of its faults as can be found by leaving some out."""
    try:
        return chaos(seed)
    except AssertionError as error:
        plan, last = Chaos(seed).plan(), error
    size = len(plan)
    while size:
        size = (size + 1) // 2 if size > 1 else 0
        for start in range(0, len(plan), max(1, size)):
            less = plan[:start] + plan[start + max(1, size) :]
            try:
                chaos(seed, less)
            except AssertionError as error:
                plan, last = less, error
                break
        else:
            continue
        size = min(2 * size, len(plan))
    raise AssertionError(f"{last}\nwhat is left of its faults: {plan}") from last
