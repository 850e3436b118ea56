"""The way from this node to one linked peer: its lane, and the receipts that are awaited from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from liminal_mesh.cluster import NodeId, PeerLane, ProtocolError, ReceiptRun

__all__ = ["Pending", "Route", "missing_receipts"]


class Pending:
    """A publish of which somebody wants to hear.

    Attributes:
        message_id: its number, once it was accepted.
        nodes: interested node to ``sent``, ``delivered``, ``dropped`` or ``unknown``, as it becomes known.
        local: how many local subscribers accepted it.
        left: how many receipts are missing.
    """

    __slots__ = ("_remote", "left", "local", "message_id", "nodes")

    def __init__(self) -> None:
        self.message_id = 0
        self.nodes: dict[str, str] = {}
        self.local = 0
        self.left = 0
        self._remote = False

    @property
    def delivered(self) -> bool | None:
        """Whether some subscriber accepted it; None when only a node that was not asked, or did not answer, knows."""
        if self.local or self._remote:
            return True
        return None if any(status in {"sent", "unknown"} for status in self.nodes.values()) else False

    def settle(self, node: str, status: str) -> None:
        """Take what became of it at one node; the last of them finishes it."""
        if status == "delivered":
            self._remote = True
            self.nodes[node] = status
        elif node in self.nodes:  # one that got it only because its registry was not synced does not count
            self.nodes[node] = status
        self.left -= 1
        if self.left == 0:
            self.finished()

    def expire(self) -> None:
        """Stop waiting: what is still missing reads ``unknown``."""
        if self.left > 0:
            self.nodes = {node: "unknown" if status == "sent" else status for node, status in self.nodes.items()}
            self.left = 0
            self.finished()

    def finished(self) -> None:
        """All that was awaited is known."""
        raise NotImplementedError


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

    def publish(self, channel: str, first: int, encoded: Sequence[bytes], awaited: Sequence[Pending] | None) -> int:
        """Queue publishes for the peer; return how many its lane took. For these, receipts are asked if ``awaited``."""
        taken = self.lane.publish(channel, first, encoded, awaited is not None)
        if awaited is not None:
            pendings = awaited if taken == len(awaited) else awaited[:taken]
            self._awaited.extend(pendings)
            for pending in pendings:
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


def missing_receipts(nodes: Mapping[str, str]) -> str:
    """Say whose receipts did not come."""
    missing = ", ".join(sorted(node for node, status in nodes.items() if status == "unknown"))
    return f"no receipt from {missing}"
