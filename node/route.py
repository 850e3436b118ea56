"""The way from this node to one linked peer: its lane, and the receipts that are awaited from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from liminal_mesh.cluster import NodeId, PeerLane, ProtocolError, ReceiptRun

__all__ = ["Pending", "Route"]


class Pending:
    """A publish whose receipts are awaited.

    Attributes:
        message_id: its number, once it was accepted.
        nodes: interested node to ``sent``, ``delivered``, ``dropped`` or ``unknown``, as it becomes known.
        delivered: whether some subscriber, local or remote, accepted it.
        local: how many local subscribers did.
        left: how many receipts are missing.
    """

    __slots__ = ("delivered", "done", "left", "local", "message_id", "nodes")

    def __init__(self, done: Callable[[Pending], None]) -> None:
        self.message_id = 0
        self.nodes: dict[str, str] = {}
        self.delivered = False
        self.local = 0
        self.left = 0
        self.done = done

    def settle(self, node: str, status: str) -> None:
        """Take what became of it at one node; calls ``done`` with the last of them."""
        if status == "delivered":
            self.delivered = True
            self.nodes[node] = status
        elif node in self.nodes:
            self.nodes[node] = status
        self.left -= 1
        if self.left == 0:
            self.done(self)

    def expire(self) -> None:
        """Stop waiting: what is still missing reads ``unknown``."""
        if self.left > 0:
            self.nodes = {node: "unknown" if status == "sent" else status for node, status in self.nodes.items()}
            self.left = 0
            self.done(self)


class Route:
    """A linked peer, as the publish path sees it.

    Args:
        peer: the node at the other end.
        lane: what waits for it.
        wake: tells the link that there is something to write.
    """

    __slots__ = ("_awaited", "lane", "peer", "stale_forward", "wake")

    def __init__(self, peer: NodeId, lane: PeerLane, wake: Callable[[], None]) -> None:
        self.peer = peer
        self.lane = lane
        self.wake = wake
        self.stale_forward = 0
        self._awaited: deque[Pending] = deque()

    def publish(self, channel: str, first: int, encoded: Sequence[bytes], pendings: Sequence[Pending] | None) -> int:
        """Queue publishes for the peer; return how many its lane took. The others read ``dropped`` at once."""
        taken = self.lane.publish(channel, first, encoded, pendings is not None)
        if pendings is not None:
            self._awaited.extend(pendings[:taken])
            for pending in pendings[:taken]:
                pending.left += 1
        self.wake()
        return taken

    def receipts(self, runs: Sequence[ReceiptRun]) -> None:
        """Settle what the peer has answered, in the order it was asked.

        Raises:
            ProtocolError: it answers what was not asked.
        """
        for run in runs:
            if run.count > len(self._awaited):
                raise ProtocolError(f"receipts for {run.count} publishes, where {len(self._awaited)} were asked for")
            status = "delivered" if run.delivered else "dropped"
            for _ in range(run.count):
                pending = self._awaited.popleft()
                if pending.left:
                    pending.settle(self.peer.name, status)

    def close(self) -> None:
        """The link is gone: what was awaited stays unknown."""
        while self._awaited:
            pending = self._awaited.popleft()
            if pending.left:
                pending.settle(self.peer.name, "unknown")
