"""A supervisor for exchanges that are tested by themselves: there a crash is a failure of the test."""

from __future__ import annotations

from typing import NoReturn

from liminal_mesh.cluster import NodeId
from liminal_mesh.node.channel import Channel
from liminal_mesh.node.events import Events
from liminal_mesh.node.processes import ProcessTable
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.supervision import Supervisor

__all__ = ["strict"]


class _Strict(Supervisor):
    def crashed(self, channel: Channel, subscriber: Subscriber, error: Exception) -> NoReturn:
        raise error


def strict(me: NodeId) -> Supervisor:
    """Return a supervisor that lets every crash through."""
    return _Strict(ProcessTable(me, lambda *_: None, lambda *_: None), lambda: 0.0, Events(me.epoch, lambda: 0))
