"""What the session core asks its shell to do, as frozen values.

The shell carries them out in order, in the same turn of its loop, and then reports what came of it as the next
input. Nothing here has been done yet when it is returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from liminal_mesh.storage import LiminalError

from .frames import LinkFrame
from .identity import NodeId

__all__ = [
    "Close",
    "Dial",
    "Effect",
    "Failed",
    "Level",
    "Notice",
    "PeerLeaves",
    "Resolve",
    "SeedChanged",
    "Send",
    "SessionDown",
    "SessionUp",
]

Level = Literal["debug", "info", "warning", "error"]
"""How loud a notice is."""


@dataclass(frozen=True, slots=True)
class Send:
    """Put this frame at the end of the connection's control lane."""

    conn: int
    frame: LinkFrame


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection once what was sent before is written; nothing more is heard of it."""

    conn: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a connection to ``address`` and report it under the name of ``target`` (an override may apply to it)."""

    target: str
    address: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Resolve:
    """Look up what a seed stands for, and report it."""

    seed: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class SeedChanged:
    """A lookup told something new: other addresses, or another failure ("": none). The last good ones are kept."""

    seed: str
    addresses: tuple[str, ...]
    failure: str


@dataclass(frozen=True, slots=True)
class SessionUp:
    """Both sides agreed that this connection is their session; from here on it carries publishes."""

    conn: int
    peer: NodeId
    address: str
    g: int


@dataclass(frozen=True, slots=True)
class SessionDown:
    """The session is over, and ``removed`` members of the peer vanished in this moment.

    Always returned before the :class:`SessionUp` of a successor.
    """

    conn: int
    peer: NodeId
    reason: str
    removed: int


@dataclass(frozen=True, slots=True)
class PeerLeaves:
    """The peer of a session said goodbye."""

    peer: NodeId


@dataclass(frozen=True, slots=True)
class Failed:
    """This node cannot be in this mesh: its name is taken (NameInUse), or a later run is known (StaleEpoch)."""

    error: LiminalError


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth a line in the log; repeated ones are held back. ``error`` is the defect that broke something."""

    level: Level
    event: str
    fields: dict[str, object] = field(default_factory=dict)
    error: Exception | None = None


Effect = Send | Close | Dial | Resolve | SeedChanged | SessionUp | SessionDown | PeerLeaves | Failed | Notice
