"""The shell of the control links: connections and one timer around the core in ``control``.

Everything here runs on one loop. What the mesh hands in and is told goes through the few calls below.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from .control import Control, ControlEffect
from .control_frames import CONTROL_CODEC, CONTROL_FRAMES, CONTROL_HELLO
from .crashes import Crashes
from .effects import Close, Failed, Notice, Send
from .errors import ProtocolError
from .frame import LinkFrame
from .identity import NodeId
from .link import MeshLimits
from .membership import MemberChanged
from .outbound import Outbound
from .swim import Departed, DialAddress, DialOutcome, Doubt, LinkLoss, SwimEffect
from .wire import Wire

__all__ = ["ControlOwner", "ControlPlane"]

log = logging.getLogger("liminal.membership")

_OUTCOMES: Final[Mapping[str, DialOutcome]] = {"nothing-listens": "refused", "timeout": "timeout"}
"""What the codes of failed connections prove; all others: that there is no way."""


class ControlOwner(Protocol):
    """Who hears what the nodes say of each other. Calls come from the loop, and must not block."""

    def member_changed(self, change: MemberChanged) -> None:
        """The view of the mesh changed."""

    def member_doubted(self, name: str) -> None:
        """A member did not answer in time."""

    def member_departed(self) -> None:
        """Our goodbye is told."""

    def mesh_failed(self, error: Exception) -> None:
        """The node cannot go on in this mesh."""

    def mesh_noticed(self, notice: Notice) -> None:
        """Something happened that is worth telling."""


class ControlPlane:
    """Owns the control links of a node.

    Args:
        core: decides everything.
        outbound: makes connections.
        limits: bounds.
        owner: gets what becomes known.
    """

    def __init__(
        self,
        core: Control,
        outbound: Outbound,
        limits: MeshLimits,
        owner: ControlOwner,
    ) -> None:
        self._core = core
        self._owner = owner
        self._crashes = Crashes(owner.mesh_noticed)
        self._outbound = outbound
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._wires: dict[int, Wire] = {}
        self._tags = 0
        self._adopting: set[socket.socket] = set()
        """Connections that were handed over, and have no wire yet."""
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Keep links until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._schedule()
                await asyncio.get_running_loop().create_future()
        finally:
            self._tasks = None
            if self._timer is not None:
                self._timer.cancel()
            for wire in tuple(self._wires.values()):
                wire.abort("the node stops")
            for sock in self._adopting:
                sock.close()

    # --- what the mesh hands in ---

    def take(self, wire: Wire, body: memoryview) -> None:
        """Take over a connection whose first frame says that it is to be a control link."""
        wire.hand_over(self, self._number())
        self._wires[wire.tag] = wire
        self.wire_opened(wire)
        self._do(self._core.accepted(wire.tag, wire.peer_host, self._loop.time()))
        try:
            self.wire_frame(wire, CONTROL_HELLO, body)
        except ProtocolError as error:  # nobody above knows what to do with it: the wire did not call
            self.wire_broken(wire, error)

    def adopt(self, sock: socket.socket, body: bytes) -> None:
        """Do the same with one that comes as a socket."""
        if self._tasks is None:
            sock.close()
        else:
            self._adopting.add(sock)
            self._tasks.create_task(self._adopt(sock, body), name="control-adopt")

    def lagging(self, lag_s: float) -> None:
        """Note how far this node's main loop is behind."""
        self._core.swim.lagging(lag_s)

    def seeds(self, addresses: Iterable[str]) -> None:
        """Set the addresses that the seeds stand for."""
        self._tell(self._core.swim.seeds(addresses, self._loop.time()))

    def met(self, node: NodeId, address: str) -> None:
        """Note that a data link with a node stands."""
        self._tell(self._core.swim.met(node, address, self._loop.time()))

    def said_goodbye(self, node: NodeId) -> None:
        """Note that a node said over its data link that it leaves."""
        self._tell(self._core.swim.said_goodbye(node, self._loop.time()))

    def heard(self, name: str) -> None:
        """Note that bytes came from a member over its data link."""
        self._core.swim.heard(name, self._loop.time())

    def leave(self) -> None:
        """Say goodbye."""
        self._tell(self._core.swim.leave(self._loop.time()))

    # --- the wires' events ---

    def wire_opened(self, wire: Wire) -> None:
        """A connection stands (the dialler's side is told by the dial)."""
        wire.user_timeout(self._limits.user_timeout_s)

    def wire_heard(self, wire: Wire) -> None:
        """Some bytes came: the peer lives."""
        self._core.heard(wire.tag, self._loop.time())

    def wire_frame(self, wire: Wire, kind: int, body: memoryview) -> None:
        """A frame came. A defect of ours that it meets costs its connection, and no other."""
        try:
            self._take(wire, kind, body)
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - it is told with its traceback
            self._crashes.met(wire, self._core.who(wire.tag), kind, error, self._loop.time())

    def _take(self, wire: Wire, kind: int, body: memoryview) -> None:
        if kind not in CONTROL_FRAMES:
            self._core.unknown(wire.tag, kind)
            return
        state = self._core.state(wire.tag)
        frame = CONTROL_CODEC.decode(kind, body)
        assert isinstance(frame, LinkFrame)
        self._do(self._core.received(wire.tag, kind, frame, self._loop.time()))
        if state != "session" and self._core.state(wire.tag) in {"greeting", "session"}:
            wire.buffer.let_in(self._limits.frame)

    def wire_broken(self, wire: Wire, error: ProtocolError) -> None:
        """The peer broke the protocol: the core closes it, and says so."""
        self._do(self._core.broken(wire.tag, error, self._loop.time()))

    def wire_closed(self, wire: Wire, reason: str) -> None:
        """A connection is gone."""
        if self._wires.pop(wire.tag, None) is not None:
            loss: LinkLoss = "silent" if wire.silent else "reset"
            self._do(self._core.closed(wire.tag, loss, self._loop.time()))

    def wire_paused(self, wire: Wire) -> None:
        """A peer does not take what we write; it is found dead by its silence, or the kernel gives up."""

    def wire_pull(self, wire: Wire, bytes_max: int) -> list[bytes]:
        """There is no data on a control link."""
        return []

    # --- the core's effects ---

    def _do(self, effects: list[ControlEffect]) -> None:
        for effect in effects:
            match effect:
                case Send(conn, frame):
                    if conn in self._wires:
                        self._wires[conn].send(CONTROL_CODEC.encode(frame))
                case Close(conn, reason):
                    if conn in self._wires:
                        self._wires[conn].close(reason)
                case DialAddress():
                    if self._tasks is not None:
                        self._tasks.create_task(self._dial(effect), name=f"control-{effect.name or effect.address}")
                case MemberChanged():
                    self._owner.member_changed(effect)
                case Doubt(name):
                    self._owner.member_doubted(name)
                case Departed():
                    self._owner.member_departed()
                case Failed(error):
                    self._owner.mesh_failed(error)
                case Notice():
                    self._owner.mesh_noticed(effect)
        self._schedule()

    async def _dial(self, dial: DialAddress) -> None:
        wire = Wire(self._loop, self, self._limits.preauth)
        failure = await self._outbound.connect(wire, dial.name, dial.address, dial.timeout_s)
        if failure is not None:
            outcome = _OUTCOMES.get(failure[0], "unreachable")
            self._do(self._core.dial_failed(dial, outcome, self._loop.time()))
            return
        wire.tag = self._number()
        self._wires[wire.tag] = wire
        self._do(self._core.dialed(wire.tag, dial, self._loop.time()))

    async def _adopt(self, sock: socket.socket, body: bytes) -> None:
        wire = Wire(self._loop, self, self._limits.preauth)
        try:
            await self._loop.connect_accepted_socket(lambda: wire, sock)
        except OSError as error:  # it went away meanwhile
            sock.close()
            log.debug("a control connection was lost while it was handed over: %s", error)
            return
        finally:
            self._adopting.discard(sock)
        self.take(wire, memoryview(body))

    def _number(self) -> int:
        self._tags += 1
        return self._tags

    # --- time ---

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._core.next_tick(), self._tick) if self._tasks is not None else None

    def _tell(self, effects: list[SwimEffect]) -> None:
        self._do(self._core.carry_out(effects, self._loop.time()))

    def _tick(self) -> None:
        self._timer = None
        self._do(self._core.tick(self._loop.time()))
