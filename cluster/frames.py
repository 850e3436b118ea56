"""Every frame of a link between two nodes, and the table that says who may send which one when.

A frame on the wire is a length (4 bytes, big-endian, of all that follows), a type byte, and a body: the
frame's fields as one msgpack array in the order of the class. New fields are added at the end, with a
default, and count as late (``LATE``): a default is not written, and a reader ignores trailing fields that it does not
know, so that neighbouring versions talk.

Links and clients have separate listeners, tables and decoders: NATS 2026-16 was a client's fast path that could
be reached on a peer's port.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from .declare_frames import Declare
from .envelope import BATCH_MAX, U64, Name, Text
from .frame import LinkFrame, Row
from .offer_frames import NoRoute, Offer, Taken
from .pressure_frames import SlowDown
from .process_frames import (
    ProcessDemonitor,
    ProcessDown,
    ProcessExit,
    ProcessLink,
    ProcessMonitor,
    ProcessUnlink,
)
from .publish_frames import Heads, Lost, Publish, Receipt
from .queue_names import QUEUE_NAME_BYTES_MAX

__all__ = [
    "LINK_FRAMES",
    "LINK_PROTO",
    "Ack",
    "Adopt",
    "AdoptAck",
    "Auth",
    "Drain",
    "Heartbeat",
    "Hello",
    "LinkFrame",
    "Peer",
    "Ping",
    "Pong",
    "Position",
    "Range",
    "Redundant",
    "Refusal",
    "Serves",
    "SnapBegin",
    "SnapChunk",
    "SnapEnd",
    "Sync",
    "Welcome",
]

LINK_PROTO: Final = (1, 1)
"""The range of link protocol versions that this code speaks: lowest, highest."""

GroupName = Annotated[str, Meta(max_length=QUEUE_NAME_BYTES_MAX)]
"""A name in the registry."""

Entries = Annotated[
    list[tuple[GroupName, Annotated[list[U64], Meta(max_length=BATCH_MAX)]]], Meta(max_length=BATCH_MAX)
]
"""Groups, each with process numbers."""


# --- links: the handshake ---------------------------------------------------------------------------


class Hello(LinkFrame, frozen=True):
    """The dialler's first frame: who it is.

    ``nonce`` is 32 random bytes for this handshake, ``run`` 8 random bytes for this run of the node, and
    ``address`` what peers shall dial. What the dialler knows of its sessions with the other comes in
    :class:`Auth`, since only the answer tells who the other is.
    """

    proto_min: U64
    proto_max: U64
    cluster: Name
    name: Name
    epoch: U64
    run: Annotated[bytes, Meta(min_length=8, max_length=8)]
    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]
    address: Name
    capabilities: Annotated[list[Name], Meta(max_length=32)] = []


class Welcome(LinkFrame, frozen=True):
    """The listener's answer: its own hello, what it knows of its sessions with the dialler, and its MAC.

    ``decider_epoch``, ``last_seen`` name the last session it saw with this peer (0, 0: none);
    ``current`` is the session that stands now (0: none).
    """

    hello: Hello
    decider_epoch: U64
    last_seen: U64
    current: U64
    mac: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Auth(LinkFrame, frozen=True):
    """The dialler's proof, with the same three facts from its side."""

    decider_epoch: U64
    last_seen: U64
    current: U64
    mac: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Refusal(LinkFrame, frozen=True):
    """Why this connection is closed, as a code and a sentence; the connection ends with it."""

    code: Name
    reason: Text
    known_epoch: U64 = 0
    address: Name = ""


class Adopt(LinkFrame, frozen=True):
    """The decider installs session ``g`` on this connection."""

    decider_epoch: U64
    g: U64


class AdoptAck(LinkFrame, frozen=True):
    """The other side has installed it."""

    g: U64


class Redundant(LinkFrame, frozen=True):
    """The decider keeps another connection; this one is closed, and nothing is wrong."""

    reason: Text


# --- links: liveness and the registry ---------------------------------------------------------------


class Ping(LinkFrame, frozen=True):
    """Are you there? Answered at once with :class:`Pong`."""

    id: U64


class Pong(LinkFrame, frozen=True):
    """I am."""

    id: U64


class Peer(Struct, array_like=True, frozen=True):
    """A node that the sender is linked with."""

    name: Name
    epoch: U64
    address: Name


class Position(Struct, array_like=True, frozen=True):
    """How far the sender's log of one scope has been sent on this session, and its digest there."""

    scope: U64
    sequence: U64
    digest: U64


class Sync(LinkFrame, frozen=True):
    """What the sender holds of the receiver's log: resume behind it, or start over with a snapshot."""

    scope: U64
    epoch: U64
    sequence: U64
    digest: U64


class SnapBegin(LinkFrame, frozen=True):
    """A snapshot of the sender's set at ``sequence`` follows: ``count`` entries that hash to ``digest``."""

    scope: U64
    epoch: U64
    sequence: U64
    count: U64
    digest: U64


class SnapChunk(LinkFrame, frozen=True):
    """Some entries of the snapshot at ``sequence``: groups, each with process numbers."""

    scope: U64
    epoch: U64
    sequence: U64
    entries: Entries


class SnapEnd(LinkFrame, frozen=True):
    """The snapshot at ``sequence`` is complete."""

    scope: U64
    epoch: U64
    sequence: U64


class Range(LinkFrame, frozen=True):
    """The net effect of the records ``first`` to ``last`` of the sender's log, and its digest after them.

    An empty range (``first == last + 1``) only states the position.
    """

    scope: U64
    epoch: U64
    first: U64
    last: U64
    joins: Entries
    leaves: Entries
    digest: U64


class Ack(LinkFrame, frozen=True):
    """The sender has applied the receiver's log up to ``sequence``."""

    scope: U64
    epoch: U64
    sequence: U64


class Heartbeat(LinkFrame, frozen=True):
    """Here my logs stand, and these are my peers; sent with news, when something is late, and now and then."""

    id: U64
    g: U64
    positions: Annotated[list[Position], Meta(max_length=64)]
    peers: Annotated[list[Peer], Meta(max_length=BATCH_MAX)]


class Drain(LinkFrame, frozen=True):
    """The sender leaves: choose it no more, and do not dial it."""

    reason: Text


class Serves(LinkFrame, frozen=True):
    """Where the sender's clients connect; told when a session begins, if there is anything to tell."""

    clients: Name


_BOTH = ("adopting", "session")

LINK_FRAMES: Final[dict[int, Row]] = {
    0x01: Row(Hello, "dialler", ("hello",), "control"),
    0x02: Row(Welcome, "listener", ("welcome",), "control"),
    0x03: Row(Auth, "dialler", ("auth",), "control"),
    0x04: Row(Refusal, "any", ("welcome", "auth", *_BOTH), "control"),
    0x05: Row(Adopt, "decider", ("adopting",), "control"),
    0x06: Row(AdoptAck, "other", ("adopting",), "control"),
    0x07: Row(Redundant, "decider", ("adopting", "session"), "control"),
    0x08: Row(Ping, "any", ("session",), "control"),
    0x09: Row(Pong, "any", ("session",), "control"),
    0x10: Row(Sync, "any", ("session",), "control"),
    0x11: Row(SnapBegin, "any", ("session",), "control"),
    0x12: Row(SnapChunk, "any", ("session",), "control"),
    0x13: Row(SnapEnd, "any", ("session",), "control"),
    0x14: Row(Range, "any", ("session",), "control"),
    0x15: Row(Ack, "any", ("session",), "control"),
    0x16: Row(Heartbeat, "any", ("session",), "control"),
    0x17: Row(Drain, "any", ("session",), "control"),
    0x18: Row(Serves, "any", ("session",), "control"),
    0x20: Row(Publish, "any", ("session",), "data"),
    0x21: Row(Lost, "any", ("session",), "data"),
    0x22: Row(Heads, "any", ("session",), "data"),
    0x23: Row(Receipt, "any", ("session",), "control"),
    0x24: Row(Offer, "any", ("session",), "data"),
    0x25: Row(Taken, "any", ("session",), "control"),
    0x26: Row(NoRoute, "any", ("session",), "control"),
    0x28: Row(Declare, "any", ("session",), "control"),
    0x29: Row(SlowDown, "any", ("session",), "control"),
    0x30: Row(ProcessLink, "any", ("session",), "control"),
    0x31: Row(ProcessUnlink, "any", ("session",), "control"),
    0x32: Row(ProcessExit, "any", ("session",), "control"),
    0x33: Row(ProcessMonitor, "any", ("session",), "control"),
    0x34: Row(ProcessDemonitor, "any", ("session",), "control"),
    0x35: Row(ProcessDown, "any", ("session",), "control"),
}
"""Type byte to row, for links."""
