"""The frames of gossip membership, and the records that they carry.

::

    A ── ping ──> B                          A ── ping-request(B) ──> C ── ping ──> B
    A <── ack ─── B                          A <──── ack or nack ──── C <── ack ─── B

    A ── view ──> B ── records, wanted ──> A ── records ──> B        (anti-entropy)
    A ── link-down(B) ──> C ── link-state(B: up) ──> A               (evidence of links)

Ping, ack, ping-request and gossip carry rumours. They travel on a peer's control link, whose handshake has proved
who the peer is; so a frame names its sender nowhere.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from .envelope import BATCH_MAX, U64, Name
from .frame import LinkFrame, Row

__all__ = [
    "INCARNATION_MAX",
    "SWIM_FRAMES",
    "AgedRecord",
    "Known",
    "MemberRecord",
    "RecordState",
    "Rumour",
    "SwimAck",
    "SwimFrame",
    "SwimGossip",
    "SwimLinkDown",
    "SwimLinkState",
    "SwimNack",
    "SwimPing",
    "SwimPingRequest",
    "SwimRecords",
    "SwimView",
]


class RecordState(IntEnum):
    """What is said of one run of a node; of two states of one incarnation the higher counts."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


INCARNATION_MAX: Final = 2**32 - 1
"""A run whose incarnations are used up is over; honest ones would last for years."""

Incarnation = Annotated[int, Meta(ge=0, le=INCARNATION_MAX)]


class MemberRecord(Struct, array_like=True, frozen=True):
    """One run of a named node, as somebody knows it. Only the node itself raises its incarnation."""

    name: Name
    epoch: U64
    incarnation: Incarnation
    state: RecordState
    address: Name


class Rumour(Struct, array_like=True, frozen=True):
    """A record on its way through the mesh; ``by`` is whose own probe or link accuses the member, if anybody's."""

    record: MemberRecord
    by: Name = ""


Rumours = Annotated[list[Rumour], Meta(max_length=BATCH_MAX)]


class Known(Struct, array_like=True, frozen=True):
    """How far the sender knows one member: a record without its address."""

    name: Name
    epoch: U64
    incarnation: Incarnation
    state: RecordState


class AgedRecord(Struct, array_like=True, frozen=True):
    """A record out of a view, and how many seconds ago its member was found dead or left (0: it was not).

    The age travels, so that a tombstone is dropped everywhere at about one time and not taught again for ever.
    """

    record: MemberRecord
    age_s: U64 = 0


class SwimFrame(LinkFrame, frozen=True):
    """A frame of gossip membership."""


class SwimPing(SwimFrame, frozen=True):
    """Are you there? Answered at once with :class:`SwimAck`."""

    id: U64
    rumours: Rumours = []


class SwimAck(SwimFrame, frozen=True):
    """I am; ``digest`` is the fingerprint of my view, ``lag_ms`` how far my main loop is behind."""

    id: U64
    digest: U64
    lag_ms: U64 = 0
    rumours: Rumours = []


class SwimPingRequest(SwimFrame, frozen=True):
    """Ping ``target`` for me, and tell me its ack, or that there was none so far."""

    id: U64
    target: Name
    rumours: Rumours = []


class SwimNack(SwimFrame, frozen=True):
    """I had no ack from the target of your request yet; I myself am well."""

    id: U64


class SwimGossip(SwimFrame, frozen=True):
    """Rumours, and nothing else."""

    rumours: Rumours


class SwimView(SwimFrame, frozen=True):
    """All that the sender knows of the names after ``after``, up to and with ``upto`` (empty: all the rest)."""

    after: Name
    upto: Name
    known: Annotated[list[Known], Meta(max_length=BATCH_MAX)]


class SwimRecords(SwimFrame, frozen=True):
    """Records that the receiver lacks, and the names whose records the sender lacks."""

    records: Annotated[list[AgedRecord], Meta(max_length=BATCH_MAX)]
    wanted: Annotated[list[Name], Meta(max_length=BATCH_MAX)] = []


class SwimLinkDown(SwimFrame, frozen=True):
    """The sender's link to a run of ``name`` was reset or closed; ``ask`` wants an answer whatever it is."""

    name: Name
    epoch: U64
    ask: bool


class SwimLinkState(SwimFrame, frozen=True):
    """Whether the sender has a link to that run of ``name``."""

    name: Name
    epoch: U64
    up: bool


SWIM_FRAMES: Final[dict[int, Row]] = {
    0x40: Row(SwimPing, "any", ("session",), "control"),
    0x41: Row(SwimAck, "any", ("session",), "control"),
    0x42: Row(SwimPingRequest, "any", ("session",), "control"),
    0x43: Row(SwimNack, "any", ("session",), "control"),
    0x44: Row(SwimGossip, "any", ("session",), "control"),
    0x45: Row(SwimView, "any", ("session",), "control"),
    0x46: Row(SwimRecords, "any", ("session",), "control"),
    0x47: Row(SwimLinkDown, "any", ("session",), "control"),
    0x48: Row(SwimLinkState, "any", ("session",), "control"),
}
"""Type byte to row, for control links."""
