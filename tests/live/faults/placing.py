"""Where a process of a recorded run is connected, as its events say it."""

from __future__ import annotations

from typing import Any

from liminal_mesh.node.client import Client
from liminal_mesh.node.node import Node
from tests.history.recorder import Recorder

__all__ = ["Place"]


class Place:
    """The node that a process is, or that its client is connected to.

    Args:
        bus: what runs in it.
        recorder: its history.
    """

    def __init__(self, bus: Node | Client, recorder: Recorder) -> None:
        self._bus = bus
        self._recorder = recorder
        self._own = bus.pid if isinstance(bus, Node) else None
        """A node's, which stays what it was when it has left."""

    def at(self) -> dict[str, Any]:
        """Return what all events of this moment have in common."""
        pid = self._own or self._bus.pid
        return {"t_mono_ns": self._recorder.now(), "proc": self._recorder.proc, "node": pid.node, "epoch": pid.epoch}

    @property
    def session(self) -> int:
        """The number of the connection, 0 within a node."""
        return 0 if self._own is not None else self._bus.pid.number
