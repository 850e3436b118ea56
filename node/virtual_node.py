"""A node whose program can die: it ends at once, whatever it is doing, and whatever its functions are doing."""

from __future__ import annotations

import asyncio
from typing import Final

from liminal_mesh.cluster import SCOPES

from .config import NodeConfig
from .environment import Environment
from .node import Node
from .process import Process, ProcessFunction
from .runtime import Runtime

__all__ = ["VirtualNode"]

SETTLED_S: Final = 0.01
"""After so long, in virtual seconds, a node on a dead host waits for nothing more but its program's functions."""


class VirtualNode(Node):
    """A node of :class:`.Cluster`, which kills its host before it kills the node.

    Args:
        config: as of any node.
        environment: its host, and virtual time.
    """

    def __init__(self, config: NodeConfig, environment: Environment) -> None:
        super().__init__(config, environment=environment)
        self.functions: dict[asyncio.Task[None], None] = {}  # in order, so that a run can be repeated
        """The tasks of spawned functions, until they are over; that may be after the node is."""
        self._killing: asyncio.Future[None] | None = None

    @property
    def up(self) -> bool:
        """Whether it runs, and does not stop."""
        return self._run is not None and self._stopping is None

    def knows(self, name: str, epoch: int) -> bool:
        """Whether it is linked with this run of another node, and knows its groups."""
        hub, registry = self.running.hub, self.running.registry
        link = hub.mesh.links.get(name) if hub.mesh is not None else None
        if link is None or link.peer.epoch != epoch:
            return False
        return not any(name in registry.unsynced(scope) for scope in range(len(SCOPES)))

    async def spawn(self, function: ProcessFunction) -> Process:
        """Run an async function as a process; see :meth:`.Bus.spawn`."""
        process = await super().spawn(function)
        task = process.task
        assert task is not None
        self.functions[task] = None
        task.add_done_callback(lambda _: self.functions.pop(task))
        return process

    async def kill(self) -> None:
        """End at once. The functions that it runs are cancelled, and not waited for."""
        if self._killing is None and self._run is not None:
            self._killing = asyncio.ensure_future(self._die(self._run))
        if self._killing is not None:  # once begun it comes to its end, even if whoever asked for it is cancelled
            await asyncio.shield(self._killing)

    async def _die(self, run: Runtime) -> None:
        hub = run.hub
        hub.draining = True
        stopping = self._stopping = self._stopping or asyncio.ensure_future(self._stop(run, "killed"))
        # All that a stop waits for has gone with the host, but for functions that take their time to be cancelled.
        await asyncio.wait([stopping], timeout=SETTLED_S)
        if not stopping.done():
            hub.end_processes("process", "subscription", "channel", "node")
            run.programs.mailbox.end(None)
            stopping.cancel()
            await asyncio.wait([stopping])
        stopping.result()

    async def _stop(self, run: Runtime, reason: str) -> bool:
        try:
            stopped = await super()._stop(run, reason)
        except asyncio.CancelledError:
            if self._killing is None:
                raise
            return False  # whoever waits for the stop was not cancelled
        return stopped and self._killing is None  # a dead host has nothing left to hand on
