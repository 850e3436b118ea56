"""Every frame between a client and its node, and the table that says who may send which one when.

The form of a frame is that of :mod:`.frames`. A ``ref`` numbers what a client asked, on its connection; a
``subscription`` is a number of the client's choice.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from .client_member_frames import MemberNews, UnwatchMembers, WatchMembers
from .client_process_frames import (
    Demonitor,
    ExitProcess,
    GroupNews,
    Join,
    Leave,
    LinkProcess,
    MonitorProcess,
    OpenMailbox,
    ProcessGone,
    UnwatchGroup,
    WatchGroup,
)
from .envelope import BATCH_MAX, U64, Items, Name, Text
from .frame import ClientFrame, Row
from .scopes import CHANNEL_SCOPE, Scope

__all__ = [
    "CLIENT_FRAMES",
    "CLIENT_PROTO",
    "OTHERS_MAX",
    "Anchored",
    "ClientFrame",
    "ClientGap",
    "ClientOutcome",
    "ClientPublish",
    "Confirm",
    "Connect",
    "Connected",
    "Credit",
    "Deliver",
    "Disconnect",
    "Ended",
    "Failure",
    "KeepAlive",
    "KeepAliveReply",
    "Reply",
    "Request",
    "Subscribe",
    "Subscribed",
    "Unsubscribe",
]

CLIENT_PROTO: Final = (1, 1)
"""The range of client protocol versions that this code speaks: lowest, highest."""


OTHERS_MAX: Final = 64
"""To so many other nodes a client is sent at most."""

FirstRef = Annotated[int, Meta(ge=0, le=2**62)]
"""The number of the first of several requests: there is room above it for the others."""


# --- clients: the connection ------------------------------------------------------------------------


class Connect(ClientFrame, frozen=True):
    """A client's first frame."""

    proto_min: U64
    proto_max: U64
    client: Name
    token: Name | None = None


class Connected(ClientFrame, frozen=True):
    """The node's answer: the version chosen, who it is, the connection's process number, and its limits by name."""

    proto: U64
    version: Name
    node: Name
    epoch: U64
    number: U64
    limits: Annotated[dict[Name, U64], Meta(max_length=64)]
    capabilities: Annotated[list[Name], Meta(max_length=32)] = []


class Disconnect(ClientFrame, frozen=True):
    """Why the connection ends; from the node it may name other addresses to go to."""

    code: Name
    reason: Text
    others: Annotated[list[Name], Meta(max_length=OTHERS_MAX)] = []


class KeepAlive(ClientFrame, frozen=True):
    """A client's sign of life, answered with :class:`KeepAliveReply`."""

    id: U64


class KeepAliveReply(ClientFrame, frozen=True):
    """The answer."""

    id: U64


# --- clients: publish -------------------------------------------------------------------------------


class ClientPublish(ClientFrame, frozen=True):
    """Publishes of a client on one channel, or in one group of another scope, in order.

    ``ref`` numbers the first of them on this connection.

    ``mode`` is 1 to have them confirmed, in runs, and 2 to have each answered with its outcome.
    ``ack`` is the acknowledgement that was asked for ("" for the channel's own), ``timeout_ms`` its patience.
    Only an envelope's encoding, body and options count; the node numbers it.
    """

    ref: FirstRef
    mode: Annotated[int, Meta(ge=1, le=2)]
    channel: Name
    ack: Name
    timeout_ms: U64
    items: Items
    scope: Scope = CHANNEL_SCOPE

    LATE = 1


class Confirm(ClientFrame, frozen=True):
    """``count`` publishes from ``ref`` on were acknowledged as asked; ``undelivered`` of them by no subscriber."""

    ref: U64
    count: U64
    undelivered: U64 = 0


class ClientOutcome(ClientFrame, frozen=True):
    """The outcome of publish ``ref``; pressure is a decision and its four numbers.

    ``duplicate``: its key was delivered before, and ``message_id`` is that message's.
    """

    ref: U64
    message_id: U64
    delivered: bool | None
    local: U64
    nodes: Annotated[dict[Name, Name], Meta(max_length=BATCH_MAX)]
    pressure: tuple[Name, U64, U64, U64, U64]
    duplicate: bool = False

    LATE = 1


class Failure(ClientFrame, frozen=True):
    """``count`` requests from ``ref`` on were refused or failed: an error by its class and its fields as msgpack."""

    ref: U64
    error: Name
    fields: bytes
    count: Annotated[int, Meta(ge=1, le=BATCH_MAX)] = 1


# --- clients: subscribe and ask ---------------------------------------------------------------------


class Subscribe(ClientFrame, frozen=True):
    """Open subscription ``subscription`` (a number of the client's choice) on a channel or a pattern.

    It shares what is published with the other members of ``group``, if that is not empty. ``schemas`` are the versions
    of the channel's schema that it accepts; none if it takes what the channel has.
    """

    LATE = 2

    ref: U64
    subscription: U64
    channel: Name
    max_in_flight: Annotated[int, Meta(ge=1, le=1_000_000)]
    wait: Name
    timeout_ms: U64
    group: Name = ""
    schemas: Annotated[list[Name], Meta(max_length=64)] = []


class Subscribed(ClientFrame, frozen=True):
    """It stands, as process ``number`` of the node; ``schema`` is the version that it gets, "" without a schema."""

    LATE = 1

    ref: U64
    subscription: U64
    number: U64
    schema: Name = ""


class Unsubscribe(ClientFrame, frozen=True):
    """Close it; answered with :class:`Ended`."""

    subscription: U64


class Credit(ClientFrame, frozen=True):
    """The client's program took ``count`` items of the subscription."""

    subscription: U64
    count: U64


class Deliver(ClientFrame, frozen=True):
    """Items for a subscription. ``number`` counts its deliveries from 1 without holes."""

    subscription: U64
    number: U64
    channel: Name
    origin: Name
    epoch: U64
    items: Items


class ClientGap(ClientFrame, frozen=True):
    """Messages that the subscription will not get; it takes one number, as a delivery does."""

    subscription: U64
    number: U64
    channel: Name
    origin: Name
    first: U64
    last: U64
    count: U64
    reason: Name
    epoch: U64


class Anchored(ClientFrame, frozen=True):
    """From here on the subscription gets or is told of everything that ``origin`` publishes.

    ``heads`` are the last sequences before that; a channel that is not named stands at 0. After a reconnect the
    client compares them with what it saw last, and knows what it missed.
    """

    subscription: U64
    origin: Name
    epoch: U64
    heads: Annotated[list[tuple[Name, U64]], Meta(max_length=BATCH_MAX)]


class Ended(ClientFrame, frozen=True):
    """The subscription is over: by request (``error`` is empty), or with an error."""

    subscription: U64
    error: Name = ""
    fields: bytes = b""


class Request(ClientFrame, frozen=True):
    """Ask the node for something by name; ``arguments`` is msgpack."""

    ref: U64
    verb: Name
    arguments: bytes = b"\xc0"


class Reply(ClientFrame, frozen=True):
    """The answer, as msgpack."""

    ref: U64
    result: bytes


CLIENT_FRAMES: Final[dict[int, Row]] = {
    0x40: Row(Connect, "client", ("connect",), "control"),
    0x41: Row(Connected, "node", ("connect",), "control"),
    0x42: Row(Disconnect, "any", ("connect", "open"), "control"),
    0x43: Row(KeepAlive, "client", ("open",), "control"),
    0x44: Row(KeepAliveReply, "node", ("open",), "control"),
    0x50: Row(ClientPublish, "client", ("open",), "data"),
    0x51: Row(Confirm, "node", ("open",), "control"),
    0x52: Row(ClientOutcome, "node", ("open",), "control"),
    0x53: Row(Failure, "node", ("open",), "control"),
    0x60: Row(Subscribe, "client", ("open",), "control"),
    0x61: Row(Subscribed, "node", ("open",), "control"),
    0x62: Row(Unsubscribe, "client", ("open",), "control"),
    0x63: Row(Credit, "client", ("open",), "control"),
    0x64: Row(Deliver, "node", ("open",), "data"),
    0x65: Row(ClientGap, "node", ("open",), "data"),
    0x66: Row(Ended, "node", ("open",), "data"),
    0x67: Row(Request, "client", ("open",), "control"),
    0x68: Row(Reply, "node", ("open",), "control"),
    0x69: Row(Anchored, "node", ("open",), "data"),
    0x70: Row(OpenMailbox, "client", ("open",), "control"),
    0x71: Row(ExitProcess, "any", ("open",), "control"),
    0x72: Row(LinkProcess, "client", ("open",), "control"),
    0x73: Row(Join, "client", ("open",), "control"),
    0x74: Row(Leave, "client", ("open",), "control"),
    0x75: Row(WatchGroup, "client", ("open",), "control"),
    0x76: Row(UnwatchGroup, "client", ("open",), "control"),
    0x77: Row(GroupNews, "node", ("open",), "data"),
    0x78: Row(MonitorProcess, "client", ("open",), "control"),
    0x79: Row(Demonitor, "client", ("open",), "control"),
    0x7A: Row(ProcessGone, "node", ("open",), "control"),
    0x7B: Row(WatchMembers, "client", ("open",), "control"),
    0x7C: Row(UnwatchMembers, "client", ("open",), "control"),
    0x7D: Row(MemberNews, "node", ("open",), "data"),
}
"""Type byte to row, for clients."""
