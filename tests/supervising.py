"""What exchanges share that are tested by themselves: there a crash is a failure of the test."""

from __future__ import annotations

from collections.abc import Callable

from liminal_mesh.cluster import NodeId, Registry
from liminal_mesh.node.channel import Channel
from liminal_mesh.node.dedup import Dedup
from liminal_mesh.node.events import Events
from liminal_mesh.node.inbox import Budget
from liminal_mesh.node.keyed import Keys
from liminal_mesh.node.processes import ProcessTable
from liminal_mesh.node.shared import Shared
from liminal_mesh.node.sizes import Sizes
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.supervision import Supervisor

__all__ = ["Crash", "shared_alone", "strict"]


class Crash(Exception):
    """A delivery crashes since the test wants it to: its subscriber is expelled."""


class _Strict(Supervisor):
    def crashed(self, channel: Channel, subscriber: Subscriber, error: Exception) -> None:
        if not isinstance(error, Crash):
            raise error
        self.expel(subscriber)


def strict(me: NodeId) -> Supervisor:
    """Return a supervisor that lets every crash through."""
    return _Strict(ProcessTable(me, lambda *_: None, lambda *_: None), lambda: 0.0, Events(me.epoch, lambda: 0))


def shared_alone(
    me: NodeId, registry: Registry, budget: Budget, clock: Callable[[], float] = lambda: 0.0, keys_max: int = 1000
) -> Shared:
    """Return what the exchanges of a node share that has nothing else."""
    keys = Keys(Dedup(keys_max, keys_max), clock, 256, Events(me.epoch, lambda: 0))
    return Shared(me, registry, lambda: 0, budget, strict(me), keys, Sizes(1 << 20, 64 << 10))
