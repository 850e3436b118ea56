"""The shell of the mesh: sockets, timers and tasks around the core in ``peering``, and one link for each peer.

Whatever happens is told to the core as it happens, in the loop's turn in which it happens; the effects that the core
returns are carried out before anything else is looked at. Frames with publishes, and those about processes, do not pass
through the core: they go from the link straight to the bus, if the link's session is the current one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from .codec import LINK_CODEC
from .control_frames import CONTROL_HELLO
from .control_plane import ControlOwner
from .control_thread import ControlDriver
from .crashes import Crashes
from .effects import Close, Dial, Effect, Failed, Notice, PeerLeaves, Resolve, SeedChanged, Send, SessionDown, SessionUp
from .errors import ProtocolError
from .first_round import FirstRound
from .frames import LINK_FRAMES, LinkFrame
from .identity import NodeId
from .lane_watch import LaneWatch
from .lanes import PeerLane
from .link import BusFrame, Link, MeshBus, MeshLimits
from .listener import Listener
from .membership import MemberChanged
from .offer_frames import Offer
from .outbound import Outbound
from .peering import Peering
from .publish_frames import Heads, Lost, Publish
from .registry import Registry
from .resolver import Resolver, resolve
from .seeds import parse_seed
from .wire import Wire

__all__ = ["Mesh"]

HEARD_S: Final = 0.1
"""How often the membership is told, at most, that bytes came from a peer."""

_FOR_BUS = {kind for kind, row in LINK_FRAMES.items() if issubclass(row.kind, BusFrame)}


class Mesh:
    """Owns the links of a node.

    Args:
        core: the session core; its seeds and advertised address are settled.
        control: makes what drives the membership.
        registry: the same one as the core's.
        bus: gets what arrives.
        me: this node.
        listener: where peers connect.
        outbound: makes connections.
        limits: bounds.
        resolver: who is asked what seeds stand for.
    """

    def __init__(
        self,
        core: Peering,
        control: Callable[[ControlOwner], ControlDriver],
        registry: Registry,
        bus: MeshBus,
        me: NodeId,
        listener: Listener,
        outbound: Outbound,
        limits: MeshLimits,
        resolver: Resolver,
    ) -> None:
        self._core = core
        self._registry = registry
        self._bus = bus
        self._me = me
        self._listener = listener
        self._limits = limits
        self._outbound = outbound
        self._resolver = resolver
        self._loop = asyncio.get_running_loop()
        self._wires: dict[int, Wire] = {}
        self._by_wire: dict[int, Link] = {}
        self.links: dict[str, Link] = {}
        self._tags = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._changed_scheduled = False
        self._watch = LaneWatch(self._loop, self.links, bus)
        self.departed = False
        """Whether the members have heard our goodbye, or had the time for it."""
        self._first = FirstRound()
        self._targets: dict[int, str] = {}
        self.unknown_frames = 0
        self._crashes = Crashes(bus.mesh_noticed)
        self._control = control(self)

    async def run(self) -> None:
        """Dial, accept and keep links until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._listener.run(self._accepted, self.mesh_noticed), name="mesh-accept")
                tasks.create_task(self._control.run(), name="control")
                effects = self._core.start(self._loop.time())
                self._first.begin(effects)
                self._do(effects)
                self._control.seeds(self._core.seeded())
                await asyncio.get_running_loop().create_future()
        finally:
            self._tasks = None
            self._listener.close()
            self._watch.close()
            if self._timer is not None:
                self._timer.cancel()
            for wire in tuple(self._wires.values()):
                wire.abort("the node stops")

    def changed(self) -> None:
        """This node's own registry has changed: tell the peers at the end of the turn."""
        if not self._changed_scheduled:
            self._changed_scheduled = True
            self._loop.call_soon(self._tell)

    def reseed(self, seeds: Sequence[str]) -> None:
        """Look for other nodes at other places from now on; links stand."""
        self._do(self._core.reseed(seeds, self._loop.time()))
        self._control.seeds(self._core.seeded())

    def drain(self, reason: str) -> None:
        """Tell the peers that this node leaves, and end the links when that is written."""
        self._do(self._core.drain(reason, self._loop.time()))
        for link in tuple(self.links.values()):
            link.wire.close(reason)
        self._control.leave()

    @property
    def tried(self) -> bool:
        """Whether each seed was looked up and dialled once, and it is known how that ended."""
        return self._first.over

    def wire_opened(self, wire: Wire) -> None:
        """A connection stands (the dialler's side is told by the dial)."""
        wire.user_timeout(self._limits.user_timeout_s)
        if wire.tag:  # those that are dialled get theirs later
            self._listener.hold(wire.tag, wire.peer_host, lambda: self._crowded_out(wire))

    def wire_heard(self, wire: Wire) -> None:
        """Some bytes came: the peer lives."""
        now = self._loop.time()
        self._core.heard(wire.tag, now)
        link = self._by_wire.get(wire.tag)
        if link is not None and now >= link.heard_at + HEARD_S:
            link.heard_at = now
            self._control.heard(link.peer.name)

    def wire_frame(self, wire: Wire, kind: int, body: memoryview) -> None:
        """A frame came. A defect of ours that it meets costs its connection, and no other."""
        try:
            self._take(wire, kind, body)
        except ProtocolError:
            raise
        except Exception as error:  # noqa: BLE001 - it is told with its traceback
            link = self._by_wire.get(wire.tag)
            self._crashes.met(wire, "" if link is None else link.peer.name, kind, error, self._loop.time())

    def _take(self, wire: Wire, kind: int, body: memoryview) -> None:
        if kind in _FOR_BUS and (link := self._by_wire.get(wire.tag)) is not None:
            frame = LINK_CODEC.decode(kind, body)
            assert isinstance(frame, BusFrame)
            if isinstance(frame, Publish | Offer | Lost | Heads) and frame.epoch != link.peer.epoch:
                raise ProtocolError("a frame in the name of another node")
            self._bus.link_frame(link, frame)
            return
        if kind not in LINK_FRAMES:
            state = self._core.state(wire.tag)
            if kind == CONTROL_HELLO and state == "hello":
                self._hand_over(wire, body)
                return
            if state in {"adopting", "session"}:
                self.unknown_frames += 1
                return
            raise ProtocolError(f"frame type {kind:#04x} before the handshake was done: this is no liminal peer")
        frame = LINK_CODEC.decode(kind, body)
        assert isinstance(frame, LinkFrame)
        self._do(self._core.received(wire.tag, kind, frame, self._loop.time()))
        if self._core.state(wire.tag) in {"adopting", "session"}:
            wire.buffer.let_in(self._limits.frame)
            self._listener.release(wire.tag)

    def wire_broken(self, wire: Wire, error: ProtocolError) -> None:
        """The peer broke the protocol: the core closes it, and says so."""
        self._do(self._core.broken(wire.tag, error, self._loop.time()))

    def wire_closed(self, wire: Wire, reason: str) -> None:
        """A connection is gone."""
        self._listener.release(wire.tag)
        self._first.answered(self._targets.pop(wire.tag, ""))
        self._core.late(wire.tag, wire.late_frames)
        if self._wires.pop(wire.tag, None) is not None:
            self._do(self._core.closed(wire.tag, reason, self._loop.time()))

    def wire_paused(self, wire: Wire) -> None:
        """A peer does not take what we write: look at the age of what waits for it, until it does again."""
        self._watch.start()

    def wire_pull(self, wire: Wire, bytes_max: int) -> list[bytes]:
        """Return data to write."""
        link = self._by_wire.get(wire.tag)
        if link is None:
            return []
        if self._registry.lag(link.peer.name):
            self._do(self._core.pump(wire.tag, self._loop.time()))
        if not link.lane:
            return []
        crowded = link.lane.crowded
        link.lane.age(self._loop.time())
        frames = link.lane.take(bytes_max)
        if frames and self._core.wrote(wire.tag, self._loop.time()):
            self._schedule()
        if crowded and not link.lane.crowded:
            self._bus.lane_room()
        return frames

    def member_changed(self, change: MemberChanged) -> None:
        """The nodes hold something else of a member."""
        self._do(self._core.gossiped(change, self._loop.time()))

    def member_doubted(self, name: str) -> None:
        """A member did not answer over its control link."""
        self._do(self._core.doubted(name, self._loop.time()))

    def member_departed(self) -> None:
        """Our goodbye is told."""
        self.departed = True
        self._bus.mesh_changed()

    def mesh_failed(self, error: Exception) -> None:
        """The node cannot go on in this mesh."""
        if self._core.ends_with(error):
            self._bus.mesh_failed(error)

    def mesh_noticed(self, notice: Notice) -> None:
        """Something happened on a control link."""
        self._bus.mesh_noticed(notice)

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._carry_out(effect)
        self._bus.mesh_changed()
        self._schedule()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(conn, frame):
                if conn in self._wires:
                    self._wires[conn].send(LINK_CODEC.encode(frame))
            case Close(conn, reason):
                if conn in self._wires:
                    self._wires[conn].close(reason)
            case Dial(target, address, timeout_s):
                if self._tasks is not None:
                    self._tasks.create_task(self._dial(target, address, timeout_s), name=f"dial-{target}")
            case Resolve(seed, timeout_s):
                if self._tasks is not None:
                    self._tasks.create_task(self._resolve(seed, timeout_s), name=f"resolve-{seed}")
            case SeedChanged(seed, addresses, failure):
                self._control.seeds(self._core.seeded())
                self._bus.seed_changed(seed, addresses, failure)
            case SessionUp():
                self._session_up(effect)
            case SessionDown():
                self._session_down(effect)
            case PeerLeaves(peer):
                self._control.said_goodbye(peer)
            case Failed(error):
                self._bus.mesh_failed(error)
            case Notice():
                self._bus.mesh_noticed(effect)

    def _session_up(self, effect: SessionUp) -> None:
        lane = PeerLane(self._me.epoch, self._limits.lane_bytes, self._limits.lane_age_s)
        lane.limit_frames(self._limits.frame)
        link = Link(effect.peer, effect.address, effect.g, self._wires[effect.conn], lane, self._watch.start)
        self._first.answered(self._targets.get(effect.conn, ""))
        self._by_wire[effect.conn] = self.links[effect.peer.name] = link
        self._control.met(effect.peer, effect.address)
        self._bus.link_up(link)

    def _session_down(self, effect: SessionDown) -> None:
        link = self._by_wire.pop(effect.conn, None)
        if link is not None:
            del self.links[link.peer.name]
            self._bus.link_down(link, effect.reason)

    async def _dial(self, target: str, address: str, timeout_s: float) -> None:
        wire = Wire(self._loop, self, self._limits.preauth)
        failure = await self._outbound.connect(wire, target, address, timeout_s)
        if failure is not None:
            self._first.answered(target)
            self._do(self._core.dial_failed(target, *failure, self._loop.time()))
            return
        conn = self._adopt(wire)
        self._targets[conn] = target
        self._do(self._core.dialed(conn, target, self._loop.time()))

    async def _resolve(self, seed: str, timeout_s: float) -> None:
        found = await resolve(self._resolver, parse_seed(seed), timeout_s)
        effects = self._core.resolved(seed, found.addresses, found.failure, self._loop.time())
        self._first.answered(seed, effects)
        self._do(effects)

    def _accepted(self) -> Wire:
        wire = Wire(self._loop, self, self._limits.preauth)
        self._adopt(wire)
        self._do(self._core.accepted(wire.tag, self._loop.time()))
        return wire

    def _crowded_out(self, wire: Wire) -> None:
        self._do(self._core.crowded_out(wire.tag, self._loop.time()))

    def _hand_over(self, wire: Wire, body: memoryview) -> None:
        """Let the membership have a connection that is to be a control link."""
        del self._wires[wire.tag]
        self._listener.release(wire.tag)
        self._do(self._core.closed(wire.tag, "a control link", self._loop.time()))
        self._control.take(wire, body)

    def _adopt(self, wire: Wire) -> int:
        self._tags += 1
        wire.tag = self._tags
        self._wires[wire.tag] = wire
        return wire.tag

    def _tell(self) -> None:
        self._changed_scheduled = False
        self._do(self._core.changed(self._loop.time()))

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._core.next_tick(), self._tick) if self._tasks is not None else None

    def _tick(self) -> None:
        self._timer = None
        try:
            self._do(self._core.tick(self._loop.time()))
        except Exception as error:  # noqa: BLE001 - no timer is set any more, and the loop is the program's
            self._bus.mesh_failed(error)
