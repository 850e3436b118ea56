"""The faults of our own target table, each as one run of the shipped machine: seconds, or counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from liminal_mesh.cluster.membership import MemberChanged

from .mesh import Mesh, MeshNode

__all__ = ["ROWS", "SIZES", "UNSEEN_S", "Row", "Watch", "flip", "pair", "stop"]

UNSEEN_S = 1e9
"""What is written down for something that never became true."""


class Watch:
    """What the members of a mesh have said since it was begun."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.begin = mesh.clock.now
        self.changes: list[tuple[float, str, MemberChanged]] = []
        mesh.on_change = self._changed

    def last(self, about: set[str], by: set[str], holds: Callable[[MemberChanged], bool]) -> float:
        """Return when the last of ``by`` first said something that holds of each of ``about``."""
        first: dict[tuple[str, str], float] = {}
        for at, node, change in self.changes:
            if change.after is not None and holds(change):
                first.setdefault((node, change.after.name), at)
        return max(first.get((node, name), UNSEEN_S) for node in by for name in about if node != name) - self.begin

    def count(self, state: str, *, not_about: Iterable[str] = (), not_by: Iterable[str] = ()) -> int:
        """Return how often a member was said to be in a state."""
        return sum(
            1
            for _, node, change in self.changes
            if change.after is not None
            and change.after.state == state
            and (change.before is None or change.before.state != state)
            and change.after.name not in not_about
            and node not in not_by
        )

    def _changed(self, node: MeshNode, change: MemberChanged) -> None:
        self.changes.append((self.mesh.clock.now, node.name, change))


def _state(change: MemberChanged) -> str:
    return change.after.state if change.after is not None else ""


def _dead(change: MemberChanged) -> bool:
    return _state(change) == "dead"


def _whole_after(mesh: Mesh, within_s: float) -> float:
    begin = mesh.clock.now
    every = 0.001 if len(mesh.nodes) <= 20 else 0.05
    return mesh.clock.now - begin if mesh.clock.run_until(mesh.whole, begin + within_s, every) else UNSEEN_S


def _formed(seed: int, count: int, loss: float = 0.0) -> tuple[Mesh, list[MeshNode]]:
    mesh = Mesh(seed, loss=loss)
    nodes = mesh.form(count)
    mesh.run(mesh.clock.rng.random())
    return mesh, nodes


def _sides(nodes: list[MeshNode], smaller: int) -> tuple[list[str], list[str]]:
    """The two sides of a partition, the larger one first."""
    names = [node.name for node in nodes]
    return names[smaller:], names[:smaller]


def kill(seed: int, count: int) -> dict[str, float]:
    """One process is killed."""
    mesh, nodes = _formed(seed, count)
    victim, others = nodes[-1], {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    mesh.crash(victim)
    mesh.run(20)
    return {
        "unreachable": watch.last({victim.name}, others, lambda change: not (change.after and change.after.reachable)),
        "dead": watch.last({victim.name}, others, _dead),
    }


def stop(seed: int, count: int) -> dict[str, float]:
    """One process is stopped for 30 s, and continued."""
    mesh, nodes = _formed(seed, count)
    victim, others = nodes[-1], {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    mesh.stop(victim)
    mesh.run(30)
    dead = watch.last({victim.name}, others, _dead)
    watch = Watch(mesh)
    mesh.resume(victim)
    alive = _whole_after(mesh, 20)
    mesh.run(10)
    return {"dead": dead, "alive": alive, "false": watch.count("dead", not_about={victim.name})}


def hole(seed: int, count: int) -> dict[str, float]:
    """A black hole parts the mesh in two for 30 s."""
    mesh, nodes = _formed(seed, count)
    larger, smaller = _sides(nodes, count // 2)
    watch = Watch(mesh)
    mesh.part(larger, smaller)
    mesh.run(30)
    found = {
        "majority": watch.last(set(smaller), set(larger), _dead),
        "minority": watch.last(set(larger), set(smaller), _dead),
    }
    mesh.heal()
    return {**found, "heal": _whole_after(mesh, 60)}


def proxy(seed: int, count: int) -> dict[str, float]:
    """A proxy between the two sides is switched off for 30 s: links are closed, and dials too."""
    mesh, nodes = _formed(seed, count)
    larger, smaller = _sides(nodes, (count - 1) // 2)
    watch = Watch(mesh)
    mesh.part(larger, smaller, cut=True)
    mesh.run(30)
    found = {"majority": watch.last(set(smaller), set(larger), _dead)}
    mesh.heal()
    return {**found, "heal": _whole_after(mesh, 60)}


def hour(seed: int, count: int, *, seeds_across: bool) -> dict[str, float]:
    """A black hole of an hour; the seeds of a side are on the other, or on the same."""
    mesh, nodes = _formed(seed, count)
    larger, smaller = _sides(nodes, count // 2)
    for node in nodes:
        inside, outside = (larger, smaller) if node.name in larger else (smaller, larger)
        node.do(node.swim.seeds([(outside if seeds_across else inside)[0]], mesh.clock.now))
    mesh.part(larger, smaller)
    mesh.run(3600)
    mesh.heal()
    return {"heal": _whole_after(mesh, 120)}


def pair(seed: int, count: int, *, cut: bool) -> dict[str, float]:
    """One pair is parted for a minute, while all others see both."""
    mesh, nodes = _formed(seed, count)
    one, two = nodes[0].name, nodes[1].name
    watch = Watch(mesh)
    mesh.part([one], [two], cut=cut)
    mesh.run(60)
    return {"suspected": watch.count("suspect", not_by={one, two}), "false": watch.count("dead")}


def deaf(seed: int, count: int, *, mute: bool) -> dict[str, float]:
    """Nothing comes to one node, or nothing from it, for 20 s."""
    mesh, nodes = _formed(seed, count)
    victim, others = nodes[-1].name, {node.name for node in nodes[:-1]}
    watch = Watch(mesh)
    for other in others:
        mesh.hole(*((victim, other) if mute else (other, victim)))
    mesh.run(20)
    dead, false = watch.last({victim}, others, _dead), watch.count("dead", not_about={victim}, not_by={victim})
    mesh.heal()
    return {"dead": dead, "false": false, "heal": _whole_after(mesh, 30)}


def flip(seed: int, count: int) -> dict[str, float]:
    """One node is cut off for 20 s, and is there for 20 s, three times."""
    mesh, nodes = _formed(seed, count)
    victim, others = nodes[-1].name, [node.name for node in nodes[:-1]]
    watch = Watch(mesh)
    for _ in range(3):
        for other in others:
            mesh.hole(other, victim)
        mesh.run(20)
        mesh.heal()
        mesh.run(20)
    return {"false": watch.count("dead", not_about={victim}, not_by={victim}), "heal": _whole_after(mesh, 30)}


def join(seed: int, count: int) -> dict[str, float]:
    """Bulk start; one more node joins; it is killed and started again; it leaves."""
    mesh = Mesh(seed)
    nodes = [mesh.add(f"n{number}", "n0 n1") for number in range(count)]
    bulk = _whole_after(mesh, 60)
    mesh.run(5)
    newcomer = mesh.add("late", "n0")
    single = _whole_after(mesh, 30)
    mesh.run(5)
    mesh.crash(newcomer)
    mesh.run(0.4)
    again = mesh.add("late", "n1", epoch=2, address="elsewhere")
    restart = _whole_after(mesh, 30)
    mesh.run(5)
    watch = Watch(mesh)
    again.do(again.swim.leave(mesh.clock.now))
    mesh.clock.run_until(lambda: again.departed, mesh.clock.now + 5)
    mesh.crash(again)
    mesh.run(5)
    left = watch.last({"late"}, {node.name for node in nodes}, lambda change: _state(change) == "left")
    return {"bulk": bulk, "join": single, "restart": restart, "left": left, "false": watch.count("dead")}


def rest(seed: int, count: int, *, loss: float) -> dict[str, float]:
    """Nothing happens for a minute, but that packets are lost."""
    mesh, _ = _formed(seed, count, loss)
    mesh.run(10)
    watch, before = Watch(mesh), mesh.sent_bytes
    mesh.run(60)
    return {"bytes": (mesh.sent_bytes - before) / count / 60, "false": watch.count("dead")}


SIZES = (3, 5, 20, 100)


@dataclass(frozen=True)
class Row:
    """One line of the target table: a figure of a scenario, and what it must not exceed at each of ``SIZES``.

    A virtual hour of many nodes takes long: ``largest`` is the largest mesh that is simulated for the page, and
    ``largest_quick`` for the tests.
    """

    fault: str
    run: Callable[[int, int], dict[str, float]]
    figure: str
    most: tuple[float, float, float, float]
    unit: str = "s"
    largest: int = 100
    largest_quick: int = 20


NONE = (0, 0, 0, 0)

ROWS = (
    Row("kill -9, unreachable at all", kill, "unreachable", (0.03, 0.03, 0.06, 0.3)),
    Row("kill -9, dead at all", kill, "dead", (0.6, 0.6, 0.8, 1.5)),
    Row("SIGSTOP, dead at all", stop, "dead", (4.5, 4.5, 5.5, 7.5)),
    Row("SIGCONT, alive at all", stop, "alive", (0.05, 0.05, 0.1, 0.5)),
    Row("false deaths by the resumed", stop, "false", NONE, unit=""),
    Row("black hole, last death on the larger side", hole, "majority", (4.5, 6.5, 8, 12)),
    Row("black hole, last death on the smaller side", hole, "minority", (18, 12, 8, 12)),
    Row("black hole lifted after 30 s, all see all", hole, "heal", (3.5, 3.5, 4, 7)),
    Row("proxy off, last death on the larger side", proxy, "majority", (1, 1, 1.5, 3)),
    Row("proxy on after 30 s, all see all", proxy, "heal", (2.5, 2.5, 3, 6)),
    Row(
        "black hole lifted after 1 h, no seed across",
        partial(hour, seeds_across=False),
        "heal",
        (21, 21, 21, 24),
        largest=5,
        largest_quick=3,
    ),
    Row("the same, seeds across", partial(hour, seeds_across=True), "heal", (9, 9, 9, 12), largest=5, largest_quick=3),
    Row("a pair in a black hole 60 s, suspicions by others", partial(pair, cut=False), "suspected", NONE, unit=""),
    Row("the same, deaths", partial(pair, cut=False), "false", NONE, unit=""),
    Row("a pair cut by a proxy 60 s, suspicions by others", partial(pair, cut=True), "suspected", NONE, unit=""),
    Row("the same, deaths", partial(pair, cut=True), "false", NONE, unit=""),
    Row("one node deaf, dead at the rest", partial(deaf, mute=False), "dead", (4.5, 4.5, 5.5, 7.5)),
    Row("one node mute, dead at the rest", partial(deaf, mute=True), "dead", (4.5, 4.5, 5.5, 7.5)),
    Row("flip-flop 20/20 s, others dead by mistake", flip, "false", NONE, unit=""),
    Row("bulk start, all see all", join, "bulk", (1, 1, 1.5, 5)),
    Row("one joins, all see all", join, "join", (0.1, 0.1, 0.3, 1)),
    Row("restart at another address, all see all", join, "restart", (0.5, 0.5, 1, 2)),
    Row("leave, left at all", join, "left", (0.1, 0.1, 0.3, 1)),
    Row("idle application bytes a node and second", partial(rest, loss=0), "bytes", (250, 250, 250, 300), unit="B"),
    Row("5 % loss, false deaths in a minute", partial(rest, loss=0.05), "false", NONE, unit=""),
    Row("30 % loss, false deaths in a minute", partial(rest, loss=0.3), "false", NONE, unit=""),
)
