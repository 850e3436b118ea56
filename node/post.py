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

    async def join(self, group: str, wait: str, timeout_s: float) -> None:
        """Join a group; joining twice is once.

        Args:
            group: its name.
            wait: ``cluster`` waits for every peer that is linked; when one does not follow, the group is left again.
            timeout_s: for how long, in seconds.

        Raises:
            DeadlineExceeded: ``missing`` names the peers that have not applied it.
            LimitExceeded: there are too many groups, or members.
            ValueError: no group can have this name.
        """
        new = group not in self._members
        self._members[group] = self._hub.join(self.pid, group, self.inbox, self._listener)
        if wait == "cluster":
            try:
                await self._hub.barrier("join", group, timeout_s, GROUP_SCOPE)
            except BaseException:
                if new:
                    self.leave(group)
                raise

    def leave(self, group: str) -> None:
        """Leave a group; nothing happens if the process is not in it."""
        member = self._members.pop(group, None)
        if member is not None:
            self._hub.leave(member)

    def close(self) -> None:
        """The process is over: leave all groups."""
        for group in tuple(self._members):
            self.leave(group)
        self._hub.shared.retire(self.inbox)
