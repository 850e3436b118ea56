"""By what factor publishers on a channel are slowed, in the whole mesh, for the consumers of each of its nodes.

Each node tells its peers of its own consumers: whenever the factor changes, and all there are when a session begins.
What a peer has told holds as long as its session. Nobody passes it on: who publishes is linked with who consumes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from liminal_mesh.cluster import SLOW_DOWN_MAX, NodeId, SlowDown

__all__ = ["Throttles"]

KEPT_MAX: Final = 4096
"""Of so many channels is kept what one peer has told."""


class _Peer:
    """A linked peer: what tells it something, and the factors that it has told, all above 1."""

    def __init__(self, send: Callable[[SlowDown], None]) -> None:
        self.send = send
        self.factors: dict[str, float] = {}


class Throttles:
    """What this node and its linked peers want of publishers.

    Args:
        me: this node's name.
        changed: called with the name of a channel of which a peer wants something else than before.
    """

    def __init__(self, me: str, changed: Callable[[str], None]) -> None:
        self._me = me
        self._changed = changed
        self._own: dict[str, float] = {}
        self._peers: dict[str, _Peer] = {}

    def link_up(self, peer: NodeId, send: Callable[[SlowDown], None]) -> None:
        """A session with a peer stands."""
        self._peers[peer.name] = _Peer(send)
        own = list(self._own.items())
        for start in range(0, len(own), SLOW_DOWN_MAX):
            send(SlowDown(own[start : start + SLOW_DOWN_MAX]))

    def link_down(self, peer: NodeId) -> None:
        """It ended, and with it what the peer has told."""
        for channel in self._peers.pop(peer.name).factors:
            self._changed(channel)

    def tell(self, channel: str, factor: float) -> None:
        """The consumers of this node want publishers on a channel slowed by another factor than before; 1 is none."""
        if factor > 1.0:
            self._own[channel] = factor
        else:
            self._own.pop(channel, None)
        for peer in self._peers.values():
            peer.send(SlowDown([(channel, factor)]))

    def receive(self, peer: NodeId, frame: SlowDown) -> None:
        """A linked peer tells what its consumers want."""
        factors = self._peers[peer.name].factors
        for channel, factor in frame.channels:
            if factor == 1.0:
                factors.pop(channel, None)
            elif channel in factors or len(factors) < KEPT_MAX:
                factors[channel] = factor
            self._changed(channel)

    def by(self, channel: str) -> dict[str, float]:
        """Return the factors that nodes want of a channel, this one too, by name."""
        told = {self._me: self._own, **{name: peer.factors for name, peer in sorted(self._peers.items())}}
        return {name: factors[channel] for name, factors in told.items() if channel in factors}

    def elsewhere(self, channel: str) -> float:
        """Return the largest factor that peers want of a channel; 1 when none of them wants any."""
        return max([peer.factors.get(channel, 1.0) for peer in self._peers.values()], default=1.0)
