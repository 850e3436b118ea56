"""Where what is sent to one process arrives at its node: one inbox, and the groups that feed it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from liminal_mesh.cluster import GROUP_SCOPE, Pid

from .errors import NoProcess
from .inbox import Inbox

if TYPE_CHECKING:
    from .backing import Backing
    from .subscribers import Listener, Subscriber

__all__ = ["Post", "Stay"]


class Stay:
    """One time of a process in one group, from its join to its leave.

    Attributes:
        group: the name of the group.
        member: what is in the group.
        waiting: how many who joined wait for peers to know of it.
        sure: whether somebody has joined who does not, or not any more.
    """

    __slots__ = ("group", "member", "sure", "waiting")

    def __init__(self, group: str, member: Subscriber) -> None:
        self.group = group
        self.member = member
        self.waiting = 0
        self.sure = False


class Post:
    """The post of a process.

    Args:
        hub: the node's middle.
        pid: the process.
        inbox: what waits for it, of all its groups.
        listener: is told when something waits.
    """

    def __init__(self, hub: Backing, pid: Pid, inbox: Inbox, listener: Listener) -> None:
        self.pid = pid
        self.inbox = inbox
        self._hub = hub
        self._listener = listener
        self._stays: dict[str, Stay] = {}
        self._over: str | None = None
        """Why the process is over, once it is."""

    @property
    def groups(self) -> Collection[str]:
        """The groups that the process is in."""
        return self._stays.keys()

    def join(self, group: str) -> Stay:
        """Join a group; joining twice is once.

        Raises:
            LimitExceeded: there are too many groups, or members.
            NoProcess: the process is over.
            ValueError: no group can have this name.
        """
        stay = self._enter(group)
        stay.sure = True
        return stay

    def begin(self, group: str) -> Stay:
        """Join a group, for somebody who then calls :meth:`settle`; raises as :meth:`join` does."""
        stay = self._enter(group)
        stay.waiting += 1
        return stay

    async def settle(self, stay: Stay, timeout_s: float) -> None:
        """Wait until every peer that is linked knows of what has begun.

        Raises:
            DeadlineExceeded: ``missing`` names the peers that do not, after so many seconds; the group was left again,
                if nobody else has joined it.
            NoProcess: the process has ended meanwhile.
        """
        try:
            await self._hub.interests.barrier("join", stay.group, timeout_s, GROUP_SCOPE)
            stay.sure = True
        finally:
            stay.waiting -= 1
            if not (stay.sure or stay.waiting):
                self.leave(stay)
        self._check()

    def leave(self, stay: Stay) -> None:
        """Leave a group; nothing happens if that stay is over, even if the process has joined the group again."""
        if self._stays.get(stay.group) is stay:
            self.leave_group(stay.group)

    def leave_group(self, group: str) -> None:
        """Leave a group; nothing happens if the process is not in it."""
        stay = self._stays.pop(group, None)
        if stay is not None:
            self._hub.interests.leave(stay.member)

    def close(self, reason: str) -> None:
        """The process is over: leave all groups, and take no more."""
        self._over = reason
        for group in tuple(self._stays):
            self.leave_group(group)
        self._hub.shared.retire(self.inbox)

    def _enter(self, group: str) -> Stay:
        self._check()
        member = self._hub.interests.join(self.pid, group, self.inbox, self._listener)
        stay = self._stays.get(group)
        if stay is None or stay.member is not member:  # a delivery that crashed may have ended the one before
            stay = self._stays[group] = Stay(group, member)
        return stay

    def _check(self) -> None:
        if self._over is not None:
            raise NoProcess(str(self.pid), self._over)
