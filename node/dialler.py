"""A client's connection, made again whenever it is lost: who to call next, and what to tell when it stands."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from liminal_mesh.cluster import (
    CLIENT_CODEC,
    CLIENT_FRAMES,
    CLIENT_PROTO,
    Address,
    ClientFrame,
    Connect,
    Connected,
    Disconnect,
    KeepAlive,
    KeepAliveReply,
    ProtocolError,
    Wire,
    parse_address,
)

from .environment import Environment
from .errors import NoConnection
from .lines import write_line
from .waits import Alarm

__all__ = ["Dialler", "Session"]

log = logging.getLogger("liminal.client")

FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest frame taken from a node, whatever its own limit is."""

CONNECT_S: Final = 5.0
"""What a connection and its greeting may take."""

KEEPALIVE_S: Final = 15.0
SILENCE_S: Final = 30.0
"""A node that has not answered a keepalive for so long is gone."""

BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 30.0

STABLE_S: Final = 5.0
"""A connection that stood for so long was a good one: the pauses begin anew."""


class Session(Protocol):
    """The client, as its connection sees it. Calls come from the loop, and must not block."""

    def session_up(self, greeting: Connected) -> None:
        """A connection stands."""

    def session_down(self, reason: str) -> None:
        """It is gone; another one is being made."""

    def session_frame(self, frame: ClientFrame) -> None:
        """A frame came; raises ProtocolError when it makes no sense."""

    def session_owed(self) -> bool:
        """Whether the node owes an answer."""

    def session_pull(self, bytes_max: int) -> list[bytes]:
        """Return data to write."""


class Dialler:
    """Keeps one connection to one of several nodes.

    Args:
        addresses: tried in turn.
        session: gets what happens.
        name: what the client calls itself.
        environment: the world around it.
    """

    def __init__(self, addresses: Sequence[Address], session: Session, name: str, environment: Environment) -> None:
        self._addresses = addresses
        self._session = session
        self._name = name
        self._network = environment.network
        self._jitter = environment.jitter()
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._greeting: asyncio.Future[Connected] | None = None
        self._lost: asyncio.Future[str] | None = None
        self._next = 0
        self._heard_at = 0.0
        self._keepalives = 0
        self._alarm = Alarm(self._keepalive)
        self._goodbye = ""
        self._leaving = False
        """Whether the node leaves, and what it still owes is waited for."""
        self._others: list[Address] = []
        """Where the last node that left said that its clients can go."""

    @property
    def connected(self) -> bool:
        """Whether a connection stands that takes anything new."""
        return self._wire is not None and self._lost is not None and not self._leaving

    async def connect(self) -> None:
        """Try each address once: those that were configured, then those that a node which left has named.

        Raises:
            NoConnection: none of them answered; it says what each said.
        """
        reasons = []
        for address in self._round():
            try:
                return await self._open(address)
            except NoConnection as error:
                reasons.append(f"{address}: {error.reason}")
            except (OSError, ProtocolError) as error:
                reason = f"no answer within {CONNECT_S:g} s" if isinstance(error, TimeoutError) else str(error)
                reasons.append(f"{address}: {getattr(error, 'strerror', None) or reason}")
        where, said = ", ".join(map(str, self._addresses)), "; ".join(reasons)
        raise NoConnection(where, said.removeprefix(f"{where}: "))

    def _round(self) -> Iterator[Address]:
        for _ in self._addresses:
            self._next += 1
            yield self._addresses[(self._next - 1) % len(self._addresses)]
        yield from [address for address in self._others if address not in self._addresses]

    async def run(self) -> None:
        """Keep the connection, made by :meth:`connect`, until cancelled."""
        backoff = BACKOFF_FIRST_S
        try:
            while True:
                if self._lost is not None:
                    since = self._loop.time()
                    reason = await self._lost
                    self._lost = None
                    write_line(log, logging.WARNING, "connection_lost", {"why": reason})
                    self._session.session_down(reason)
                    if self._loop.time() - since > STABLE_S:
                        backoff = BACKOFF_FIRST_S
                # Full jitter, so that the clients of a node that restarts do not come back all at once.
                await asyncio.sleep(self._jitter.uniform(0, backoff))
                backoff = min(backoff * 2, BACKOFF_MAX_S)
                try:
                    await self.connect()
                except NoConnection as error:
                    write_line(log, logging.INFO, "not_connected", {"to": error.node, "why": error.reason})
        finally:
            self.close()

    def close(self) -> None:
        """Leave the node, if a connection stands, so that it need not take the client for lost."""
        self._alarm.close()
        if self._wire is not None:
            wire, self._wire = self._wire, None
            self._part(wire, "the client closed")

    def send(self, frame: ClientFrame) -> bool:
        """Send a control frame; False when no connection stands."""
        if self._wire is None or not self.connected:
            return False
        self._wire.send(CLIENT_CODEC.encode(frame))
        return True

    def wake(self) -> None:
        """Say that there is data to pull."""
        if self._wire is not None:
            self._wire.wake()

    async def _open(self, address: Address) -> None:
        wire = Wire(self._loop, self, FRAME_BYTES_MAX)
        wire.buffer.let_in(FRAME_BYTES_MAX)
        self._greeting = self._loop.create_future()
        self._goodbye, self._leaving = "", False
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._network.connect(lambda: wire, address)
                self._wire = wire
                wire.send(CLIENT_CODEC.encode(Connect(*CLIENT_PROTO, self._name)))
                greeting = await self._greeting
        except BaseException:
            self._wire = None
            wire.abort("not connected")
            raise
        finally:
            self._greeting = None
        if self._wire is not wire:
            raise NoConnection(str(address), self._goodbye or "closed after its greeting")
        self._lost = self._loop.create_future()
        self._heard_at = self._loop.time()
        self._alarm.set(self._heard_at + KEEPALIVE_S)
        write_line(log, logging.INFO, "connected", {"node": greeting.node, "address": str(address)})
        self._session.session_up(greeting)

    def _keepalive(self) -> float:
        """Ask the node for a sign of life, or give it up; return when to look again."""
        assert self._wire is not None, "the alarm ends with the connection"
        now = self._loop.time()
        if now - self._heard_at > SILENCE_S:
            self._wire.abort(f"nothing was heard for {SILENCE_S:g} s")
            return math.inf
        self._keepalives += 1
        self.send(KeepAlive(self._keepalives))
        return now + KEEPALIVE_S

    # --- the wire's events ---

    def wire_opened(self, wire: Wire) -> None:
        """The connection stands; the greeting is awaited by who dialled."""

    def wire_heard(self, wire: Wire) -> None:
        """Some bytes came."""
        self._heard_at = self._loop.time()

    def wire_frame(self, wire: Wire, kind: int, body: memoryview) -> None:
        """A frame came."""
        row = CLIENT_FRAMES.get(kind)
        if row is None:
            return  # of a later version: skipped by its length
        state = "connect" if self._lost is None else "open"
        if row.senders == "client" or state not in row.states:
            raise ProtocolError(f"{row.kind.__name__} from a node in state {state!r}")
        frame = CLIENT_CODEC.decode(kind, body)
        assert isinstance(frame, ClientFrame)
        if isinstance(frame, Disconnect):
            self._told(wire, frame)
        elif isinstance(frame, Connected):
            if self._greeting is not None and not self._greeting.done():
                self._greeting.set_result(frame)
        elif not isinstance(frame, KeepAliveReply):
            self._session.session_frame(frame)
            if self._leaving:
                self._leave(wire)

    def _told(self, wire: Wire, frame: Disconnect) -> None:
        """The node has said its last word. One that leaves still answers what it was asked, and names other nodes."""
        self._goodbye = f"the node said: {frame.reason}"
        if frame.code != "draining":
            wire.close(self._goodbye)
            return
        self._others = [address for text in frame.others if (address := _address(text)) is not None]
        self._leaving = True
        self._leave(wire)

    def _leave(self, wire: Wire) -> None:
        if self._lost is None or not self._session.session_owed():
            self._part(wire, self._goodbye)

    @staticmethod
    def _part(wire: Wire, reason: str) -> None:
        wire.send(CLIENT_CODEC.encode(Disconnect("leave", reason)))
        wire.close(reason)

    def wire_broken(self, wire: Wire, error: ProtocolError) -> None:
        """The node broke the protocol; before it has greeted it may be none."""
        what = "the node broke the protocol" if self._greeting is None else "what answers is no node's port for clients"
        reason = f"{what}: {error}"
        write_line(log, logging.WARNING, "protocol_error", {"why": reason})
        wire.abort(reason)

    def wire_closed(self, wire: Wire, reason: str) -> None:
        """The connection is gone."""
        if wire is not self._wire:
            return
        self._alarm.close()
        self._wire = None
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(NoConnection("the node", self._goodbye or reason))
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(self._goodbye or reason)

    def wire_paused(self, wire: Wire) -> None:
        """What is written waits; it is pulled again when there is room."""

    def wire_pull(self, wire: Wire, bytes_max: int) -> list[bytes]:
        """Return data to write."""
        return self._session.session_pull(bytes_max) if self.connected else []


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except ValueError:  # of a later version, perhaps: the others will do
        return None
