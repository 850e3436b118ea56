"""Where what is sent to one process arrives at its node: one inbox, and the groups that feed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import GROUP_SCOPE, Pid

from .errors import NoProcess
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
        self._closed = False
        self._unsure: dict[str, set[object]] = {}
        """Those of its groups that nobody has joined but who still waits for peers to know of it: who waits."""

    def join(self, group: str) -> None:
        """Join a group; joining twice is once.

        Raises:
            LimitExceeded: there are too many groups, or members.
            ValueError: no group can have this name.
        """
        self._join(group)
        self._unsure.pop(group, None)

    async def join_everywhere(self, group: str, timeout_s: float) -> None:
        """Join a group, and wait until every peer that is linked knows of it.

        Raises:
            DeadlineExceeded: ``missing`` names the peers that do not, after so many seconds; the group was left again,
                if nobody else has joined it.
            LimitExceeded, ValueError: as :meth:`join`.
            NoProcess: the process has ended meanwhile.
        """
        me = object()
        if group not in self._members or group in self._unsure:
            self._unsure.setdefault(group, set()).add(me)
        try:
            self._join(group)
            await self._hub.interests.barrier("join", group, timeout_s, GROUP_SCOPE)
        except BaseException:
            waiting = self._unsure.get(group, set())
            if waiting == {me}:
                self.leave(group)
            waiting.discard(me)
            raise
        self._unsure.pop(group, None)
        if self._closed:
            raise NoProcess(str(self.pid), self._hub.processes.reason(self.pid))

    def leave(self, group: str) -> None:
        """Leave a group; nothing happens if the process is not in it."""
        self._unsure.pop(group, None)
        member = self._members.pop(group, None)
        if member is not None:
            self._hub.interests.leave(member)

    def close(self) -> None:
        """The process is over: leave all groups."""
        self._closed = True
        for group in tuple(self._members):
            self.leave(group)
        self._hub.shared.retire(self.inbox)

    def _join(self, group: str) -> None:
        self._members[group] = self._hub.interests.join(self.pid, group, self.inbox, self._listener)
