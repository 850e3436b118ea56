"""What becomes of members, counted and noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from liminal_mesh.cluster import Member, MemberChanged

if TYPE_CHECKING:
    from .logs import Level

__all__ = ["MemberNotes"]


class MemberNotes:
    """Counts the changes of members, and notes what is worth telling.

    Args:
        note: notes an event.

    Attributes:
        changes: how often a member went from one state to another; "none" for one that was not there, or is not any
            more.
    """

    def __init__(self, note: Callable[..., None]) -> None:
        self._note = note
        self.changes: Counter[tuple[str, str]] = Counter()

    def take(self, change: MemberChanged) -> None:
        """A member is another one than before."""
        before, after = change.before, change.after
        states = ("none" if before is None else before.state, "none" if after is None else after.state)
        if states[0] != states[1]:
            self.changes[states] += 1
        if after is not None and (before is None or (before.epoch, before.state) != (after.epoch, after.state)):
            self._tell(after)

    def _tell(self, member: Member) -> None:
        """Note what became of a member; what is bad news is a warning."""
        level: Level = "warning" if member.state in {"suspect", "dead"} else "info"
        kind, epoch = f"member_{member.state}", str(member.epoch)
        self._note(kind, level=level, node=member.name, epoch=epoch, address=member.address)
