"""Who is in the mesh: the seam behind which gossip will stand, and what can honestly be said without it.

Today a node knows of others only what its own links show: a linked node is alive, one that said goodbye has
left, and any other that was linked before is dead (or cut off from us, which looks the same from here).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from .identity import NodeId

__all__ = ["LinkMembership", "Member", "MemberChanged", "MemberState", "Membership"]

MemberState = Literal["alive", "suspect", "dead", "left"]
"""What is held of a member."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node as this node sees it; ``reachable`` says whether a session stands with it now."""

    name: str
    epoch: int
    incarnation: int
    state: MemberState
    reachable: bool
    stalled: bool
    address: str


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """One member became another value; ``None`` is: not there."""

    before: Member | None
    after: Member | None


class Membership(Protocol):
    """A view of the mesh, and its changes: each change of the view is one event, told in the same moment."""

    def members(self) -> tuple[Member, ...]:
        """Return all members, this node included, by name."""

    def watch(self, callback: Callable[[MemberChanged], None]) -> Callable[[], None]:
        """Call ``callback`` with every change from now on; returns what ends that."""


class LinkMembership:
    """Membership by links alone. Implements :class:`Membership`; fed by :class:`.peering.Peering`."""

    def __init__(self, me: NodeId, address: str) -> None:
        self._members = {me.name: Member(me.name, me.epoch, 0, "alive", True, False, address)}
        self._watchers: list[Callable[[MemberChanged], None]] = []

    def members(self) -> tuple[Member, ...]:
        """Return all members, this node included, by name."""
        return tuple(self._members[name] for name in sorted(self._members))

    def watch(self, callback: Callable[[MemberChanged], None]) -> Callable[[], None]:
        """Call ``callback`` with every change from now on; returns what ends that."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    def linked(self, node: NodeId, address: str) -> None:
        """Note that a session with ``node`` stands."""
        self._put(node.name, Member(node.name, node.epoch, 0, "alive", True, False, address))

    def drained(self, name: str) -> None:
        """Note that a linked node said goodbye."""
        self._put(name, replace(self._members[name], state="left"))

    def unlinked(self, name: str) -> None:
        """Note that the session with a linked node is over."""
        member = self._members[name]
        self._put(name, replace(member, state="left" if member.state == "left" else "dead", reachable=False))

    def forget(self, name: str) -> None:
        """Show a node no more."""
        self._put(name, None)

    def _put(self, name: str, after: Member | None) -> None:
        before = self._members.pop(name, None)
        if after is not None:
            self._members[name] = after
        if before != after:
            for callback in tuple(self._watchers):
                callback(MemberChanged(before, after))
