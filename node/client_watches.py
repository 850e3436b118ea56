"""What a client watches at its node: single processes, and groups."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from liminal_mesh.cluster import (
    ClientFrame,
    Demonitor,
    GroupNews,
    MonitorProcess,
    Pid,
    ProcessGone,
    UnwatchGroup,
    WatchGroup,
)

from .client_sinks import Answered, Call
from .errors import Draining, NoConnection, OutcomeUnknown
from .group_changes import CHANGES_MAX
from .group_watch import GroupWatch
from .group_watches import check_watched
from .monitor import Monitor
from .processes import NO_CONNECTION
from .values import GroupSnapshot, Joined, Left

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ClientGroupWatch", "ClientMonitor", "ClientWatches"]


class ClientWatches:
    """The monitors and group watches of one client, by the numbers that the node's frames bear."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._monitors: dict[int, ClientMonitor] = {}
        self._watches: weakref.WeakValueDictionary[int, ClientGroupWatch] = weakref.WeakValueDictionary()
        self.iterated: set[GroupWatch] = set()
        """Those that a task waits for: it may be that nobody else holds either of the two."""

    async def monitor(self, monitor: ClientMonitor) -> None:
        """Begin to monitor."""
        self._monitors[monitor.number] = monitor
        node, epoch, number = monitor.pid
        make = partial(MonitorProcess, watch=monitor.number, node=node, epoch=epoch, number=number)
        try:
            await self._ask("monitor", make)
        except BaseException:
            self.demonitor(monitor)
            raise

    def demonitor(self, monitor: ClientMonitor) -> None:
        """Monitor no more."""
        if self._monitors.pop(monitor.number, None) is not None:
            self._client.send(Demonitor(monitor.number))

    def gone(self, frame: ProcessGone) -> None:
        """A process is over."""
        monitor = self._monitors.pop(frame.watch, None)
        if monitor is not None:
            monitor.fired(frame.reason)

    async def watch(self, watch: ClientGroupWatch) -> None:
        """Begin to watch a group."""
        self._watches[watch.number] = watch
        await self._ask("watch_group", watch.request)

    def unwatch(self, number: int) -> None:
        """Watch a group no more."""
        self._watches.pop(number, None)
        self._client.send(UnwatchGroup(number))

    def news(self, frame: GroupNews) -> None:
        """A watched group has changed."""
        watch = self._watches.get(frame.watch)
        if watch is not None:
            watch.news(frame)

    def begin(self) -> None:
        """A new connection stands: groups are watched again, from a snapshot on."""
        for watch in tuple(self._watches.values()):
            watch.again()

    def lost(self) -> None:
        """The connection is gone, and with it whatever could tell of processes."""
        monitors, self._monitors = self._monitors, {}
        for monitor in monitors.values():
            monitor.fired(NO_CONNECTION)

    def close(self) -> None:
        """End everything, since the client ends."""
        self.lost()
        for watch in tuple(self._watches.values()):
            watch.end()

    async def _ask(self, phase: str, make: Callable[[int], ClientFrame]) -> None:
        try:
            await self._client.requests.ask(Call(phase), make)
        except OutcomeUnknown as error:  # what was asked for on a lost connection is over with it
            raise NoConnection(self._client.where, str(error)) from error


class ClientMonitor(Monitor):
    """A monitor of a client."""

    def __init__(self, client: Client, number: int, pid: Pid, monotonic: Callable[[], float]) -> None:
        super().__init__(pid, monotonic)
        self.number = number
        self._client = client

    async def _open(self) -> None:
        self._client.raise_if_closed()
        await self._client.watches.monitor(self)

    def _close(self) -> None:
        self._client.watches.demonitor(self)


class _Again(Answered):
    """A group that was watched before, and of which a new snapshot is asked for."""

    def __init__(self, watch: ClientGroupWatch) -> None:
        self._watch = watch

    def failed(self, error: Exception, count: int) -> None:
        """The node refuses it: whoever iterates is told. If it leaves, or is lost, another attempt follows."""
        if not isinstance(error, OutcomeUnknown | NoConnection | Draining):
            self._watch.end(error)

    def answer(self, frame: ClientFrame) -> None:
        """The snapshot follows."""


class ClientGroupWatch(GroupWatch):
    """A watcher of a group at a client."""

    _loop: asyncio.AbstractEventLoop | None = None
    """Where it is watched, while it is."""

    def __init__(self, client: Client, number: int, group: str, scope: str) -> None:
        super().__init__(group, scope, client.watches.iterated)
        self.number = number
        self._client = client
        self._scope_number = check_watched(scope, group)
        self._events: deque[GroupSnapshot | Joined | Left] = deque()
        self._parts: list[Pid] = []
        self._behind = True

    def request(self, ref: int) -> WatchGroup:
        """Return what asks the node for it, or for a new snapshot."""
        return WatchGroup(ref, self.number, self._scope_number, self.group)

    def again(self) -> None:
        """Ask for a snapshot, and pass over what comes before it."""
        self._behind = True
        self._events.clear()
        self._parts.clear()
        ref = self._client.ledger.request(_Again(self))
        if not self._client.send(self.request(ref)):
            self._client.ledger.fail([ref], NoConnection(self._client.where, "the connection was lost"))

    def news(self, frame: GroupNews) -> None:
        """The group has changed."""
        if frame.snapshot:
            self._parts += [Pid(one.node, one.epoch, one.number) for one in frame.changes]
            if frame.snapshot == 1:
                return  # more of it follows
            self._events.append(GroupSnapshot(tuple(self._parts)))
            self._parts, self._behind = [], False
        elif not self._behind:
            for one in frame.changes:
                pid = Pid(one.node, one.epoch, one.number)
                self._events.append(Joined(pid, pid.node) if one.joined else Left(pid, pid.node, one.reason))
            if len(self._events) > CHANGES_MAX:
                self.again()
        self.wake()

    def _next(self) -> GroupSnapshot | Joined | Left | None:
        return self._events.popleft() if self._events else None

    async def _open(self) -> None:
        self._client.raise_if_closed()
        self._loop = asyncio.get_running_loop()
        await self._client.watches.watch(self)

    def _close(self) -> None:
        self._loop = None
        self._client.watches.unwatch(self.number)

    def __del__(self) -> None:
        # In any thread, and perhaps when the loop has come to its end.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._client.watches.unwatch, self.number)
