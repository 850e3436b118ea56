"""What a client keeps of its connection to a node: who waits for what, and what comes back on the next one."""

from __future__ import annotations

import asyncio
import os
import socket
from itertools import count
from types import TracebackType
from typing import Final, Self

from liminal_mesh.cluster import (
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
    MemberNews,
    Pid,
    ProcessGone,
    Reply,
    Subscribed,
)

from .causal import CausalBounds
from .client_processes import ClientProcesses
from .client_requests import Requests
from .client_sinks import PublishKey, Sink, error_of
from .client_watches import ClientWatches
from .dialler import Dialler
from .environment import Environment
from .errors import NoConnection, OutcomeUnknown
from .feed_table import FeedTable
from .ledger import Ledger
from .url import parse_url
from .waits import FOREVER_S, Signal

__all__ = ["ClientSession"]

CLOSE_S: Final = 5.0
"""How long closing waits for answers that the node owes."""


class ClientSession:
    """A client without its verbs: it reconnects by itself, and what stands at its node comes back with it.

    Args:
        url: where its nodes are.
        name: what it calls itself; the host and the process when it is None.
        environment: the world around it.
    """

    def __init__(self, url: str, name: str | None, environment: Environment) -> None:
        self._addresses = parse_url(url)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name={name!r}: give a text, by which the node shows the client")
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._environment = environment
        self._dialler: Dialler | None = None
        self._task: asyncio.Task[None] | None = None
        self._pid: Pid | None = None
        self.ledger = Ledger()
        self.causal_bounds = CausalBounds()
        self._numbers = count(1)
        self.where = ", ".join(map(str, self._addresses))
        self.feeds = FeedTable(self.ledger, self.send, self.where)
        self.requests = Requests(self.ledger, self.send, self.raise_if_closed, self.where)
        self._changes = Signal()
        self._closing: asyncio.Task[None] | None = None
        self._closed = False
        self.processes = ClientProcesses(self)
        self.watches = ClientWatches(self)

    async def __aenter__(self) -> Self:
        if self._dialler is not None:
            raise RuntimeError("the client was entered already: make another one with connect()")
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

    def __repr__(self) -> str:
        connected = self._dialler is not None and self._dialler.connected and self._pid is not None
        return f"<Client of {self.where} {f'connected to {self.pid.node}' if connected else 'not connected'}>"

    @property
    def pid(self) -> Pid:
        """The process that this client's connection is, at the node it is connected to now."""
        if self._pid is None:
            raise RuntimeError("the client is not connected: use it within 'async with'")
        return self._pid

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

    # --- the connection's events ---

    def session_up(self, greeting: Connected) -> None:
        """A connection stands: subscriptions come back, and what waits is written."""
        self._pid = Pid(greeting.node, greeting.epoch, greeting.number)
        self.ledger.limit_frames(greeting.limits.get("max_frame", self.ledger.frame_max))
        self.causal_bounds = CausalBounds.told(greeting.limits)
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

    def session_owed(self) -> bool:
        """Whether the node owes an answer to something that was written."""
        return self.ledger.owed

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
