"""A process's membership in a group, as a program holds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from liminal_mesh.cluster import Pid

__all__ = ["GroupMembership"]


class GroupMembership:
    """What ``bus.join`` returns. It ends with :meth:`leave`, or with the process.

    Args:
        group: the name of the group.
        pid: the member.
        leave: what ends it.
    """

    def __init__(self, group: str, pid: Pid, leave: Callable[[], Awaitable[None]]) -> None:
        self.group = group
        self.pid = pid
        self._leave = leave

    async def leave(self) -> None:
        """Leave the group; leaving twice is once."""
        await self._leave()

    def __repr__(self) -> str:
        return f"<GroupMembership of {self.pid} in {self.group!r}>"
