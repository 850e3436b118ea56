"""A node of a simulated world: the shipped cores, and a shell that carries out their effects there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.effects import Close, Dial, Effect, Resolve, Send
from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import LINK_FRAMES, LinkFrame
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.peering import Peering
from liminal_mesh.cluster.registry import Registry

if TYPE_CHECKING:
    from .world import World

__all__ = ["End", "Host"]

FRAME_BYTES_MAX = 1024 * 1024


@dataclass(eq=False)
class End:
    """One node's end of a connection; ``arrival`` keeps what it sends in order, ``stuck`` waits in a hole."""

    host: Host
    conn: int
    open: bool = True
    arrival: float = 0.0
    stuck: list[bytes | None] = field(default_factory=list)
    buffer: FrameBuffer = field(default_factory=lambda: FrameBuffer(FRAME_BYTES_MAX))
    peer: End = field(init=False)


class Host:
    """One run of one node: its cores, and the shell that carries out their effects in this world."""

    def __init__(self, world: World, registry: Registry, run: bytes, key: bytes, options: PeeringOptions) -> None:
        self.world = world
        self.me = registry.me
        self.alive = True
        self.address = options.address
        self.registry = registry
        self.core = Peering(self.me, run, [key], registry, options, Random(world.rng.random()), self._nonce)
        self.ends: dict[int, End] = {}
        self.effects: list[Effect] = []
        self.times: list[float] = []
        self.opened_at: dict[int, float] = {}
        self.heard_at: dict[int, float] = {}
        self.stalled_until = 0.0
        self.watchers: list[Callable[[Effect], None]] = []
        self._ticket = 0

    def __repr__(self) -> str:
        return f"<{self.me} {sorted(self.core.sessions())}>"

    def start(self) -> None:
        """Start the core."""
        self.do(self.core.start(self.world.now))

    def changed(self) -> None:
        """Tell the core that own members changed."""
        self.do(self.core.changed(self.world.now))

    def drain(self) -> None:
        """Say goodbye."""
        self.do(self.core.drain("test", self.world.now))

    def reseed(self, seeds: Iterable[str]) -> None:
        """Tell the core of other seeds."""
        self.do(self.core.reseed(tuple(seeds), self.world.now))

    def do(self, effects: list[Effect]) -> None:
        """Carry out effects in order, and see to the next tick."""
        for effect in effects:
            self.effects.append(effect)
            self.times.append(self.world.now)
            self._carry_out(effect)
            for watcher in self.watchers:
                watcher(effect)
        self._ticket += 1
        due = self.core.next_tick()
        if due < float("inf"):
            self.world.at(max(due, self.world.now), self._tick, self._ticket)
        self.world.stepped(self)

    def opened(self, end: End, target: str) -> None:
        """Take a new connection: one that we dialled (``target``), or not."""
        self.ends[end.conn] = end
        now = self.opened_at[end.conn] = self.world.now
        self.do(self.core.dialed(end.conn, target, now) if target else self.core.accepted(end.conn, now))

    def deliver(self, end: End, data: bytes) -> None:
        """Take bytes from a connection."""
        now = self.heard_at[end.conn] = self.world.now
        self.core.heard(end.conn, now)
        try:
            for kind, body in end.buffer.feed(data):
                if kind not in LINK_FRAMES:
                    raise ProtocolError("unknown")
                frame = LINK_CODEC.decode(kind, body)
                assert isinstance(frame, LinkFrame)
                self.do(self.core.received(end.conn, kind, frame, now))
        except ProtocolError as error:
            self.do(self.core.broken(end.conn, error, now))

    def deliver_late(self, end: End, data: bytes) -> None:
        """Let the core see bytes of a connection that is closed: nothing may come of them."""
        self.core.heard(end.conn, self.world.now)
        for kind, body in end.buffer.feed(data):
            frame = LINK_CODEC.decode(kind, body)
            assert isinstance(frame, LinkFrame)
            assert self.core.received(end.conn, kind, frame, self.world.now) == []

    def ended(self, end: End, reason: str) -> None:
        """Note the end of a connection that we did not end."""
        end.open = False
        if self.ends.pop(end.conn, None) is not None:
            self.do(self.core.closed(end.conn, reason, self.world.now))

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(conn, frame):
                end = self.ends.get(conn)
                if end is not None:
                    self.world.transmit_frame(end, frame)
                    self.world.later(0.0005, self._room, conn)
            case Close(conn, _):
                end = self.ends.pop(conn, None)
                if end is not None:
                    end.open = False
                    self.world.transmit(end, None)
            case Dial(target, address, timeout_s):
                self.world.dial(self, target, address, timeout_s)
            case Resolve(seed, _):
                self.world.resolve(self, seed)
            case _:
                pass

    def _room(self, conn: int) -> None:
        """Report room in a lane, once what is written has left the node."""
        end = self.ends.get(conn)
        if end is None or not self.alive:
            return
        if end.stuck or self.stalled_until > self.world.now:
            self.world.later(0.05, self._room, conn)
        elif self.core.state(conn) == "session" and self.registry.lag(end.peer.host.me.name):
            self.do(self.core.pump(conn, self.world.now))

    def _tick(self, ticket: int) -> None:
        if self.alive and ticket == self._ticket:
            self.do(self.core.tick(self.world.now))

    def _nonce(self) -> bytes:
        return self.world.rng.randbytes(32)
