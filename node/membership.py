"""A process's membership in a group, as a program holds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from liminal_mesh.cluster import Pid

from .mailbox import Mailbox

__all__ = ["GroupMembership"]


class GroupMembership:
    """What ``bus.join`` returns. It ends with :meth:`leave`, or with the process.

    Args:
        group: the name of the group.
        mailbox: the member's.
        leave: what ends it.
    """

    def __init__(self, group: str, mailbox: Mailbox, leave: Callable[[], Awaitable[None]]) -> None:
        self.group = group
        self._mailbox = mailbox
        self._leave = leave

    @property
    def pid(self) -> Pid:
        """The member; a client's own process is another one on each new connection, and a member again there."""
        return self._mailbox.pid

    async def leave(self) -> None:
        """Leave the group; leaving twice is once."""
        await self._leave()

    def __repr__(self) -> str:
        return f"<GroupMembership of {self.pid} in {self.group!r}>"
