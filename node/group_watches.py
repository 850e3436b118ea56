"""Who at this node watches which group."""

from __future__ import annotations

from typing import Final, TypeAlias

from liminal_mesh.cluster import CHANNEL_SCOPE, QUEUE_SCOPE, SCOPES
from liminal_mesh.cluster import Joined as MemberJoined
from liminal_mesh.cluster import Left as MemberLeft

from .names import check_name, check_pattern
from .values import Joined, Left
from .waits import Signal
from .watchers import Watchers

__all__ = ["GroupKey", "GroupWatches", "check_watched"]

GroupKey: TypeAlias = tuple[int, str]
"""A group: its scope, and its name."""

_NUMBERS: Final = {name: number for number, name in enumerate(SCOPES) if number != QUEUE_SCOPE}
"""Queues are the bus's own: their members are subscriptions of a channel that share."""


def check_watched(scope: str, group: str) -> int:
    """Return the number of a scope, if a group of this name can be in it.

    Raises:
        ValueError: there is no such scope, or no such group can be there.
    """
    number = _NUMBERS.get(scope)
    if number is None:
        raise ValueError(f"scope {scope!r}: there are {', '.join(_NUMBERS)}")
    if number == CHANNEL_SCOPE:
        check_pattern(group)
    else:
        check_name(group, "group")
    return number


class GroupWatches(Watchers[GroupKey, Joined | Left]):
    """The watchers of groups at one node."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0
        """How often any group has changed."""
        self.changed = Signal()
        """Wakes who waits for a change of any."""

    def told(self, event: MemberJoined | MemberLeft) -> None:
        """The registry tells of a change."""
        self.changes += 1
        self.changed.notify()
        key = (event.scope, event.group)
        if key in self:  # else it costs nothing, however many there are
            pid = event.pid
            told = Joined(pid, pid.node) if isinstance(event, MemberJoined) else Left(pid, pid.node, event.reason)
            self.tell(key, told)
