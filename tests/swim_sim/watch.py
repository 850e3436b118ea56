"""What the members of a mesh say while something happens to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from liminal_mesh.cluster.membership import MemberChanged

from .mesh import Mesh, MeshNode

__all__ = ["UNSEEN_S", "Watch", "formed", "is_dead", "state", "whole_after"]

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


def state(change: MemberChanged) -> str:
    """Return the state that a change leads to (empty: the member is forgotten)."""
    return change.after.state if change.after is not None else ""


def is_dead(change: MemberChanged) -> bool:
    """Whether a change is a death."""
    return state(change) == "dead"


def whole_after(mesh: Mesh, within_s: float) -> float:
    """Return how long it takes until all see all."""
    begin = mesh.clock.now
    every = 0.001 if len(mesh.nodes) <= 20 else 0.05
    return mesh.clock.now - begin if mesh.clock.run_until(mesh.whole, begin + within_s, every) else UNSEEN_S


def formed(seed: int, count: int, loss: float = 0.0) -> tuple[Mesh, list[MeshNode]]:
    """Return a mesh in which all see all, at a random moment of its rounds."""
    mesh = Mesh(seed, loss=loss)
    nodes = mesh.form(count)
    mesh.run(mesh.clock.rng.random())
    return mesh, nodes
