"""Who is in the mesh, as this node shows it: who is alive is gossip's word, who is reachable that of its sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from .identity import NodeId

__all__ = ["GONE", "Member", "MemberChanged", "MemberState", "Membership", "MeshMembership"]

MemberState = Literal["alive", "suspect", "dead", "left"]
"""What is held of a member."""

GONE: Final = ("dead", "left")
"""The states of members that are not there."""


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


class MeshMembership:
    """Gossip's view of the mesh, with this node's own sessions. Implements :class:`Membership`.

    Fed by :class:`.peering.Peering`. What is dead, only gossip says; what is reachable, only the sessions. A node
    with a session of which gossip has not heard yet is alive, and suspected if that session ends first.
    """

    def __init__(self, me: NodeId, address: str) -> None:
        self._me = me.name
        self._gossip = {me.name: Member(me.name, me.epoch, 0, "alive", True, False, address)}
        self._met: dict[str, tuple[NodeId, str]] = {}
        self._linked: dict[str, NodeId] = {}
        self._shown = dict(self._gossip)
        self._watchers: list[Callable[[MemberChanged], None]] = []

    def members(self) -> tuple[Member, ...]:
        """Return all members, this node included, by name."""
        return tuple(self._shown[name] for name in sorted(self._shown))

    def get(self, name: str) -> Member | None:
        """Return one member."""
        return self._shown.get(name)

    def watch(self, callback: Callable[[MemberChanged], None]) -> Callable[[], None]:
        """Call ``callback`` with every change from now on; returns what ends that."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    def gossiped(self, change: MemberChanged) -> None:
        """Take what gossip says of one member."""
        member = change.after or change.before
        assert member is not None, "something changed"
        if change.after is None:
            del self._gossip[member.name]
        else:
            self._gossip[member.name] = change.after
        met = self._met.get(member.name)
        if met is not None and (change.after is None or met[0].epoch <= member.epoch):
            del self._met[member.name]
        self._show(member.name)

    def linked(self, node: NodeId, address: str) -> None:
        """Note that a session with ``node`` stands."""
        self._linked[node.name] = node
        held = self._gossip.get(node.name)
        if held is None or held.epoch < node.epoch:
            self._met[node.name] = (node, address)
        self._show(node.name)

    def unlinked(self, name: str) -> None:
        """Note that the session with a linked node is over."""
        del self._linked[name]
        self._show(name)

    def _show(self, name: str) -> None:
        before, after = self._shown.pop(name, None), self._look(name)
        if after is not None:
            self._shown[name] = after
        if before != after:
            for callback in tuple(self._watchers):
                callback(MemberChanged(before, after))

    def _look(self, name: str) -> Member | None:
        linked = self._linked.get(name)
        if name in self._met:
            (_, epoch), address = self._met[name]
            state: MemberState = "alive" if linked is not None else "suspect"
            return Member(name, epoch, 0, state, linked is not None, False, address)
        held = self._gossip.get(name)
        if held is None or name == self._me:
            return held
        return replace(held, reachable=linked is not None and linked.epoch == held.epoch)
