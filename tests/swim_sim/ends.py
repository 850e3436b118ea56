"""A node with links, and the ends of those links."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.swim import LinkLoss, Swim, SwimEffect
from liminal_mesh.cluster.swim_frames import MemberRecord, SwimFrame

from .clock import Clock, Node

__all__ = ["End", "MeshNode"]


@dataclass(eq=False)
class End:
    """One end of a link: what it sends arrives in order at ``peer``, or waits."""

    node: MeshNode
    other: End | None = None
    open: bool = True
    up: bool = False
    arrival: float = 0.0
    stuck: deque[SwimFrame | LinkLoss] = field(default_factory=deque)

    @property
    def peer(self) -> End:
        """The other end."""
        assert self.other is not None
        return self.other


class MeshNode(Node):
    """A node with links; ``ends`` are those that it has, by the peer's name."""

    address: str

    def __init__(
        self, clock: Clock, swim: Swim, me: NodeId, address: str, carry_out: Callable[[Node, SwimEffect], None]
    ) -> None:
        super().__init__(clock, swim, me, carry_out)
        self.address = address
        self.ends: dict[str, End] = {}
        self.held_back: dict[NodeId, tuple[End, MemberRecord, int]] = {}
        self.waiting: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self.departed = False

    def states(self) -> dict[str, str]:
        """Return the state of each member in this node's view."""
        return {member.name: member.state for member in self.swim.members()}
