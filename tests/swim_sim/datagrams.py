"""The network of the papers: datagrams that may be lost, among members who all know each other from the start.

The anomaly is Lifeguard's: for a while a member's sends and receives block. Its process is then held in its first
send, so nothing of it runs; when it is released, its overdue timers fire first, with rumours as old as the block, then
it reads what has come meanwhile. Our own driver reads first (``reads_first``), as the machine asks of it. In neither
case is the machine told of the block (``late_s`` is infinite here): a blocked send shows to nobody's clock.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, MutableSet
from dataclasses import replace
from random import Random

from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.swim import Roster, SendTo, Swim, SwimEffect, SwimOptions
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState, SwimFrame

from .clock import Clock, Node

__all__ = ["LIFEGUARD", "SWIM", "Datagrams"]

SWIM = SwimOptions(
    probe_s=1.0,
    timeout_s=0.5,
    alpha=5.0,
    beta=1.0,
    health_max=0,
    buddy=False,
    mesh=False,
    isolation_hold=False,
    late_s=math.inf,
    repair_s=math.inf,
    push_pull_s=math.inf,
)
"""The baseline of the Lifeguard paper: SWIM as in memberlist, with suspicions of a fixed length."""

LIFEGUARD = replace(SWIM, beta=6.0, health_max=8, buddy=True)
"""All three extensions."""

LATENCY_S = (0.0005, 0.0015)


SHARED_ABOVE = 256
"""In larger meshes the members share what they know in common: it is slower, and fits into the memory."""


class _Everyone(MutableSet[str]):
    """A link to everybody, which nothing takes down."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, value: str) -> None:
        pass

    def discard(self, value: str) -> None:
        pass


class Datagrams:
    """``count`` members at rest, who know each other.

    ``sent`` counts frames by their kind, ``sent_bytes`` all of their bytes, if ``sized``.
    """

    def __init__(
        self,
        seed: int,
        count: int,
        options: SwimOptions,
        *,
        loss: float = 0.0,
        sized: bool = False,
        reads_first: bool = False,
    ) -> None:
        self.clock = Clock(seed)
        self.loss = loss
        self.sized = sized
        self.reads_first = reads_first
        self.sent: Counter[type[SwimFrame]] = Counter()
        self.sent_bytes = 0
        self.on_change: Callable[[Node, MemberChanged], None] = lambda *_: None
        self.on_send: Callable[[Node, SendTo], None] = lambda *_: None
        names = tuple(f"n{number}" for number in range(count))
        known = _roster(names)
        everyone = _Everyone(names)
        self.nodes: dict[str, Node] = {}
        self._inbox: dict[str, list[tuple[NodeId, SwimFrame]]] = {}
        for name in names:
            me = NodeId(name, 1)
            rng = Random(f"{seed} {name}")
            roster = known.fork() if count > SHARED_ABOVE else _roster(names)
            swim = Swim(me, name, options, rng, 0.0, roster=roster, linked=everyone)
            self.nodes[name] = Node(self.clock, swim, me, self._carry_out)
            self._inbox[name] = []
        for node in self.nodes.values():
            node.do([])

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.run(self.clock.now + seconds)

    def block(self, name: str) -> None:
        """Hold a member in its next send."""
        self.nodes[name].stopped = True

    def release(self, name: str) -> None:
        """Let it go on: what is overdue is done before what has come is read, or after that alone."""
        node = self.nodes[name]
        node.stopped = False
        if not self.reads_first:
            node.tick()
        waiting, self._inbox[name] = self._inbox[name], []
        for peer, frame in waiting:
            node.do(node.swim.received(peer, frame, self.clock.now))
        node.tick()

    def deliver(self, target: Node, peer: NodeId, frame: SwimFrame) -> None:
        """Hand a frame to a member."""
        if target.stopped:
            self._inbox[target.name].append((peer, frame))
        elif target.alive:
            target.do(target.swim.received(peer, frame, self.clock.now))

    def _carry_out(self, node: Node, effect: SwimEffect) -> None:
        if isinstance(effect, SendTo):
            self._send(node, effect)
        elif isinstance(effect, MemberChanged):
            self.on_change(node, effect)

    def _send(self, node: Node, effect: SendTo) -> None:
        clock, frame = self.clock, effect.frame
        self.sent[type(frame)] += 1
        if self.sized:
            self.sent_bytes += len(CONTROL_CODEC.encode(frame))
        self.on_send(node, effect)
        if self.loss and clock.rng.random() < self.loss:
            return
        latency = clock.rng.uniform(*LATENCY_S)
        clock.at(clock.now + latency, self.deliver, self.nodes[effect.name], node.me, frame)


def _roster(names: tuple[str, ...]) -> Roster:
    roster = Roster()
    for name in names:
        roster.put(MemberRecord(name, 1, 0, RecordState.ALIVE, name), 0.0)
    return roster
