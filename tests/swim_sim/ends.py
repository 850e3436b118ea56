"""A node with links, and the ends of those links."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.swim import LinkLoss, Swim, SwimEffect
from liminal_mesh.cluster.swim_frames import MemberRecord, SwimFrame

from .clock import Clock, Node

__all__ = ["End", "MeshNode"]

STARVED_S = (0.5, 2.5)
"""After what time a starved process reads again."""


@dataclass(eq=False)
class End:
    """One end of a link: what it sends arrives in order at ``peer``, or waits."""

    node: MeshNode
    other: End | None = None
    open: bool = True
    up: bool = False
    arrival: float = 0.0
    stuck: deque[SwimFrame | LinkLoss] = field(default_factory=deque)

    @property
    def peer(self) -> End:
        """The other end."""
        assert self.other is not None
        return self.other


class MeshNode(Node):
    """A node with links; ``ends`` are those that it has, by the peer's name."""

    address: str

    def __init__(
        self, clock: Clock, swim: Swim, me: NodeId, address: str, carry_out: Callable[[Node, SwimEffect], None]
    ) -> None:
        super().__init__(clock, swim, me, carry_out)
        self.address = address
        self.ends: dict[str, End] = {}
        self.held_back: dict[NodeId, tuple[End, MemberRecord, int]] = {}
        self.waiting: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self.reading = True
        self.outbox: list[SwimEffect] | None = None
        """What it would send or dial, while its sends block."""
        self.departed = False

    @property
    def waits(self) -> bool:
        """Whether what comes to it waits in its kernel."""
        return self.stopped or not self.reading

    def stop(self) -> None:
        """Stop the process (SIGSTOP): its kernel goes on taking what comes."""
        self.stopped = True

    def resume(self) -> None:
        """Continue it: by chance it looks first at its clock or at what has come."""
        self.stopped = False
        clock_first = self.clock.rng.random() < 0.5
        if clock_first:
            self.tick()
        self._read()
        if not clock_first and self.alive:
            self.tick()

    def starve(self) -> None:
        """Let it read what has come only now and then; its timers run."""
        self.reading = False
        self._read_later()

    def block(self) -> None:
        """Let it neither send nor read; its timers run."""
        self.reading, self.outbox = False, []

    def recover(self) -> None:
        """Let it send and read again."""
        outbox, self.outbox = self.outbox or [], None
        for effect in outbox:
            self._carry_out(self, effect)
        self.reading = True
        self._read()

    def _read(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call, arguments in waiting:
            call(*arguments)

    def _read_later(self) -> None:
        self.clock.at(self.clock.now + self.clock.rng.uniform(*STARVED_S), self._read_late)

    def _read_late(self) -> None:
        if self.alive and not self.reading and self.outbox is None:
            self.reading = True
            if not self.stopped:
                self._read()
            self.starve()

    def states(self) -> dict[str, str]:
        """Return the state of each member in this node's view."""
        return {member.name: member.state for member in self.swim.members()}
