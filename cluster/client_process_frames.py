"""Frames between a client and its node about processes and groups.

A process that a client has spawned, and the client's own, has a mailbox: a subscription to the client, which bears
a number of the client's choice, and is fed by ``Deliver``, ``ClientGap`` and ``Anchored`` against ``Credit``. A
``watch`` is a number of the client's choice, too.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .envelope import BATCH_MAX, U64, Name, Text
from .frame import ClientFrame

__all__ = [
    "Demonitor",
    "ExitProcess",
    "GroupChange",
    "GroupNews",
    "Join",
    "Leave",
    "LinkProcess",
    "MonitorProcess",
    "OpenMailbox",
    "ProcessGone",
    "UnwatchGroup",
    "WatchGroup",
]


class OpenMailbox(ClientFrame, frozen=True):
    """Open a mailbox: of a new process (``spawn``), else of the connection itself. Answered with ``Subscribed``."""

    ref: U64
    subscription: U64
    max_in_flight: Annotated[int, Meta(ge=1, le=1_000_000)]
    spawn: bool


class ExitProcess(ClientFrame, frozen=True):
    """The process of this mailbox is over: it ended at the client, or the node ends it there."""

    subscription: U64
    reason: Text


class LinkProcess(ClientFrame, frozen=True):
    """Link the process of this mailbox with another one of the mesh, or end their link (``linked`` is false)."""

    subscription: U64
    node: Name
    epoch: U64
    number: U64
    linked: bool


class Join(ClientFrame, frozen=True):
    """Let the process of this mailbox join a group. Answered with ``Reply``."""

    ref: U64
    subscription: U64
    group: Name
    wait: Name
    timeout_ms: U64


class Leave(ClientFrame, frozen=True):
    """Let it leave a group. Answered with ``Reply``."""

    ref: U64
    subscription: U64
    group: Name


class WatchGroup(ClientFrame, frozen=True):
    """Tell of the members of a group, beginning with a snapshot. Sent again, it asks for a new snapshot."""

    ref: U64
    watch: U64
    scope: U64
    group: Name


class UnwatchGroup(ClientFrame, frozen=True):
    """Tell of it no more."""

    watch: U64


class GroupChange(Struct, array_like=True, frozen=True):
    """A process that is or became a member, or is one no more, for a reason."""

    joined: bool
    node: Name
    epoch: U64
    number: U64
    reason: Text = ""


class GroupNews(ClientFrame, frozen=True):
    """Changes of a watched group, in order.

    ``snapshot`` is 0 for changes, 1 for a part of a snapshot of which more follows, and 2 for its last part.
    """

    watch: U64
    snapshot: Annotated[int, Meta(ge=0, le=2)]
    changes: Annotated[list[GroupChange], Meta(max_length=BATCH_MAX)]


class MonitorProcess(ClientFrame, frozen=True):
    """Tell when a process of the mesh is over, once. Answered with ``Reply``, then some day with ``ProcessGone``."""

    ref: U64
    watch: U64
    node: Name
    epoch: U64
    number: U64


class Demonitor(ClientFrame, frozen=True):
    """Tell of it no more."""

    watch: U64


class ProcessGone(ClientFrame, frozen=True):
    """The process that is monitored under this number is over."""

    watch: U64
    reason: Text
