"""Whether a node may be given work: what is asked of it, in a fixed order, and what is wanting.

Liveness is another matter: a process that answers is alive, whatever its peers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = ["Condition", "conditions", "state"]

_REACHED: Final = frozenset({"", "linked", "self"})
"""How a dial of a seed stands that is no failure: under way, a session, or this very node."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that readiness asks for; ``detail`` says more about what is wanting."""

    name: str
    met: bool
    detail: Mapping[str, object] = field(default_factory=dict)


def conditions(run: Runtime) -> tuple[Condition, ...]:
    """Return everything that is asked of the node, always in the same order; ``membership`` only in a mesh.

    ``starting``, ``draining`` and ``failed`` are named for what stands in the way, and are met while it does not.
    """
    return (
        Condition("starting", not _starting(run)),
        _listeners(run),
        *_membership(run),
        Condition("draining", not run.hub.draining),
        _failed(run),
    )


def state(run: Runtime) -> str:
    """Return the node's state in one word: starting, waiting (serves, but is not ready), ready, draining or failed."""
    if run.hub.failure is not None:
        return "failed"
    if run.hub.draining:
        return "draining"
    if _starting(run):
        return "starting"
    return "ready" if all(one.met for one in conditions(run)) else "waiting"


def _starting(run: Runtime) -> bool:
    """Whether the first round of seeds is not over: who is there is not known before."""
    mesh, cluster = run.hub.mesh, run.config.cluster
    return mesh is not None and cluster is not None and bool(cluster.seeds) and not (mesh.tried or mesh.links)


def _listeners(run: Runtime) -> Condition:
    closed = [name for name, listener in run.listeners.items() if not listener.listening]
    return Condition("listeners", not closed, {"closed": closed} if closed else {})


def _membership(run: Runtime) -> tuple[Condition, ...]:
    """Return what is asked of the mesh. Whom it misses is told in any case: a node that needs nobody may still care."""
    cluster, peering = run.config.cluster, run.peering
    if cluster is None or peering is None:
        return ()
    members = [member for member in run.members() if member.state != "left"]
    there = sum(member.reachable and member.state != "dead" for member in members)
    needed = {"alone": 1, "joined": 2, "majority": (cluster.expected or 1) // 2 + 1}[cluster.ready]
    detail = {
        "demand": cluster.ready,
        "linked": there,
        "needed": needed,
        "missing": [member.name for member in members if member.state != "alive" or not member.reachable],
        "unresolved": {one.seed: one.failure for one in peering.seeds() if one.failure},
        "unreached": {one.address: one.code for one in peering.attempts() if one.seed and one.code not in _REACHED},
    }
    return (Condition("membership", there >= needed, detail),)


def _failed(run: Runtime) -> Condition:
    failure = run.hub.failure
    return Condition("failed", failure is None, {} if failure is None else {"error": str(failure)})
