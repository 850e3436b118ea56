"""One peer, as the bus sees it, and the bus, as the mesh sees it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .codec import LINK_CODEC
from .declare_frames import Declare
from .effects import Notice
from .identity import NodeId
from .lanes import PeerLane
from .offer_frames import NoRoute, Offer, Taken
from .pressure_frames import SlowDown
from .process_frames import ProcessFrame
from .publish_frames import Heads, Lost, Publish, Receipt
from .wire import Wire

__all__ = ["BusFrame", "Link", "MeshBus", "MeshLimits"]

BusFrame: TypeAlias = Publish | Lost | Heads | Receipt | Offer | Taken | NoRoute | Declare | SlowDown | ProcessFrame
"""What goes from a session to the bus, and does not concern the core."""


@dataclass(frozen=True, slots=True)
class MeshLimits:
    """The bounds of links."""

    frame: int = 1024 * 1024
    preauth: int = 4096
    lane_bytes: int = 8 * 1024 * 1024
    lane_age_s: float = 5.0
    user_timeout_s: float = 5.0


class Link:
    """The current session with one peer, and what waits to be written to it."""

    def __init__(
        self, peer: NodeId, address: str, g: int, wire: Wire, lane: PeerLane, watch: Callable[[], None]
    ) -> None:
        self.peer = peer
        self.address = address
        self.g = g
        self.wire = wire
        self.lane = lane
        self.heard_at = -math.inf
        """When the membership was last told that bytes came from this peer."""
        self._watch = watch

    def wake(self) -> None:
        """Say that something waits in the lane."""
        self.wire.wake()
        if self.wire.paused or self.lane.hopeless:
            self._watch()

    def send(self, frame: Receipt | Taken | NoRoute | Declare | SlowDown | ProcessFrame) -> None:
        """Send a control frame."""
        self.wire.send(LINK_CODEC.encode(frame))


class MeshBus(Protocol):
    """What the mesh calls; the bus of the node. Calls come from the loop, and must not block."""

    def link_up(self, link: Link) -> None:
        """A session with a peer stands."""

    def link_down(self, link: Link, reason: str) -> None:
        """It ended; its members are masked already."""

    def link_frame(self, link: Link, frame: BusFrame) -> None:
        """A frame with publishes, or about them, or about processes or channels."""

    def mesh_changed(self) -> None:
        """The registry's visible view, a peer's acknowledgement, the links or what they hold may have changed."""

    def lane_room(self) -> None:
        """A lane that was crowded is not any more, or its peer is too slow to be waited for."""

    def seed_changed(self, seed: str, addresses: tuple[str, ...], failure: str) -> None:
        """A lookup told that a seed stands for other addresses, or that it fails otherwise than before ("": not)."""

    def mesh_failed(self, error: Exception) -> None:
        """The node cannot go on in this mesh."""

    def mesh_noticed(self, notice: Notice) -> None:
        """Something happened that is worth telling: a peer was turned away, or broke the protocol."""
