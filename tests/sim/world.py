"""A world of nodes on one virtual clock: shipped session cores and registries, joined by byte streams.

A connection is two first-in-first-out streams of bytes. What a core sends goes through the shipped codec, and
what arrives through the shipped buffer. Between two nodes there may be a *hole*, in one direction or both: bytes
(and ends of streams) wait in it, as they do in the kernel's buffers, until it heals or the connection is gone.
Everything that happens is an event of one heap, ordered by time and then by number, and every choice comes from
one seeded generator, so a run repeats exactly.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from random import Random

from liminal_mesh.cluster.auth import derive_key
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.frames import LinkFrame, Redundant
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.seeds import parse_seed

from .host import End, Host

__all__ = ["World", "address_of"]

KEY = derive_key(b"a cookie of the simulation, 32 +", "test")
LATENCY_S = (0.0001, 0.002)
STEPS_MAX = 300_000
"""Far more than any test needs; an endless exchange of frames would take for ever."""


def address_of(name: str) -> str:
    """Return where node ``name`` listens."""
    return f"{name}:7601"


class World:
    """All nodes, the network between them, and the clock."""

    def __init__(self, seed: int = 0, **options: object) -> None:
        self.rng = Random(seed)
        self.now = 50_000.0
        self.hosts: dict[str, Host] = {}
        self.names: dict[str, list[str]] = {}
        """What names stand for; one that is not here does not exist."""
        self.holes: set[tuple[str, str]] = set()
        self.redundant: list[tuple[float, frozenset[str]]] = []
        self.checks: list[Callable[[Host], None]] = []
        self.frame_fault: Callable[[End, LinkFrame, bytes], list[bytes]] | None = None
        self._stuck: dict[End, None] = {}
        self._options = PeeringOptions("test", "nowhere:1")
        self._options = replace(self._options, **options)  # type: ignore[arg-type]
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0
        self._conns = 0
        self._steps = 0

    # --- nodes --------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        seeds: str = "",
        epoch: int = 1,
        *,
        key: bytes = KEY,
        address: str = "",
        cluster: str = "test",
        ring_records: int = 1024,
        expected: int = 2,
        names: str = "",
        before: Callable[[Host, bytes], None] | None = None,
    ) -> Host:
        """Start a node; ``seeds`` are names of nodes, in one text, and ``names`` seeds as they are written.

        ``before`` is called with it and its run.
        """
        where = address or address_of(name)
        known = (*map(address_of, seeds.split()), *names.split())
        options = replace(self._options, cluster=cluster, address=where, seeds=known, expected=expected)
        registry = Registry(NodeId(name, epoch), ring_records=ring_records)
        run = self.rng.randbytes(8)
        host = Host(self, registry, run, key, options)
        self.hosts[where] = host
        if before is not None:
            before(host, run)
        host.start()
        return host

    def crash(self, host: Host) -> None:
        """Kill a node: its kernel resets its connections."""
        host.alive = False
        if self.hosts.get(host.address) is host:
            del self.hosts[host.address]
        for end in tuple(host.ends.values()):
            end.open = False
            self.transmit(end, None)
        host.ends.clear()

    # --- the network --------------------------------------------------------------------------------

    def dial(self, host: Host, target: str, address: str, timeout_s: float) -> None:
        """Try to connect: it may be refused, and in a hole it times out."""
        self.later(self._latency(), self._connect, host, target, address, timeout_s)

    def resolve(self, host: Host, seed: str) -> None:
        """Look a name up."""
        self.later(self._latency(), self._resolved, host, seed)

    def _resolved(self, host: Host, seed: str) -> None:
        addresses = self.names.get(parse_seed(seed).host, [])
        if host.alive:
            host.do(host.core.resolved(seed, addresses, "" if addresses else "NXDOMAIN", self.now))

    def _connect(self, host: Host, target: str, address: str, timeout_s: float) -> None:
        other = self.hosts.get(address)
        if other is not None and self._in_hole(host, other):
            self.later(timeout_s, self._dial_failed, host, target, "timeout")
        elif other is None or not host.alive:
            self.later(self._latency(), self._dial_failed, host, target, "nothing-listens")
        else:
            near, far = End(host, self._number()), End(other, self._number())
            near.peer, far.peer = far, near
            # The dialler is told before anything can arrive from the other side.
            far.arrival = self.now + self._latency()
            self.at(far.arrival, self._connected, near, target)
            other.opened(far, "")

    def _connected(self, end: End, target: str) -> None:
        if end.host.alive:
            end.host.opened(end, target)
        else:
            end.open = False
            self.transmit(end, None)

    def _dial_failed(self, host: Host, target: str, code: str) -> None:
        if host.alive:
            host.do(host.core.dial_failed(target, code, "", self.now))

    def _in_hole(self, host: Host, other: Host) -> bool:
        names = (host.me.name, other.me.name)
        return names in self.holes or names[::-1] in self.holes

    def transmit_frame(self, end: End, frame: LinkFrame) -> None:
        """Send a frame, or what a fault makes of it."""
        data = LINK_CODEC.encode(frame)
        if isinstance(frame, Redundant):
            self.redundant.append((self.now, frozenset((end.host.me.name, end.peer.host.me.name))))
        for piece in self.frame_fault(end, frame, data) if self.frame_fault else (data,):
            self.transmit(end, piece)

    def transmit(self, end: End, data: bytes | None) -> None:
        """Send bytes, or the end of the stream (None)."""
        if end.stuck or (end.host.me.name, end.peer.host.me.name) in self.holes:
            end.stuck.append(data)
            self._stuck[end] = None
        else:
            end.arrival = max(end.arrival, self.now + self._latency())
            self.at(end.arrival, self._arrive, end.peer, data)

    def _arrive(self, end: End, data: bytes | None) -> None:
        if not end.open or not end.host.alive:
            # A closed end answers with a reset, unless what came was the end of the stream.
            if data is not None and end.peer.open:
                self.transmit(end, None)
            if data is not None and end.host.alive:
                end.host.deliver_late(end, data)
            return
        if data is None:
            end.host.ended(end, "reset")
        else:
            end.host.deliver(end, data)

    def heal(self, source: str, target: str) -> None:
        """Close the hole in one direction; what waits in it goes on its way."""
        self.holes.discard((source, target))
        for end in [end for end in self._stuck if (end.host.me.name, end.peer.host.me.name) == (source, target)]:
            del self._stuck[end]
            stuck, end.stuck = end.stuck, []
            for data in stuck:
                self.transmit(end, data)

    def cut(self, end: End, both: bool) -> None:
        """Reset a connection under one end, or under both at once."""
        for side in (end, end.peer) if both else (end,):
            if side.open and side.host.alive:
                side.host.ended(side, "cut")
            side.open = False

    # --- time ---------------------------------------------------------------------------------------

    def at(self, when: float, call: Callable[..., None], *arguments: object) -> None:
        """Do something at a time."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, call, arguments))

    def later(self, delay: float, call: Callable[..., None], *arguments: object) -> None:
        """Do something after a while."""
        self.at(self.now + delay, call, *arguments)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._heap and self._heap[0][0] <= until:
            self._step()
        self.now = until

    def run_until(self, condition: Callable[[], bool], within: float) -> float:
        """Let time pass until something holds; returns how long it took, which must be less than ``within``."""
        begin = self.now
        while not condition():
            assert self._heap, "nothing will ever happen"
            assert self._heap[0][0] - begin < within, f"not within {within} s: {list(self.hosts.values())}"
            self._step()
        return self.now - begin

    def stepped(self, host: Host) -> None:
        """Check what must hold after every step of a node."""
        for check in self.checks:
            check(host)

    def _step(self) -> None:
        self._steps += 1
        assert self._steps < STEPS_MAX, "the world does not come to rest"
        when, _, call, arguments = heapq.heappop(self._heap)
        self.now = max(self.now, when)
        call(*arguments)

    def _number(self) -> int:
        self._conns += 1
        return self._conns

    def _latency(self) -> float:
        return self.rng.uniform(*LATENCY_S)
