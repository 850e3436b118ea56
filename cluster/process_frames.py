"""Frames between two nodes about their processes: links, monitors, and exits.

A process is named by its number; whose it is, and of which run, follows from the session, since nobody speaks for
another node and a session is with one run of it. So no frame can reach a process of another run.
"""

from __future__ import annotations

from .envelope import U64, Text
from .frame import LinkFrame

__all__ = [
    "ProcessDemonitor",
    "ProcessDown",
    "ProcessExit",
    "ProcessFrame",
    "ProcessLink",
    "ProcessMonitor",
    "ProcessUnlink",
]


class ProcessFrame(LinkFrame, frozen=True):
    """A frame about processes."""


class ProcessLink(ProcessFrame, frozen=True):
    """The sender's process ``source`` is linked with the receiver's process ``target``, by the sender's link ``id``."""

    source: U64
    target: U64
    id: U64


class ProcessUnlink(ProcessFrame, frozen=True):
    """They are linked no more: the links of these ids are over, the sender's own and the receiver's (0: none).

    A link of another id, which may be on its way meanwhile, is not meant.
    """

    source: U64
    target: U64
    ours: U64
    yours: U64


class ProcessExit(ProcessFrame, frozen=True):
    """The sender's process ``source``, which was linked with the receiver's ``target``, is over."""

    source: U64
    target: U64
    reason: Text


class ProcessMonitor(ProcessFrame, frozen=True):
    """Tell the sender, under the number ``ref`` of its choice, when the receiver's process ``target`` is over."""

    ref: U64
    target: U64


class ProcessDemonitor(ProcessFrame, frozen=True):
    """The sender wants to hear of it no more."""

    ref: U64


class ProcessDown(ProcessFrame, frozen=True):
    """The process that the receiver monitors under ``ref`` is over; nothing more follows under this number."""

    ref: U64
    reason: Text
