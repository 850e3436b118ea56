"""What a client watches at its node: single processes, groups, and the nodes of the mesh."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from liminal_mesh.cluster import (
    ClientFrame,
    Demonitor,
    GroupChange,
    GroupNews,
    Member,
    MemberChange,
    MemberChanged,
    MemberEntry,
    MemberNews,
    MonitorProcess,
    Pid,
    ProcessGone,
    UnwatchGroup,
    UnwatchMembers,
    WatchGroup,
    WatchMembers,
)

from .changes import CHANGES_MAX
from .client_sinks import Answered, Call
from .errors import Draining, NoConnection, OutcomeUnknown
from .group_watches import check_watched
from .monitor import Monitor
from .processes import NO_CONNECTION
from .values import GroupSnapshot, Joined, Left, MembersSnapshot
from .watch import Watch

if TYPE_CHECKING:
    from .client_session import ClientSession

__all__ = ["ClientGroupWatch", "ClientMemberWatch", "ClientMonitor", "ClientWatch", "ClientWatches"]

Snapshot = TypeVar("Snapshot")
Change = TypeVar("Change")
Row = TypeVar("Row")


class ClientWatches:
    """The monitors and watches of one client, by the numbers that the node's frames bear."""

    def __init__(self, client: ClientSession) -> None:
        self._client = client
        self._monitors: dict[int, ClientMonitor] = {}
        self._watches: weakref.WeakValueDictionary[int, ClientWatch[Any, Any, Any]] = weakref.WeakValueDictionary()
        self.iterated: set[Watch[Any, Any]] = set()
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

    async def watch(self, watch: ClientWatch[Any, Any, Any]) -> None:
        """Begin to watch."""
        self._watches[watch.number] = watch
        await self._ask(watch.verb, watch.request)

    def unwatch(self, number: int, goodbye: ClientFrame) -> None:
        """Watch no more."""
        self._watches.pop(number, None)
        self._client.send(goodbye)

    def news(self, frame: GroupNews | MemberNews) -> None:
        """Something that is watched has changed."""
        watch = self._watches.get(frame.watch)
        if watch is not None:
            watch.news(frame.snapshot, frame.changes)

    def begin(self) -> None:
        """A new connection stands: all is watched again, from a snapshot on."""
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

    def __init__(self, client: ClientSession, number: int, pid: Pid, monotonic: Callable[[], float]) -> None:
        super().__init__(pid, monotonic)
        self.number = number
        self._client = client

    async def _open(self) -> None:
        self._client.raise_if_closed()
        await self._client.watches.monitor(self)

    def _close(self) -> None:
        self._client.watches.demonitor(self)


class _Again(Answered):
    """Something that was watched before, and of which a new snapshot is asked for."""

    def __init__(self, watch: ClientWatch[Any, Any, Any]) -> None:
        self._watch = watch

    def failed(self, error: Exception, count: int) -> None:
        """The node refuses it: whoever iterates is told. If it leaves, or is lost, another attempt follows."""
        if not isinstance(error, OutcomeUnknown | NoConnection | Draining):
            self._watch.end(error)

    def answer(self, frame: ClientFrame) -> None:
        """The snapshot follows."""


class ClientWatch(Watch[Snapshot, Change], Generic[Snapshot, Change, Row]):
    """A watcher at a client.

    Args:
        client: the client.
        number: what the frames about it bear.
        what: is watched, for humans.
    """

    verb = ""
    """What the node is asked for, for errors."""

    _loop: asyncio.AbstractEventLoop | None = None
    """Where it is watched, while it is."""

    def __init__(self, client: ClientSession, number: int, what: str) -> None:
        super().__init__(what, client.watches.iterated)
        self.number = number
        self._client = client
        self._events: deque[Snapshot | Change] = deque()
        self._parts: list[Row] = []
        self._behind = True

    def request(self, ref: int) -> ClientFrame:
        """Return what asks the node for it, or for a new snapshot."""
        raise NotImplementedError

    def again(self) -> None:
        """Ask for a snapshot, and pass over what comes before it."""
        self._behind = True
        self._events.clear()
        self._parts.clear()
        ref = self._client.ledger.request(_Again(self))
        if not self._client.send(self.request(ref)):
            self._client.ledger.fail([ref], NoConnection(self._client.where, "the connection was lost"))

    def news(self, snapshot: int, rows: list[Row]) -> None:
        """It has changed (``snapshot`` is 0), or this is a part of a snapshot (1), or the last one (2)."""
        if snapshot:
            self._parts += rows
            if snapshot == 1:
                return  # more of it follows
            self._events.append(self._snapshot(self._parts))
            self._parts, self._behind = [], False
        elif not self._behind:
            self._events.extend(map(self._change, rows))
            if len(self._events) > CHANGES_MAX:
                self.again()
        self.wake()

    def _goodbye(self) -> ClientFrame:
        """Return what ends it at the node."""
        raise NotImplementedError

    def _snapshot(self, rows: list[Row]) -> Snapshot:
        """Read a snapshot."""
        raise NotImplementedError

    def _change(self, row: Row) -> Change:
        """Read a change."""
        raise NotImplementedError

    def _next(self) -> Snapshot | Change | None:
        return self._events.popleft() if self._events else None

    async def _open(self) -> None:
        self._client.raise_if_closed()
        self._loop = asyncio.get_running_loop()
        await self._client.watches.watch(self)

    def _close(self) -> None:
        self._loop = None
        self._client.watches.unwatch(self.number, self._goodbye())

    def __del__(self) -> None:
        # In any thread, and perhaps when the loop has come to its end.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._client.watches.unwatch, self.number, self._goodbye())


class ClientGroupWatch(ClientWatch[GroupSnapshot, Joined | Left, GroupChange]):
    """A watcher of a group."""

    verb = "watch_group"

    def __init__(self, client: ClientSession, number: int, group: str, scope: str) -> None:
        super().__init__(client, number, f"{scope} {group!r}")
        self._key = check_watched(scope, group), group

    def request(self, ref: int) -> WatchGroup:
        """Return what asks the node for it, or for a new snapshot."""
        return WatchGroup(ref, self.number, *self._key)

    def _goodbye(self) -> UnwatchGroup:
        return UnwatchGroup(self.number)

    def _snapshot(self, rows: list[GroupChange]) -> GroupSnapshot:
        return GroupSnapshot(tuple(Pid(one.node, one.epoch, one.number) for one in rows))

    def _change(self, row: GroupChange) -> Joined | Left:
        pid = Pid(row.node, row.epoch, row.number)
        return Joined(pid, pid.node) if row.joined else Left(pid, pid.node, row.reason)


class ClientMemberWatch(ClientWatch[MembersSnapshot, MemberChanged, MemberChange]):
    """A watcher of the nodes of the mesh."""

    verb = "watch_members"

    def __init__(self, client: ClientSession, number: int) -> None:
        super().__init__(client, number, "members")

    def request(self, ref: int) -> WatchMembers:
        """Return what asks the node for it, or for a new snapshot."""
        return WatchMembers(ref, self.number)

    def _goodbye(self) -> UnwatchMembers:
        return UnwatchMembers(self.number)

    def _snapshot(self, rows: list[MemberChange]) -> MembersSnapshot:
        return MembersSnapshot(tuple(row.after.member for row in rows if row.after is not None))

    def _change(self, row: MemberChange) -> MemberChanged:
        return MemberChanged(_member(row.before), _member(row.after))


def _member(entry: MemberEntry | None) -> Member | None:
    return None if entry is None else entry.member
