"""The listener for clients: who may come in, who is there, and what happens on their connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from liminal_mesh.cluster import Address, Listener, Notices, Pid, ProtocolError, Wire

from .config import LimitsConfig
from .connection import Connection
from .errors import LimitExceeded
from .hub import Hub
from .processes import NO_CONNECTION, SHUTDOWN
from .values import ClientConnection

__all__ = ["Server"]

log = logging.getLogger("liminal.server")

SILENCE_S: Final = 45.0
"""A client that sent nothing for so long, not even a keepalive, is gone."""

NAMED_MAX: Final = 16
"""How many clients an event names, that is about many."""

CHECK_S: Final = 5.0
"""How often silence and unread writes are looked for, by one timer for all connections."""

FORCE_S: Final = 3.0
"""How long a connection that is closed by force may take to be gone: more than a wire waits before it breaks off."""


class Server:
    """Owns the connections of clients. The events of their wires arrive here.

    Args:
        hub: the node's middle.
        listener: where clients connect.
        limits: the node's bounds.
        verbs: what a client may ask for by name, as a function of who asks and of the arguments (msgpack), which asks
            for permission; it may be awaitable.
        version: of this program, for the greeting.
    """

    def __init__(
        self,
        hub: Hub,
        listener: Listener,
        limits: LimitsConfig,
        verbs: Mapping[str, Callable[[Pid, bytes], object]],
        version: str,
    ) -> None:
        self.hub = hub
        self.limits = limits
        self.version = version
        self.loop = asyncio.get_running_loop()
        self.unknown_frames = 0
        self.refusals: dict[str, int] = {}
        self.connections: dict[int, Connection] = {}
        """The clients that are here, by the tags of their wires."""
        self._wires: set[int] = set()
        """The tags of all wires that stand, also of those whose last words are still being written."""
        self._listener = listener
        self._verbs = verbs
        self._newcomers: dict[int, asyncio.TimerHandle] = {}
        self._notices = Notices()
        self._tags = 0
        self._check: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Accept clients until cancelled."""
        try:
            await self._listener.run(self._accepted)
        finally:
            self.close("the node stops")

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written to any client."""
        return not any(one.deliveries.waiting for one in self.connections.values())

    def give_up(self) -> None:
        """Wait no longer for clients that do not take what is theirs; they are told what they miss."""
        for connection in self.connections.values():
            connection.deliveries.give_up()

    def stop_listening(self) -> None:
        """Take nobody new."""
        self._listener.close()

    def close(self, reason: str) -> None:
        """End every connection, with a reason."""
        self._listener.close()
        if self._check is not None:
            self._check.cancel()
        for connection in tuple(self.connections.values()):
            connection.close("draining", reason, SHUTDOWN)

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
            self.hub.note("clients_disconnected", reason=reason, count=len(connections), clients=named)
        tags = {connection.wire.tag for connection in connections}
        await self.hub.until(lambda: not (tags & self._wires), self.loop.time() + FORCE_S)
        return len(connections)

    def left(self, connection: Connection) -> None:
        """A connection is over, though its last words may not be written yet."""
        self.connections.pop(connection.wire.tag, None)

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
        self._let_in(connection.wire)
        connection.wire.buffer.limit = self.limits.max_frame
        if self._check is None:
            self._check = self.loop.call_later(CHECK_S, self._look_around)

    def refused(self, code: str, connection: Connection, reason: str) -> None:
        """Count a connection that was not let in, or was cut off, and log it unless the like was logged just now."""
        self.refusals[code] = self.refusals.get(code, 0) + 1
        facts = {"code": code, "from": connection.wire.peer_address, "why": reason}
        notice = self._notices.take("warning", "client_refused", code, self.loop.time(), **facts)
        if notice is not None:
            self.hub.note(notice.event, level=notice.level, **notice.fields)

    # --- the wires' events ---

    def _accepted(self) -> Wire:
        wire = Wire(self.loop, self, self.limits.preauth_frame)
        self._tags += 1
        wire.tag = self._tags
        return wire

    def wire_opened(self, wire: Wire) -> None:
        """A client has connected."""
        now = self.hub.environment.wall_ns() / 1e9
        connection = Connection(self, wire, now, self.loop.time())
        self._wires.add(wire.tag)
        self.connections[wire.tag] = connection
        self._listener.hold(wire.tag, wire.peer_host, partial(self._crowded_out, connection))
        self._newcomers[wire.tag] = self.loop.call_later(self.limits.handshake_timeout, self._too_slow, connection)
        refusal = self._full(wire)
        if refusal is not None:
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
            self.hub.events.broke("connection_crashed", error, pid=str(connection.pid), frame=f"{kind:#04x}")
            connection.crashed(error)

    def wire_broken(self, wire: Wire, error: ProtocolError) -> None:
        """The client broke the protocol."""
        self.connections[wire.tag].refuse("protocol", str(error))

    def wire_closed(self, wire: Wire, reason: str) -> None:
        """A connection is gone."""
        self._let_in(wire)
        connection = self.connections.get(wire.tag)
        if connection is not None:
            connection.end(NO_CONNECTION)
        self._wires.discard(wire.tag)
        self.hub.mesh_changed()
        log.debug("client gone", extra={"fields": {"from": wire.peer_address, "why": reason}})

    def wire_paused(self, wire: Wire) -> None:
        """What is written waits; it is pulled again when there is room."""

    def wire_pull(self, wire: Wire, bytes_max: int) -> list[bytes]:
        """Return data to write."""
        connection = self.connections.get(wire.tag)
        if connection is None:
            return []
        frames = connection.deliveries.pull(bytes_max)
        if self.hub.draining:
            self.loop.call_soon(self.hub.mesh_changed)
        return frames

    def _let_in(self, wire: Wire) -> None:
        timer = self._newcomers.pop(wire.tag, None)
        if timer is not None:
            timer.cancel()
            self._listener.release(wire.tag)

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

    def _too_slow(self, connection: Connection) -> None:
        connection.refuse("handshake", f"no greeting within {self.limits.handshake_timeout:g} s")

    def _crowded_out(self, connection: Connection) -> None:
        connection.refuse("crowded", "others wait for the place of a connection that has not greeted")

    def _look_around(self) -> None:
        self._check = None
        now = self.loop.time()
        for connection in tuple(self.connections.values()):
            blocked = connection.wire.blocked_since
            if blocked is not None and now - blocked > self.limits.write_deadline:
                self.refused("write-deadline", connection, "it does not read what was written to it")
                connection.wire.abort("it does not read what was written to it")
            elif now - connection.heard_at > SILENCE_S:
                connection.refuse("keepalive", f"nothing was heard for {SILENCE_S:g} s")
        if self.connections:
            self._check = self.loop.call_later(CHECK_S, self._look_around)
