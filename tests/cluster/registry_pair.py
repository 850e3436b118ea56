"""Two registries with a wire between them that goes through the real codec, and can be made a bad one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import cast

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.frames import Heartbeat, LinkFrame
from liminal_mesh.cluster.group_events import GroupEvent, Joined, Left
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.replication import RegistryFrame
from liminal_mesh.cluster.scopes import SCOPES

A = NodeId("a", 1)
B = NodeId("b", 7)
FRAME_BYTES_MAX = 1024 * 1024


def over_the_wire(frame: LinkFrame) -> RegistryFrame:
    """Return what arrives of a frame, after encoding it, cutting it out of a stream and decoding it."""
    data = LINK_CODEC.encode(frame)
    ((kind, body),) = FrameBuffer(FRAME_BYTES_MAX).feed(data)
    return cast("RegistryFrame", LINK_CODEC.decode(kind, body))


class Mirror:
    """The visible groups as a watcher has them who took them as they were, and then only follows the events."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.events: list[GroupEvent] = []
        self.members = self._shown()
        registry.watch(self._told)

    def check(self) -> None:
        """Assert that the registry shows what the events told, and that it is sound."""
        assert self.members == self._shown()
        self._registry.validate()

    def _shown(self) -> set[tuple[int, str, Pid]]:
        return {
            (scope, group, pid)
            for scope in range(len(SCOPES))
            for group, pids in self._registry.groups(scope).items()
            for pid in pids
        }

    def _told(self, event: GroupEvent) -> None:
        self.events.append(event)
        match event:
            case Joined(scope, group, pid):
                assert (scope, group, pid) not in self.members
                self.members.add((scope, group, pid))
            case Left(scope, group, pid, _):
                self.members.remove((scope, group, pid))


@dataclass(frozen=True)
class Faults:
    """How often frames are lost, come twice, or are overtaken, from 0 to 1."""

    loss: float = 0.0
    twice: float = 0.0
    swap: float = 0.0


class Side:
    """One registry, with what is on its way to it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.mirror = Mirror(registry)
        self.arriving: list[LinkFrame] = []
        self.received: list[LinkFrame] = []
        """Everything that has arrived."""


class Pair:
    """Two registries whose sessions come and go together. After every frame everything is checked."""

    def __init__(self, a: Registry, b: Registry, rng: Random | None = None, faults: Faults | None = None) -> None:
        self.a, self.b = Side(a), Side(b)
        self.faults = faults or Faults()
        self.entries_max = 4096
        self._rng = rng or Random(0)
        self.check: Callable[[], None] = self._check

    def up(self, run: bytes = b"") -> None:
        """Begin the session on both sides."""
        self._send(self.b, self.a.registry.session_up(self.b.registry.me, run))
        self._send(self.a, self.b.registry.session_up(self.a.registry.me, run))

    def down(self, reason: str = "noconnection") -> None:
        """End the session on both sides; what is on its way still arrives."""
        self.a.registry.session_down(self.b.registry.me.name, reason)
        self.b.registry.session_down(self.a.registry.me.name, reason)
        self.check()

    def step(self) -> bool:
        """Let each side send what it has and take one frame; returns whether anything moved."""
        moved = False
        for side, other in ((self.a, self.b), (self.b, self.a)):
            self._send(other, side.registry.pump(other.registry.me.name, self.entries_max))
        for side, other in ((self.a, self.b), (self.b, self.a)):
            if side.arriving:
                moved = True
                self.deliver(side, other, side.arriving.pop(0))
        return moved

    def deliver(self, side: Side, other: Side, frame: LinkFrame) -> None:
        """Hand one frame of ``other`` to ``side``, and send the answers."""
        side.received.append(frame)
        self._send(other, side.registry.receive(other.registry.me, over_the_wire(frame)))
        self.check()

    def run(self) -> None:
        """Go on until nothing moves."""
        while self.step():
            pass

    def heartbeat(self) -> None:
        """Let both sides state where they are, and go on until nothing moves."""
        for side, other in ((self.a, self.b), (self.b, self.a)):
            positions = side.registry.positions(other.registry.me.name)
            self._send(other, [Heartbeat(1, 1, positions, [])])
        self.run()

    def _send(self, to: Side, frames: list[LinkFrame]) -> None:
        for frame in frames:
            if self._rng.random() < self.faults.loss:
                continue
            to.arriving.append(frame)
            if self._rng.random() < self.faults.twice:
                to.arriving.append(frame)
            if len(to.arriving) > 1 and self._rng.random() < self.faults.swap:
                place = self._rng.randrange(len(to.arriving) - 1)
                to.arriving[place], to.arriving[-1] = to.arriving[-1], to.arriving[place]

    def _check(self) -> None:
        self.a.mirror.check()
        self.b.mirror.check()
