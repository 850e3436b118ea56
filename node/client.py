"""A client: the Bus of a program that speaks with a node somewhere."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from itertools import count
from types import TracebackType
from typing import Final, Self

import msgspec

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
    GROUP_SCOPE,
    Anchored,
    ClientFrame,
    ClientGap,
    ClientOutcome,
    Confirm,
    Connected,
    Deliver,
    Ended,
    Envelope,
    ExitProcess,
    Failure,
    GroupNews,
    Member,
    MemberEntry,
    MemberNews,
    Pid,
    ProcessGone,
    Reply,
    Subscribed,
)

from .bus import Ack, Wait
from .client_outgoing import Outgoing
from .client_processes import ClientProcesses
from .client_publisher import ClientPublisher
from .client_requests import Requests
from .client_sinks import PublishKey, Sink, error_of
from .client_subscription import ClientSubscription
from .client_watches import ClientGroupWatch, ClientMemberWatch, ClientMonitor, ClientWatches
from .dialler import Dialler
from .environment import REAL, Environment
from .errors import NoConnection, OutcomeUnknown
from .feed_table import FeedTable
from .ledger import Ledger
from .mailbox import Mailbox
from .membership import GroupMembership
from .monitor import Monitor
from .names import check_name, check_pattern
from .process import Process, ProcessFunction
from .publisher import Publisher
from .subscription import Subscription
from .url import DEFAULT_URL, parse_url
from .values import PublishOutcome
from .waits import FOREVER_S, Signal
from .watch import GroupWatch, MemberWatch

__all__ = ["Client"]

CLOSE_S: Final = 5.0
"""How long closing waits for answers that the node owes."""

_MEMBERS: Final = msgspec.msgpack.Decoder(list[MemberEntry])
_PIDS: Final = msgspec.msgpack.Decoder(list[tuple[str, int, int]])


class Client:
    """A client, made by ``connect``. It reconnects by itself, and its subscriptions come back with it."""

    def __init__(self, url: str = DEFAULT_URL, *, name: str | None = None, environment: Environment = REAL) -> None:
        self._addresses = parse_url(url)
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._environment = environment
        self._dialler: Dialler | None = None
        self._task: asyncio.Task[None] | None = None
        self._pid: Pid | None = None
        self.ledger = Ledger()
        self._numbers = count(1)
        self.where = ", ".join(map(str, self._addresses))
        self.feeds = FeedTable(self.ledger, self.send, self.where)
        self.requests = Requests(self.ledger, self.send, self.raise_if_closed, self.where)
        self._changes = Signal()
        self._closing: asyncio.Task[None] | None = None
        self._closed = False
        self._outgoing = Outgoing(self)
        self.processes = ClientProcesses(self)
        self.watches = ClientWatches(self)

    async def __aenter__(self) -> Self:
        assert self._dialler is None, "a client is entered once"
        dialler = self._dialler = Dialler(self._addresses, self, self._name, self._environment)
        await dialler.connect()
        self._task = asyncio.create_task(dialler.run(), name="liminal-client")
        self._task.add_done_callback(self._broke)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Write what waits, if a connection stands, wait for the answers that are owed, and end everything.

        It goes on if whoever waits for it gives up. In one of the client's own processes it ends that one, too.
        """
        if self._dialler is None or self._task is None:
            return
        if self._closing is None:  # whoever asks again waits for the same end
            self._closing = asyncio.create_task(self._close(self._dialler, self._task), name="liminal-client-close")
        await asyncio.shield(self._closing)

    async def _close(self, dialler: Dialler, task: asyncio.Task[None]) -> None:
        try:
            if self.ledger.holder is not None:
                self.ledger.holder.flush()
            await self.processes.close()
            self._end()
            deadline = asyncio.get_running_loop().time() + CLOSE_S
            await self._changes.until(lambda: not (dialler.connected and self.ledger.open), deadline)
        finally:
            self._end()
            task.cancel()
            dialler.close()  # not left to the task, which may not have begun
            self.ledger.close(OutcomeUnknown("the client was closed"))
            self._changes.notify()
            self.requests.close()
        await asyncio.wait([task])

    @property
    def pid(self) -> Pid:
        """The process that this client's connection is, at the node it is connected to now."""
        if self._pid is None:
            raise RuntimeError("the client is not connected: use it within 'async with'")
        return self._pid

    # --- the Bus ---

    async def publish(
        self,
        channel: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Publish, and return how it fared; see :meth:`.Bus.publish`.

        Raises, beside what is said there:
            DeadlineExceeded: the node did not answer in time.
            OutcomeUnknown: the connection was lost before the node answered.
        """
        return await self._outgoing.publish(CHANNEL_SCOPE, check_name(channel), payload, headers, ack, timeout)

    def publish_nowait(self, channel: str, payload: object, *, headers: Mapping[str, str] | None = None) -> None:
        """Publish without waiting; see :meth:`.Bus.publish_nowait`."""
        self._outgoing.nowait(channel, payload, headers)

    async def writable(self, channel: str) -> None:
        """Wait until :meth:`publish_nowait` has room; see :meth:`.Bus.writable`."""
        await self._outgoing.writable(channel)

    def publisher(self, channel: str, *, window: int = 4096, ack: Ack | None = None, timeout: float = 5.0) -> Publisher:
        """Return a windowed publisher; see :meth:`.Bus.publisher`."""
        return ClientPublisher(self, channel, window, ack, timeout)

    def subscribe(
        self, channel: str, *, max_in_flight: int = 256, wait: Wait | None = None, timeout: float = 5.0
    ) -> Subscription:
        """Return a subscription; see :meth:`.Bus.subscribe`. It comes back by itself after a lost connection."""
        check_pattern(channel)
        return ClientSubscription(self, self.next_number(), channel, max_in_flight, wait, timeout)

    async def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as the client's node sees them."""
        result = await self.requests.by_name("members", None)
        return tuple(entry.member for entry in _MEMBERS.decode(result))

    def watch_members(self) -> MemberWatch:
        """Watch the nodes of the mesh; see :meth:`.Bus.watch_members`. A new connection begins with a snapshot."""
        return ClientMemberWatch(self, self.next_number())

    # --- processes and groups ---

    @property
    def mailbox(self) -> Mailbox:
        """What is sent to groups that the client itself has joined."""
        return self.processes.mailbox

    async def spawn(self, function: ProcessFunction) -> Process:
        """Run an async function as a process; see :meth:`.Bus.spawn`. It ends with the connection."""
        return await self.processes.spawn(function)

    def monitor(self, pid: Pid) -> Monitor:
        """Watch a process; see :meth:`.Bus.monitor`. When the connection is lost, the reason is ``noconnection``."""
        return ClientMonitor(self, self.next_number(), pid, self._environment.monotonic)

    async def join(
        self, group: str, pid: Pid | None = None, *, wait: Wait | None = None, timeout: float = 5.0
    ) -> GroupMembership:
        """Join a process group; see :meth:`.Bus.join`. The client's own memberships come back with its connection."""
        return await self.processes.join(group, pid, wait, timeout)

    async def send_group(
        self,
        group: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Send to the mailbox of every member of a process group; see :meth:`.Bus.send_group`."""
        return await self._outgoing.publish(GROUP_SCOPE, check_name(group, "group"), payload, headers, ack, timeout)

    async def group_members(self, group: str) -> tuple[Pid, ...]:
        """Return the members of a process group; see :meth:`.Bus.group_members`."""
        result = await self.requests.by_name("group_members", (GROUP_SCOPE, check_name(group, "group")))
        return tuple(Pid(*member) for member in _PIDS.decode(result))

    def watch_group(self, group: str, scope: str = "group") -> GroupWatch:
        """Watch the members of a group; see :meth:`.Bus.watch_group`. A new connection begins with a snapshot."""
        return ClientGroupWatch(self, self.next_number(), group, scope)

    async def ready(self, timeout: float = 5.0) -> None:
        """Wait until every peer of the node knows of all that is registered there; see :meth:`.Bus.ready`."""
        await self.requests.by_name("ready", min(timeout, FOREVER_S), timeout)

    # --- for its publishers and subscriptions ---

    def raise_if_closed(self) -> None:
        """Refuse to work for a client that is not open.

        Raises:
            NoConnection: it was closed.
        """
        if self._closed or self._dialler is None:
            raise NoConnection(self.where, "the client is not open")

    async def room(self, timeout_s: float | None = None) -> bool:
        """Wait for room for publishes, or for the end; False when neither came in time."""
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        return await self._changes.until(lambda: self._closed or not self.ledger.crowded, deadline)

    def queue(self, key: PublishKey, envelopes: list[Envelope], sink: Sink) -> None:
        """Queue publishes; ``sink`` hears of the end of each.

        Raises:
            Busy: there is no room for all of them; none was queued.
        """
        if self.ledger.publish(key, envelopes, sink) and self._dialler is not None:
            self._dialler.wake()

    def send(self, frame: ClientFrame) -> bool:
        """Send a control frame; False when no connection stands."""
        return self._dialler is not None and self._dialler.send(frame)

    def next_number(self) -> int:
        """Return a number that nothing of this client bears yet."""
        return next(self._numbers)

    # --- the connection's events ---

    def session_up(self, greeting: Connected) -> None:
        """A connection stands: subscriptions come back, and what waits is written."""
        self._pid = Pid(greeting.node, greeting.epoch, greeting.number)
        self.ledger.limit_frames(greeting.limits.get("max_frame", self.ledger.frame_max))
        self.feeds.begin()
        self.watches.begin()
        assert self._dialler is not None
        self._dialler.wake()
        self._changes.notify()

    def session_down(self, reason: str) -> None:
        """It is gone: what was written and not answered is unknown, what was not written waits for the next one."""
        self.ledger.lost(OutcomeUnknown(f"the connection was lost: {reason}"))
        self.processes.lost()
        self.watches.lost()
        self._changes.notify()

    def session_frame(self, frame: ClientFrame) -> None:
        """A frame came."""
        match frame:
            case Deliver() | ClientGap() | Anchored():
                self.feeds.take(frame)
                return
            case Confirm():
                self.ledger.confirm(frame)
            case Failure():
                self.ledger.fail(range(frame.ref, frame.ref + frame.count), error_of(frame.error, frame.fields))
            case ClientOutcome() | Subscribed() | Reply():
                self.ledger.answered(frame.ref).answer(frame)
            case Ended():
                self.feeds.ended(frame)
            case ExitProcess():
                self.processes.exited(frame)
            case ProcessGone():
                self.watches.gone(frame)
            case GroupNews() | MemberNews():
                self.watches.news(frame)
        self._changes.notify()

    def session_pull(self, bytes_max: int) -> list[bytes]:
        """Return publishes to write."""
        crowded = self.ledger.crowded
        frames = self.ledger.take(bytes_max)
        if crowded and not self.ledger.crowded:
            self._changes.notify()
        return frames

    # --- helpers ---

    def _end(self) -> None:
        """Take nothing more, and end what iterates."""
        if not self._closed:
            self._closed = True
            self.watches.close()
            self.feeds.end(None)

    def _broke(self, task: asyncio.Task[None]) -> None:
        """The keeper of the connection broke: that is a defect, and nobody may wait for it in vain."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._closed = True
            self.ledger.close(error)
            self.processes.lost()
            self.watches.close()
            self.feeds.end(error)
            self._changes.notify()

    async def connected(self, timeout_s: float) -> bool:
        """Wait for a connection, if it is being made again: what is given up meanwhile was never queued."""
        dialler = self._dialler
        assert dialler is not None
        if dialler.connected:
            return True
        deadline = asyncio.get_running_loop().time() + min(timeout_s, FOREVER_S)
        await self._changes.until(lambda: self._closed or dialler.connected, deadline)
        self.raise_if_closed()
        return dialler.connected
