"""What only a node can do, and no client: hand on what it has, look at its clients, and end their connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .channels import Channels
from .flushing import flush
from .values import ClientConnection

if TYPE_CHECKING:
    from liminal_mesh.cluster import Pid

    from .runtime import Runtime

__all__ = ["BY_FORCE", "NodeOnly"]

BY_FORCE: Final = "closed by its node"
"""The reason of a connection that is closed by force for no other."""


class NodeOnly:
    """The verbs of :class:`.Node` that are none of the Bus."""

    @property
    def running(self) -> Runtime:
        """The parts of the running node."""
        raise NotImplementedError

    @property
    def channels(self) -> Channels:
        """The channels of this node: to list, create, evolve and close them."""
        return Channels(self.running)

    async def flush(self, timeout: float = 5.0) -> None:
        """Wait until everything that was accepted before this call has left the node.

        That is: it was written to the connections of the clients that it is for, and to the links with peers, and the
        system has taken it. What waits for credit of a subscription waits here, too; the program's own subscriptions
        have it already. A client or a peer whose connection ends meanwhile is not waited for.

        Raises:
            DeadlineExceeded: ``missing`` names who has not taken all of it within ``timeout`` seconds: peers by their
                names, clients by the pids of their connections.
        """
        run = self.running
        await flush(run.hub, timeout, run.server)

    def connections(self) -> tuple[ClientConnection, ...]:
        """Return the clients that are connected to this node, in the order in which they came."""
        return self.running.server.listed()

    async def disconnect(self, pid: Pid, reason: str = BY_FORCE) -> bool:
        """End a client's connection at once: the client is told the reason, and everything it has here ends with it.

        What the client had been promised is kept: publishes that were accepted are confirmed first. It may come back,
        and our own clients do: this frees a node of a connection, and does not lock anybody out.

        Args:
            pid: of the connection, as :meth:`connections` shows it.
            reason: a sentence for the client. Whoever monitors the connection gets ``error: disconnected:`` and this.

        Returns:
            False if no client is connected under that pid.
        """
        return await self.running.server.disconnect(pid, reason)

    async def disconnect_all(self, reason: str = BY_FORCE) -> int:
        """End the connections of all clients as :meth:`disconnect` does; return how many these were."""
        return await self.running.server.disconnect_all(reason)
