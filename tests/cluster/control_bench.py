"""Control cores on a bench: their connections are carried by hand, through the shipped codec, in any order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from random import Random
from typing import TypeVar

from liminal_mesh.cluster.auth import derive_key
from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.control import Control, ControlEffect
from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.cluster.effects import Close, Notice, Send
from liminal_mesh.cluster.frames import LinkFrame
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.swim import LAN, DialAddress, LinkLoss, SwimOptions

__all__ = ["Bench", "Side"]

KEY = derive_key(b"a cookie for the bench of control", "test")
TRAFFIC_MAX = 10_000

T = TypeVar("T")


class Side:
    """One node: its core, what it was asked to do, and the names of its connections' other ends."""

    def __init__(self, bench: Bench, core: Control, me: NodeId) -> None:
        self.bench = bench
        self.core = core
        self.me = me
        self.effects: list[ControlEffect] = []
        self.others: dict[int, tuple[Side, int]] = {}

    def of(self, kind: type[T]) -> list[T]:
        """Return the effects of one kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    @property
    def notices(self) -> list[str]:
        """The notices so far."""
        return [notice.event for notice in self.of(Notice)]

    @property
    def links(self) -> dict[str, tuple[int, int]]:
        """The links that stand, by the peer's name: connection and number."""
        return {name: (link.conn, link.g) for name, link in self.core._links.items()}

    def do(self, effects: list[ControlEffect]) -> None:
        """Carry out effects: what is sent waits to be carried."""
        self.effects += effects
        for effect in effects:
            match effect:
                case Send(conn, frame) if conn in self.others:
                    self.bench.traffic.append((self, conn, CONTROL_CODEC.encode(frame)))
                case Close(conn, _) if conn in self.others:
                    self.bench.traffic.append((self, conn, None))
                case _:
                    pass

    def close(self, conn: int, loss: LinkLoss = "reset") -> None:
        """Let a connection end at this side alone."""
        self.do(self.core.closed(conn, loss, self.bench.now))

    def take(self, conn: int, frame: LinkFrame) -> None:
        """Let a frame come on a connection."""
        ((kind, body),) = FrameBuffer(1 << 20).feed(CONTROL_CODEC.encode(frame))
        decoded = CONTROL_CODEC.decode(kind, body)
        assert isinstance(decoded, LinkFrame)
        self.do(self.core.received(conn, kind, decoded, self.bench.now))

    def sees(self, name: str) -> tuple[str, bool]:
        """Return what this side holds of a member: its state, and whether there is a link."""
        (found,) = [member for member in self.core.swim.members() if member.name == name]
        return found.state, found.reachable


class Bench:
    """Some sides, and what is on its way between them: each connection in order, all of them in any order."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 1000.0
        self.traffic: deque[tuple[Side, int, bytes | None]] = deque()
        self.rng = Random(seed)
        self._numbers = itertools.count(1)

    def node(
        self, name: str, epoch: int = 1, swim: SwimOptions = LAN, cluster: str = "test", ahead_s: float = 0.0
    ) -> Side:
        """Make a node; its time of day may be ahead of that of the others."""
        me = NodeId(name, epoch)
        options, run = PeeringOptions(cluster, f"{name}{epoch}:1"), self.rng.randbytes(8)
        chance, nonce, wall_ms = Random(1), lambda: self.rng.randbytes(32), lambda: int((self.now + ahead_s) * 1000)
        core = Control(me, run, [KEY], options, swim, chance, nonce, wall_ms, self.now)
        return Side(self, core, me)

    def dial(self, one: Side, other: Side, name: str = "") -> tuple[int, int]:
        """Connect one to another: for the member ``name``, or a seed; returns the numbers of the connection's ends."""
        near, far = next(self._numbers), next(self._numbers)
        one.others[near], other.others[far] = (other, far), (one, near)
        other.do(other.core.accepted(far, "", self.now))
        one.do(one.core.dialed(near, DialAddress(f"{other.me.name}{other.me.epoch}:1", name, 2.0), self.now))
        return near, far

    def carry(self, frames: int = TRAFFIC_MAX, *, shuffled: bool = False) -> None:
        """Carry what waits, until nothing does, or so many frames; ``shuffled`` takes any connection's next."""
        for _ in range(frames):
            if not self.traffic:
                return
            place = self.rng.randrange(len(self.traffic)) if shuffled else 0
            sender, conn, _ = self.traffic[place]
            place = next(at for at, one in enumerate(self.traffic) if one[:2] == (sender, conn))
            data = self.traffic[place][2]
            del self.traffic[place]
            receiver, there = sender.others[conn]
            if data is None:
                receiver.do(receiver.core.closed(there, "reset", self.now))
                continue
            for kind, body in FrameBuffer(1 << 20).feed(data):
                frame = CONTROL_CODEC.decode(kind, body)
                assert isinstance(frame, LinkFrame)
                receiver.do(receiver.core.received(there, kind, frame, self.now))
        assert frames < TRAFFIC_MAX, "they talk for ever"

    def wait(self, seconds: float, sides: Iterable[Side]) -> None:
        """Let time pass: sides that want to be woken are, and what they say is carried."""
        until = self.now + seconds
        while True:
            due, _, side = min((side.core.next_tick(), side.me, side) for side in sides)
            if due > until:
                break
            self.now = max(self.now, due)
            side.do(side.core.tick(self.now))
            self.carry()
        self.now = until

    def linked(self, one: Side, other: Side) -> tuple[int, int]:
        """Link two nodes."""
        ends = self.dial(one, other)
        self.carry()
        assert one.links[other.me.name][0] == ends[0]
        assert other.links[one.me.name][0] == ends[1]
        return ends
