"""The processes of the program that a node is embedded in: the node's own, and those that the program has spawned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from liminal_mesh.cluster import Pid

from .acks import check_wait
from .errors import LimitExceeded, NoProcess
from .hub import Hub
from .mailbox import CREDIT, Mailbox
from .membership import GroupMembership
from .monitor import Monitor
from .names import check_name, check_pid
from .post import Post
from .process import CLEANUP_S, Process, ProcessFunction, Spawner, check_function
from .processes import SHUTDOWN

__all__ = ["EmbeddedProcesses", "NodeMonitor"]


class _Home(NamedTuple):
    """Where what is sent to a process arrives, and where its program takes it."""

    post: Post
    mailbox: Mailbox


class EmbeddedProcesses:
    """Spawns processes in the node's program, and lets them join groups. It is their keeper.

    Args:
        hub: the node's middle.
        processes_max: how many may be spawned at a time.
    """

    def __init__(self, hub: Hub, processes_max: int) -> None:
        self._hub = hub
        self._max = processes_max
        self._spawner = Spawner()
        self._homes: dict[Pid, _Home] = {}
        self.mailbox = self._open(hub.pid)
        """The node's own mailbox."""

    def spawn(self, function: ProcessFunction) -> Process:
        """Begin a process that runs an async function.

        Raises:
            LimitExceeded: too many processes run.
            TypeError: it is no async function.
        """
        check_function(function)
        if len(self._homes) > self._max:
            raise LimitExceeded("processes", self._max)
        ended: list[Callable[[str], None]] = []
        pid = self._hub.processes.spawn("process", lambda reason: ended[0](reason))
        process = Process(pid, self._open(pid), self)
        ended.append(partial(self._ended, process))
        self._spawner.start(process, function)
        return process

    async def join(self, group: str, pid: Pid | None, wait: str | None, timeout_s: float) -> GroupMembership:
        """Let a process of this program join a group; see :meth:`.Bus.join`."""
        pid = self._hub.pid if pid is None else check_pid(pid)
        home = self._homes.get(pid)
        if home is None:
            raise NoProcess(str(pid), self._why_not(pid))
        post = home.post
        if check_wait(wait):
            stay = post.begin(check_name(group, "group"))
            await post.settle(stay, timeout_s)
        else:
            stay = post.join(check_name(group, "group"))

        async def leave() -> None:
            post.leave(stay)

        return GroupMembership(group, home.mailbox, leave)

    async def close(self, timeout_s: float = CLEANUP_S) -> bool:
        """End everything that was spawned (``shutdown``), and wait for its tasks; what waits in mailboxes stays.

        Returns whether all of them ended within so many seconds.
        """
        for pid in tuple(self._homes):
            if pid != self._hub.pid:
                self._hub.processes.exit(pid, SHUTDOWN)
        try:
            return await self._spawner.close(timeout_s)
        finally:
            own = self._homes.pop(self._hub.pid, None)
            if own is not None:  # else it was closed before
                own.post.close(SHUTDOWN)
            self.mailbox.end(None)

    # --- the processes' keeper ---

    def link(self, pid: Pid, other: Pid) -> None:
        """Link two processes."""
        self._hub.permit(self._hub.pid, "link", "")
        self._hub.processes.link(pid, other)

    def unlink(self, pid: Pid, other: Pid) -> None:
        """End their link."""
        self._hub.processes.unlink(pid, other)

    def exit(self, pid: Pid, reason: str) -> None:
        """End a process."""
        self._hub.processes.exit(pid, reason)

    # --- within ---

    def _open(self, pid: Pid) -> Mailbox:
        inbox = self._hub.interests.make_mailbox(CREDIT)
        mailbox = Mailbox(pid, inbox)
        self._homes[pid] = _Home(Post(self._hub, pid, inbox, mailbox.bell), mailbox)
        return mailbox

    def _ended(self, process: Process, reason: str) -> None:
        self._homes.pop(process.pid).post.close(reason)
        process.exited(reason)

    def _why_not(self, pid: Pid) -> str:
        if self._hub.processes.alive(pid):
            return "it has no mailbox in this program; a process that this bus has spawned can join, and the bus itself"
        if pid[:2] == self._hub.me:
            return f"it is over ({self._hub.processes.reason(pid)})"
        return "only the bus that has spawned a process can let it join"


class NodeMonitor(Monitor):
    """A monitor of an embedded node."""

    def __init__(self, hub: Hub, pid: Pid) -> None:
        super().__init__(pid, hub.environment.monotonic)
        self._hub = hub
        self._ref = 0

    async def _open(self) -> None:
        self._hub.permit(self._hub.pid, "monitor", "")
        self._ref = self._hub.processes.monitor(self.pid, self.fired)

    def _close(self) -> None:
        self._hub.processes.demonitor(self._ref)
