"""The frozen values that the bus hands to its callers."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from liminal_mesh.cluster import Member, Pid

__all__ = [
    "ChannelInfo",
    "ClientConnection",
    "Consumption",
    "Down",
    "Gap",
    "GroupSnapshot",
    "Joined",
    "Left",
    "MembersSnapshot",
    "Pressure",
    "PublishOutcome",
    "PublisherStatistics",
    "SubscriptionStatistics",
]


class Pressure(Struct, frozen=True, gc=False):
    """The worst decision that a local subscription made about a publish, and the four numbers behind it.

    ``decision`` is ``accept`` (credit left), ``defer`` (kept in the inbox) or ``reject`` (both full).
    """

    decision: str = "accept"
    in_flight: int = 0
    max_in_flight: int = 0
    buffered: int = 0
    max_buffered: int = 0


class Consumption(Struct, frozen=True, gc=False):
    """How full one consumer of a channel is at its node: from 0 to 1, and the four numbers as in :class:`Pressure`."""

    pid: Pid
    utilisation: float
    in_flight: int
    max_in_flight: int
    buffered: int
    max_buffered: int


class Gap(Struct, frozen=True, gc=False):
    """Messages that this subscription will not get: ``count`` of those from ``first`` to ``last``.

    ``reason`` is ``overflow`` (the inbox was full), ``link`` (lost between two nodes, or while not connected),
    ``retention`` or ``log``. The numbers are the sequences of that run of the origin (``epoch``) on the channel.
    """

    channel: str
    origin: str
    first: int
    last: int
    count: int
    reason: str
    epoch: int = 0


class PublishOutcome(Struct, frozen=True):
    """How one publish fared, as far as was asked for.

    ``local`` counts this node's subscribers that took it. ``delivered`` is ``None`` when only other nodes are
    interested and no receipt was asked for. ``nodes`` maps each interested node to ``sent``, ``delivered``,
    ``dropped``, ``lost`` or ``unknown``. ``position`` is ``None`` on an ephemeral channel.
    """

    message_id: int
    delivered: bool | None
    local: int
    duplicate: bool
    position: int | None
    nodes: Mapping[str, str]
    pressure: Pressure


class SubscriptionStatistics(Struct, frozen=True, gc=False):
    """What a subscription has seen: messages handed out, gaps and what they counted, nacks, and what waits.

    ``filtered`` counts the messages that its predicate did not want, ``predicate_errors`` those that it raised on;
    ``orphaned`` counts those that were put into causal order without their parent.
    """

    delivered: int
    gaps: int
    missed: int
    nacked: int
    waiting: int
    filtered: int = 0
    predicate_errors: int = 0
    orphaned: int = 0


class PublisherStatistics(Struct, frozen=True, gc=False):
    """What a windowed publisher has done: sent, of those acknowledged, of these taken by no subscriber; in flight."""

    sent: int
    acknowledged: int
    undelivered: int
    in_flight: int


class ClientConnection(Struct, frozen=True):
    """A client that is connected to a node, at this moment.

    ``client`` is what it calls itself, ``since`` when it came, in seconds since 1970, and ``state`` is ``connect``
    until it has said who it is, then ``open``. ``subscriptions``, ``processes`` (those that it has spawned) and
    ``watches`` (of processes, groups and members) are what it has here. ``queued_bytes`` were handed to its
    connection and not taken by the system yet.
    """

    pid: Pid
    client: str
    address: str
    since: float
    state: str
    subscriptions: int
    processes: int
    watches: int
    queued_bytes: int
    bytes_in: int
    bytes_out: int


class ChannelInfo(Struct, frozen=True):
    """A channel as one node has it, at this moment; or a family of channels.

    ``schema`` is the version in force, ``versions`` are all that a subscription may name, the latest first.
    ``state`` is ``open``, ``closed``, ``failed`` (it crashed too often, for ``reason``) or ``family``.
    ``subscribers`` counts the whole mesh, patterns and members of groups included (of a family only those who
    subscribed to its very pattern), ``local_subscribers`` this node's part of it; ``nodes`` are where they are.
    ``published`` counts what was published at this node. ``pid`` is its process, if it is in use.
    """

    name: str
    durable: bool
    schema: str | None
    versions: tuple[str, ...]
    state: str
    reason: str
    subscribers: int
    local_subscribers: int
    nodes: tuple[str, ...]
    published: int
    restarts: int
    pid: Pid | None
    in_use: bool


class Down(Struct, frozen=True):
    """A process that was monitored is over.

    ``reason`` is ``normal``, ``shutdown``, ``killed``, ``noconnection`` (its node, or its program, cannot be heard) or
    ``error: ...``. ``observed_at`` is when this program saw it, in seconds of its ``time.monotonic()``.
    """

    pid: Pid
    reason: str
    observed_at: float


class GroupSnapshot(Struct, frozen=True):
    """All members of a group, sorted, at this moment."""

    members: tuple[Pid, ...]


class Joined(Struct, frozen=True):
    """A process became a member of the group; ``node`` is the name of its node."""

    pid: Pid
    node: str


class Left(Struct, frozen=True):
    """A process is a member no more: it left (``leave``), or its node is out of sight, for the reason given."""

    pid: Pid
    node: str
    reason: str


class MembersSnapshot(Struct, frozen=True):
    """All nodes of the mesh as a node sees them, itself included, by name, at this moment."""

    members: tuple[Member, ...]
