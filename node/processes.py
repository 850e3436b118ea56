"""The processes of one node: who is there, and what an exit brings about.

A process is identity, links and exit, and nothing else; what it does is its owner's business. Connections, channels,
subscriptions and what users spawn are all processes, and all end in :meth:`ProcessTable.exit`, whatever ended them.
The model is Erlang's (Armstrong, "Making reliable distributed systems in the presence of software errors", 2003, 3.5):

- A **link** joins two processes. When one ends, the other gets its exit signal: it ends too, for the same reason,
  unless the reason is ``normal`` or it traps signals. A process may *follow* another: then it ends with it in any case.
- A **monitor** is one-sided: who watches is told once, and nothing happens to it.
- Whoever links with, or watches, a process that is over already gets its reason at once.

What is known of another node's processes holds while there is a session with that very run of it. The end of the
session is an exit with the reason ``noconnection`` for all links and monitors that go there, in one call.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from liminal_mesh.cluster import (
    NodeId,
    Pid,
    ProcessDemonitor,
    ProcessDown,
    ProcessExit,
    ProcessFrame,
    ProcessLink,
    ProcessMonitor,
    ProcessUnlink,
)

from .errors import LimitExceeded
from .links import LinkIds, Links
from .monitors import Monitors, Watch, Watcher
from .reasons import clean_reason

__all__ = ["NORMAL", "NO_CONNECTION", "NO_PROCESS", "SHUTDOWN", "ProcessStatistics", "ProcessTable"]

NORMAL: Final = "normal"
"""The reason of a process that came to its end."""

SHUTDOWN: Final = "shutdown"
"""The reason of a process that ends with its node or its program."""

NO_CONNECTION: Final = "noconnection"
"""The reason of a process whose node cannot be heard."""

NO_PROCESS: Final = "error: no such process"
"""The reason of a process that never was, or that ended so long ago that its reason is forgotten."""

FULL: Final = "error: the node has too many links and monitors"
"""The reason that a peer is given which asks for one more."""

REMEMBERED: Final = 4096
"""Of how many ended processes the reason is kept, for those who ask late."""


class ProcessStatistics(NamedTuple):
    """What there is at this moment: living processes by kind, entries of links, watches of this node."""

    processes: dict[str, int]
    links: int
    monitors: int


@dataclass(slots=True)
class _Process:
    """A living process."""

    kind: str
    exited: Callable[[str], None]
    traps: bool
    follows: Pid | None


class ProcessTable:
    """All processes of a node, and what joins them with each other and with those of its peers.

    Args:
        me: this node.
        send: sends a frame to a linked peer, by its name; must not raise.
        broken: hears of an owner or a watcher that failed when told of an exit, and of whose exit; must not raise.
        entries_max: how many links and monitors there may be; one more is refused, to users and to peers.
    """

    def __init__(
        self,
        me: NodeId,
        send: Callable[[str, ProcessFrame], None],
        broken: Callable[[Pid, Exception], None],
        entries_max: int = 1_000_000,
    ) -> None:
        self.me = me
        self._send = send
        self._broken = broken
        self._entries_max = entries_max
        self._processes: dict[Pid, _Process] = {}
        self._links = Links(me.name)
        self._monitors = Monitors(me.name)
        self._peers: dict[str, NodeId] = {}
        self._reasons: OrderedDict[Pid, str] = OrderedDict()
        self._last_number = 0
        self._work: deque[Callable[[], None]] = deque()
        self._working = False

    # --- processes ----------------------------------------------------------------------------------

    def spawn(
        self, kind: str, exited: Callable[[str], None], *, traps: bool = False, follows: Pid | None = None
    ) -> Pid:
        """Begin a process.

        Args:
            kind: what it is, for whoever counts.
            exited: called once with the reason, when it is over and before anybody else is told.
            traps: the end of a linked process does not end it.
            follows: a process of this node: it is linked with that one, and ends with it in any case, even if it traps.
        """
        self._last_number += 1
        pid = Pid(*self.me, self._last_number)
        self._processes[pid] = _Process(kind, exited, traps, follows)
        if follows is not None:
            self._join(pid, follows)
        return pid

    def exit(self, pid: Pid, reason: str) -> bool:
        """End a process of this node; returns False if it is over already.

        Its owner is told first; then those who are linked have its signal, and then those who watch are told.
        """
        process = self._processes.pop(pid, None)
        if process is None:
            return False
        reason = self._reasons[pid] = clean_reason(reason)
        if len(self._reasons) > REMEMBERED:
            self._reasons.popitem(last=False)
        self._do(lambda: self._ended(pid, process, reason))
        return True

    def alive(self, pid: Pid) -> bool:
        """Whether a process of this node lives."""
        return pid in self._processes

    def living(self, *kinds: str) -> list[Pid]:
        """Return all processes, or those of some kinds."""
        return [pid for pid, process in self._processes.items() if not kinds or process.kind in kinds]

    def reason(self, pid: Pid) -> str:
        """Return why a process that is not there is not there."""
        return self._reasons.get(pid, NO_PROCESS) if pid[:2] == self.me else NO_CONNECTION

    # --- links and monitors -------------------------------------------------------------------------

    def link(self, pid: Pid, other: Pid) -> None:
        """Link a process of this node with another, here or elsewhere; linking twice is once.

        If the other one is over, or its node is not linked, its exit signal comes at once.

        Raises:
            LimitExceeded: there are too many links and monitors.
        """
        if pid in self._processes and pid != other and self._links.ids(pid, other) is None:
            self._check_room()
            self._join(pid, other)

    def unlink(self, pid: Pid, other: Pid) -> None:
        """End a link: from here on no exit signal of the other one arrives, even if one is on its way."""
        ids, one, two = self._links.ids(pid, other), self._processes.get(pid), self._processes.get(other)
        if ids is None or one is None or one.follows == other or (two is not None and two.follows == pid):
            return  # One that is over cannot take back its own signal; and who follows another always ends with it.
        self._links.sever(pid, other)
        self._send_to(other, ProcessUnlink(pid.number, other.number, ids.ours, ids.theirs))

    def monitor(self, target: Pid, down: Callable[[str], None]) -> int:
        """Watch a process: ``down`` is called once with the reason of its exit. Returns the number of the watch.

        If it is over, or its node is not linked, that happens before this returns, or right after what is being told.

        Raises:
            LimitExceeded: there are too many links and monitors.
        """
        self._check_room()
        ref = self._monitors.watch(Watch(target, down))
        if self._reachable(target):
            self._send_to(target, ProcessMonitor(ref, target.number))
        else:
            self._do(partial(self._down, ref, self.reason(target)))
        return ref

    def demonitor(self, ref: int) -> None:
        """End a watch: nothing is told any more."""
        watch = self._monitors.take(ref)
        if watch is not None:
            self._send_to(watch.target, ProcessDemonitor(ref))

    # --- nodes --------------------------------------------------------------------------------------

    def node_up(self, node: NodeId) -> None:
        """A session with a node stands: its processes can be linked and watched."""
        assert node.name not in self._peers, node
        self._peers[node.name] = node

    def node_down(self, node: NodeId) -> None:
        """The session with a node is over, and for us every process there is."""
        known = self._peers.pop(node.name)
        assert known == node, (known, node)
        self._monitors.forget(node.name)
        self._do(lambda: self._lost(node.name))

    def receive(self, node: NodeId, frame: ProcessFrame) -> None:
        """Take a frame of the session with a node."""
        match frame:
            case ProcessLink():
                self._linked(Pid(*self.me, frame.target), Pid(*node, frame.source), frame.id)
            case ProcessUnlink():
                ids = LinkIds(ours=frame.yours, theirs=frame.ours)
                self._links.ended(Pid(*self.me, frame.target), Pid(*node, frame.source), ids)
            case ProcessExit():
                pid, source = Pid(*self.me, frame.target), Pid(*node, frame.source)
                self._do(lambda: self._cut(pid, source, frame.reason))
            case ProcessMonitor():
                self._watched(node, Pid(*self.me, frame.target), frame.ref)
            case ProcessDemonitor():
                self._monitors.unwatched(Watcher(node.name, frame.ref))
            case ProcessDown():
                if self._monitors.node_of(frame.ref) == node:
                    self._do(lambda: self._down(frame.ref, frame.reason))

    # --- reads --------------------------------------------------------------------------------------

    def statistics(self) -> ProcessStatistics:
        """Return how many processes, links and monitors there are."""
        kinds = Counter(process.kind for process in self._processes.values())
        return ProcessStatistics(dict(sorted(kinds.items())), self._links.count, self._monitors.ours)

    def links(self, pid: Pid) -> tuple[Pid, ...]:
        """Return whom a process of this node is linked with."""
        return self._links.of(pid)

    def validate(self) -> None:
        """Assert that nothing is linked or watched that is not there."""
        self._links.validate(self._reachable)
        self._monitors.validate(self._reachable, self._peers)
        assert not self._work

    # --- within -------------------------------------------------------------------------------------

    def _check_room(self) -> None:
        if self._full:
            raise LimitExceeded("process_links", self._entries_max)

    @property
    def _full(self) -> bool:
        return self._links.count + self._monitors.count >= self._entries_max

    def _reachable(self, pid: Pid) -> bool:
        """Whether a process lives here, or may live at a node that there is a session with."""
        return pid in self._processes or (pid.node != self.me.name and self._peers.get(pid.node) == pid[:2])

    def _send_to(self, pid: Pid, frame: ProcessFrame) -> None:
        """Send a frame about a process to the node where it is, while there is a session with that run of it."""
        if self._peers.get(pid.node) == pid[:2]:
            self._send(pid.node, frame)

    def _join(self, pid: Pid, other: Pid) -> None:
        ident = self._links.make(pid, other)
        if self._reachable(other):
            self._send_to(other, ProcessLink(pid.number, other.number, ident))
        else:
            self._do(partial(self._cut, pid, other, self.reason(other)))

    def _linked(self, pid: Pid, source: Pid, ident: int) -> None:
        if pid in self._processes and not (self._full and self._links.ids(pid, source) is None):
            self._links.made(pid, source, ident)
        else:
            reason = FULL if pid in self._processes else self.reason(pid)
            self._send(source.node, ProcessExit(pid.number, source.number, reason))

    def _watched(self, node: NodeId, target: Pid, ref: int) -> None:
        if target in self._processes and not self._full:
            self._monitors.watched(target, Watcher(node.name, ref))
        else:
            self._send(node.name, ProcessDown(ref, FULL if target in self._processes else self.reason(target)))

    def _ended(self, pid: Pid, process: _Process, reason: str) -> None:
        self._tell(process.exited, pid, reason)
        for other in self._links.of(pid):
            if other.node == self.me.name:
                self._cut(other, pid, reason)
            else:
                self._links.sever(pid, other)
                self._send_to(other, ProcessExit(pid.number, other.number, reason))
        for watcher in self._monitors.watchers(pid):
            if watcher.node == self.me.name:
                self._down(watcher.ref, reason)
            elif self._monitors.unwatched(watcher):
                self._send(watcher.node, ProcessDown(watcher.ref, reason))

    def _cut(self, pid: Pid, other: Pid, reason: str) -> None:
        """Remove a link of a process of this node, if it stands, and let that have the exit signal of the other one."""
        ids = self._links.ids(pid, other)
        if ids is None:
            return
        self._links.sever(pid, other)
        if reason == FULL:
            # The other one lives: it refused a link, and may have accepted one that we made after that.
            self._send_to(other, ProcessUnlink(pid.number, other.number, ids.ours, ids.theirs))
        self._signal(pid, other, reason)

    def _signal(self, pid: Pid, source: Pid, reason: str) -> None:
        """Let a process of this node have the exit signal of one that it was linked with."""
        process = self._processes.get(pid)
        if process is not None and (process.follows == source or (reason != NORMAL and not process.traps)):
            self.exit(pid, reason)

    def _down(self, ref: int, reason: str) -> None:
        watch = self._monitors.take(ref)
        if watch is not None:
            self._tell(watch.down, watch.target, reason)

    def _tell(self, told: Callable[[str], None], pid: Pid, reason: str) -> None:
        """Tell an owner or a watcher why a process is over."""
        try:
            told(reason)
        except Exception as error:  # noqa: BLE001 - one hearer's defect must not keep the exit from all others
            self._broken(pid, error)

    def _lost(self, node: str) -> None:
        for pid, other in self._links.abroad(node):
            self._cut(pid, other, NO_CONNECTION)
        for ref in self._monitors.abroad(node):
            self._down(ref, NO_CONNECTION)

    def _do(self, work: Callable[[], None]) -> None:
        """Do something now, or after what is being done: an exit may bring about a thousand others."""
        self._work.append(work)
        if self._working:
            return
        self._working = True
        try:
            while self._work:
                self._work.popleft()()
        finally:
            self._working = False
