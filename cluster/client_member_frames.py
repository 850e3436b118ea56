"""Frames between a client and its node about the nodes of the mesh. A ``watch`` is a number of the client's choice."""

from __future__ import annotations

from dataclasses import astuple
from typing import Annotated, Final, Self

from msgspec import Meta, Struct, structs

from .envelope import U64, Name
from .frame import ClientFrame
from .membership import Member, MemberState

__all__ = ["MEMBERS_MAX", "MemberChange", "MemberEntry", "MemberNews", "UnwatchMembers", "WatchMembers"]

MEMBERS_MAX: Final = 64
"""The most changes in a frame: with the longest names and addresses it fits into the smallest ``max_frame``."""


class MemberEntry(Struct, array_like=True, frozen=True):
    """A member, with the fields of :class:`.membership.Member`."""

    name: Name
    epoch: U64
    incarnation: U64
    state: MemberState
    reachable: bool
    stalled: bool
    address: Name

    @classmethod
    def of(cls, member: Member) -> Self:
        """Return what says this member."""
        return cls(*astuple(member))

    @property
    def member(self) -> Member:
        """What it says."""
        return Member(*structs.astuple(self))


class MemberChange(Struct, array_like=True, frozen=True):
    """One member became another value; None is: not there. In a snapshot nothing was there before."""

    before: MemberEntry | None
    after: MemberEntry | None


class WatchMembers(ClientFrame, frozen=True):
    """Tell of the nodes of the mesh, beginning with a snapshot. Sent again, it asks for a new snapshot."""

    ref: U64
    watch: U64


class UnwatchMembers(ClientFrame, frozen=True):
    """Tell of them no more."""

    watch: U64


class MemberNews(ClientFrame, frozen=True):
    """Changes of the members, in order.

    ``snapshot`` is 0 for changes, 1 for a part of a snapshot of which more follows, and 2 for its last part.
    """

    watch: U64
    snapshot: Annotated[int, Meta(ge=0, le=2)]
    changes: Annotated[list[MemberChange], Meta(max_length=MEMBERS_MAX)]
