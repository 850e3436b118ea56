"""Where what is sent to one process arrives at its node: one inbox, and the groups that feed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import GROUP_SCOPE, Pid

from .inbox import Inbox

if TYPE_CHECKING:
    from .channel import Listener, Subscriber
    from .hub import Hub

__all__ = ["Post"]


class Post:
    """The post of a process.

    Args:
        hub: the node's middle.
        pid: the process.
        inbox: what waits for it, of all its groups.
        listener: is told when something waits.
    """

    def __init__(self, hub: Hub, pid: Pid, inbox: Inbox, listener: Listener) -> None:
        self.pid = pid
        self.inbox = inbox
        self._hub = hub
        self._listener = listener
        self._members: dict[str, Subscriber] = {}

    def join(self, group: str) -> None:
        """Join a group; joining twice is once.

        Raises:
            LimitExceeded: there are too many groups, or members.
            ValueError: no group can have this name.
        """
        self._members[group] = self._hub.interests.join(self.pid, group, self.inbox, self._listener)

    async def join_everywhere(self, group: str, timeout_s: float) -> None:
        """Join a group, and wait until every peer that is linked knows of it.

        Raises:
            DeadlineExceeded: ``missing`` names the peers that do not, after so many seconds; the group was left again,
                if it was joined by this.
            LimitExceeded, ValueError: as :meth:`join`.
        """
        new = group not in self._members
        self.join(group)
        try:
            await self._hub.interests.barrier("join", group, timeout_s, GROUP_SCOPE)
        except BaseException:
            if new:
                self.leave(group)
            raise

    def leave(self, group: str) -> None:
        """Leave a group; nothing happens if the process is not in it."""
        member = self._members.pop(group, None)
        if member is not None:
            self._hub.interests.leave(member)

    def close(self) -> None:
        """The process is over: leave all groups."""
        for group in tuple(self._members):
            self.leave(group)
        self._hub.shared.retire(self.inbox)
