"""The listener for clients: who may come in, who is there, and what happens on their connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from liminal_mesh.cluster import Address, Listener, Notices, Pid, ProtocolError, Wire

from .backing import Backing
from .config import LimitsConfig
from .connection import Connection
from .errors import LimitExceeded
from .inbox import Budget
from .lines import write_line
from .processes import NO_CONNECTION, SHUTDOWN
from .values import ClientConnection
from .vigil import SILENCE_S, Vigil
from .waits import Alarm

__all__ = ["Server"]

log = logging.getLogger("liminal.server")

NAMED_MAX: Final = 16
"""How many clients an event names, that is about many."""

FORCE_S: Final = 3.0
"""How long a connection that is closed by force may take to be gone: more than a wire waits before it breaks off."""


class Server:
    """Owns the connections of clients. The events of their wires arrive here.

    Args:
        bus: the node behind the connections.
        listener: where clients connect.
        limits: the node's bounds.
        verbs: what a client may ask for by name, as a function of who asks and of the arguments (msgpack), which asks
            for permission; it may be awaitable.
        version: of this program, for the greeting.
    """

    def __init__(
        self,
        bus: Backing,
        listener: Listener,
        limits: LimitsConfig,
        verbs: Mapping[str, Callable[[Pid, bytes], object]],
        version: str,
    ) -> None:
        self.bus = bus
        self.limits = limits
        self.version = version
        self.loop = asyncio.get_running_loop()
        self.unknown_frames = 0
        self.slowed = Budget(limits.slowed_bytes_node)
        """What all connections together have waiting on channels that are slowed."""
        self.refusals: dict[str, int] = {}
        self.connections: dict[int, Connection] = {}
        """The clients that are here, by the tags of their wires."""
        self._wires: dict[int, Wire] = {}
        """All wires that stand, also those whose last words are still being written, by their tags."""
        self._listener = listener
        self._verbs = verbs
        self._vigil = Vigil(self.connections, limits.handshake_timeout, limits.write_deadline)
        self._alarm = Alarm(self._look)
        self._lapses = {
            "handshake": f"no greeting came within {limits.handshake_timeout:g} s (limits.handshake_timeout)",
            "keepalive": f"nothing was heard for {SILENCE_S:g} s",
            "write-deadline": f"nothing was read for {limits.write_deadline:g} s (limits.write_deadline)",
        }
        self._notices = Notices()
        self._tags = 0
        self._closed = ""
        """Why nobody new is taken any more."""

    async def run(self) -> None:
        """Accept clients, and serve them until cancelled."""
        try:
            await self._listener.run(self._accepted, self.bus.events.notice)
            await self.loop.create_future()  # it may end before those do whom it has accepted
        finally:
            self.close("the node stops")

    def stop_listening(self, reason: str) -> None:
        """Take nobody new; who is being accepted in this moment is told the reason."""
        self._closed = self._closed or reason
        self._listener.close()

    def close(self, reason: str) -> None:
        """End every connection, with a reason."""
        self.stop_listening(reason)
        for connection in tuple(self.connections.values()):
            connection.close("draining", reason, SHUTDOWN, self.bus.others())
        self._alarm.close()

    def abort(self) -> None:
        """Break off what still stands, whatever is left to be written."""
        for wire in tuple(self._wires.values()):
            wire.abort("it did not take its last words in time")

    @property
    def empty(self) -> bool:
        """Whether no connection stands, not even one that is over and being written out."""
        return not self._wires

    def listed(self) -> tuple[ClientConnection, ...]:
        """Return the connections of clients, in the order in which they came."""
        return tuple(connection.view() for connection in self.connections.values())

    async def disconnect(self, pid: Pid, reason: str) -> bool:
        """End a client's connection; returns False if there is none with this pid.

        When this returns the client has the reason, unless it does not read: then the connection is broken off.
        """
        return bool(await self._force([one for one in self.connections.values() if one.pid == pid], reason))

    async def disconnect_all(self, reason: str) -> int:
        """End all connections of clients as :meth:`disconnect` does; returns how many."""
        return await self._force(list(self.connections.values()), reason)

    async def _force(self, connections: list[Connection], reason: str) -> int:
        for connection in connections:
            connection.close("closed", reason, f"error: disconnected: {reason}")
        if connections:
            named = [str(connection.pid) for connection in connections[:NAMED_MAX]]
            self.bus.events.note("clients_disconnected", reason=reason, count=len(connections), clients=named)
        tags = {connection.wire.tag for connection in connections}
        await self.bus.until(lambda: not (tags & self._wires.keys()), self.loop.time() + FORCE_S)
        return len(connections)

    def left(self, connection: Connection) -> None:
        """A connection is over, though its last words may not be written yet."""
        self.connections.pop(connection.wire.tag, None)
        self._vigil.gone(connection.wire.tag)

    def told(self, connection: Connection) -> None:
        """It was told that the node leaves."""
        self._vigil.told(connection.wire.tag, self.loop.time())
        self._alarm.set(self._vigil.next_at)

    def answer(self, who: Pid, verb: str, arguments: bytes) -> object:
        """Answer a client's request.

        Raises:
            NotAuthorized: the client may not ask this.
            ProtocolError: there is no such verb, or these are no arguments of it.
        """
        function = self._verbs.get(verb)
        if function is None:
            raise ProtocolError(f"this node knows no request {verb!r}")
        return function(who, arguments)

    def opened(self, connection: Connection) -> None:
        """A newcomer has said who it is."""
        self._listener.release(connection.wire.tag)
        connection.wire.buffer.let_in(self.limits.max_frame)
        self._vigil.let_in(connection.wire.tag, self.loop.time())
        self._alarm.set(self._vigil.next_at)

    def refused(self, code: str, connection: Connection, reason: str) -> None:
        """Count a connection that was not let in, or was cut off, and log it unless the like was logged just now."""
        self.refusals[code] = self.refusals.get(code, 0) + 1
        facts = {"code": code, "from": connection.wire.peer_address, "why": reason}
        notice = self._notices.take("warning", "client_refused", code, self.loop.time(), **facts)
        if notice is not None:
            self.bus.events.notice(notice)

    # --- the wires' events ---

    def _accepted(self) -> Wire:
        wire = Wire(self.loop, self, self.limits.preauth_frame)
        self._tags += 1
        wire.tag = self._tags
        return wire

    def wire_opened(self, wire: Wire) -> None:
        """A client has connected."""
        now = self.bus.environment.wall_ns() / 1e9
        connection = Connection(self, wire, now, self.loop.time())
        self._wires[wire.tag] = wire
        self.connections[wire.tag] = connection
        self._listener.hold(wire.tag, wire.peer_host, partial(self._crowded_out, connection))
        self._vigil.arrived(wire.tag, self.loop.time())
        self._alarm.set(self._vigil.next_at)
        refusal = self._full(wire)
        if self._closed:
            connection.close("draining", self._closed, SHUTDOWN, self.bus.others())
        elif refusal is not None:
            connection.refuse(refusal.name, str(refusal))

    def wire_heard(self, wire: Wire) -> None:
        """Some bytes came."""
        self.connections[wire.tag].heard_at = self.loop.time()

    def wire_frame(self, wire: Wire, kind: int, body: memoryview) -> None:
        """A frame came."""
        connection = self.connections[wire.tag]
        try:
            connection.frame(kind, body)
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - a defect of ours costs this connection, and no other
            connection.crashed(error, frame=f"{kind:#04x}")

    def wire_broken(self, wire: Wire, error: ProtocolError) -> None:
        """The client broke the protocol."""
        self.connections[wire.tag].refuse("protocol", str(error))

    def wire_closed(self, wire: Wire, reason: str) -> None:
        """A connection is gone."""
        self._listener.release(wire.tag)
        connection = self.connections.get(wire.tag)
        if connection is not None:
            connection.end(NO_CONNECTION)
        self._wires.pop(wire.tag, None)
        self.bus.changed()
        write_line(log, logging.DEBUG, "client_gone", {"from": wire.peer_address, "why": reason})

    def wire_paused(self, wire: Wire) -> None:
        """What is written waits; it is pulled again when there is room, and not for ever."""
        if wire.tag in self.connections:
            self._vigil.blocked(wire.tag, self.loop.time())
            self._alarm.set(self._vigil.next_at)

    def wire_pull(self, wire: Wire, bytes_max: int) -> list[bytes]:
        """Return data to write."""
        connection = self.connections.get(wire.tag)
        if connection is None:
            return []
        try:
            return connection.deliveries.pull(bytes_max)
        except Exception as error:  # noqa: BLE001 - else nothing would ever be written to this client again
            self.loop.call_soon(connection.crashed, error)  # not amid a write: its last word would not be in it
            return []

    def _full(self, wire: Wire) -> LimitExceeded | None:
        if len(self.connections) > self.limits.connections:
            return LimitExceeded("connections", self.limits.connections)
        host = wire.peer_host
        explicit = "connections_per_ip" in self.limits.model_fields_set
        if explicit or not Address(host, 0).loopback:
            same = sum(1 for one in self.connections.values() if one.wire.peer_host == host)
            if same > self.limits.connections_per_ip:
                return LimitExceeded("connections_per_ip", self.limits.connections_per_ip)
        return None

    def _crowded_out(self, connection: Connection) -> None:
        connection.refuse("crowded", "others waited for the place of one that had not greeted (limits.handshakes)")

    def _look(self) -> float:
        for tag, lapse in self._vigil.due(self.loop.time()):
            connection = self.connections[tag]
            if lapse == "leave":
                connection.end(SHUTDOWN)
                continue
            connection.refuse(lapse, self._lapses[lapse])
            if lapse == "write-deadline":  # it would not read the last word either
                connection.wire.abort(self._lapses[lapse])
        return self._vigil.next_at
