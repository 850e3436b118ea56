"""What becomes of the nodes of the mesh, counted and noted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from liminal_mesh.cluster import Member, MemberChanged, NodeId

if TYPE_CHECKING:
    from .events import Events
    from .logs import Level

__all__ = ["MemberNews"]


class MemberNews:
    """The news of one node's mesh.

    Args:
        events: where they are noted.
    """

    def __init__(self, events: Events) -> None:
        self.changes: Counter[tuple[str, str]] = Counter()
        """How often a member went from one state to another; "none" for one that was not there, or is not any more."""
        self.reconnects = 0
        """How often a link with a peer that had one before was made again."""
        self._events = events
        self._met: dict[str, int] = {}

    def linked(self, peer: NodeId) -> None:
        """A link with a peer stands."""
        self.reconnects += self._met.get(peer.name) == peer.epoch
        self._met[peer.name] = peer.epoch

    def changed(self, change: MemberChanged) -> None:
        """A member became something else. Of a node that is forgotten nothing is kept."""
        before, after = change.before, change.after
        states = ("none" if before is None else before.state, "none" if after is None else after.state)
        if states[0] != states[1]:
            self.changes[states] += 1
        if after is not None and (before is None or (before.epoch, before.state) != (after.epoch, after.state)):
            self._note(after)
        if before is not None and after is None:
            self._met.pop(before.name, None)

    def _note(self, member: Member) -> None:
        """Note what became of a member; what is bad news is a warning."""
        level: Level = "warning" if member.state in {"suspect", "dead"} else "info"
        kind, epoch = f"member_{member.state}", str(member.epoch)
        self._events.note(kind, level=level, node=member.name, epoch=epoch, address=member.address)
