"""The network of a simulated world: byte streams in order, as TCP makes them, and what becomes of them in trouble.

A connection is two first-in-first-out streams of bytes. In a *hole*, which has a direction, nothing arrives: what is
sent into it waits in the sender's kernel, and is sent again some time after the hole has healed. Acknowledgements go
the other way, so whoever sends against a hole is heard only until its kernel's timer runs out. Who has waited five
seconds for an acknowledgement gives the connection up, and says so to nobody. A *severed* pair is what a switched-off
proxy leaves: connections are reset, and new ones are refused, or accepted and closed. A lost packet is a pause that
doubles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.effects import Dial
from liminal_mesh.cluster.frames import LinkFrame, Redundant
from liminal_mesh.cluster.swim import DialAddress

from .clock import Clock

if TYPE_CHECKING:
    from .host import Host

__all__ = ["End", "Network"]

FRAME_BYTES_MAX = 1024 * 1024
LATENCY_S = (0.0001, 0.002)
RETRANSMIT_S = 0.2
"""After this a sender tries again, and until it is acknowledged sends nothing new."""
USER_TIMEOUT_S = 5.0


@dataclass(eq=False)
class End:
    """One node's end of a connection.

    ``open`` is what its process knows, ``lost`` what its kernel does. ``arrival`` keeps what it sends in order,
    ``stuck`` waits in a hole, and ``unheard`` is since when an acknowledgement is missing.
    """

    host: Host
    conn: int
    open: bool = True
    lost: bool = False
    control: bool = False
    arrival: float = 0.0
    stuck: list[bytes | None] = field(default_factory=list)
    unheard: float | None = None
    buffer: FrameBuffer = field(default_factory=lambda: FrameBuffer(FRAME_BYTES_MAX))
    peer: End = field(init=False)

    @property
    def way(self) -> tuple[str, str]:
        """The names of the nodes that it leads from and to."""
        return self.host.me.name, self.peer.host.me.name


class Network(Clock):
    """The streams between the nodes of a world."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.hosts: dict[str, Host] = {}
        """The living, by address."""
        self.holes: set[tuple[str, str]] = set()
        self.severed: dict[frozenset[str], bool] = {}
        """Pairs of names with no way between them, and whether something accepts their dials all the same."""
        self.unreachable: set[str] = set()
        """The names of nodes whose kernels know no way out, and say so."""
        self.loss = 0.0
        self.thread_lag_s = 0.0
        """How late one core of a node may hear of the other; 0 is at once, as in one thread."""
        self.redundant: list[tuple[float, frozenset[str]]] = []
        self.frame_fault: Callable[[End, LinkFrame, bytes], list[bytes]] | None = None
        self._unheard: dict[End, None] = {}
        self._conns = 0

    # --- dials --------------------------------------------------------------------------------------

    def dial(self, host: Host, dial: Dial | DialAddress) -> None:
        """Try to connect: it may be refused, and in a hole it times out."""
        self.later(self.latency(), self._connect, host, dial)

    def _connect(self, host: Host, dial: Dial | DialAddress) -> None:
        other = self.hosts.get(dial.address)
        pair = frozenset((host.me.name, other.me.name)) if other is not None else frozenset[str]()
        if not host.alive:
            return
        if host.me.name in self.unreachable:
            self._dial_failed(host, dial, "unreachable", self.latency())
        elif other is not None and self._in_hole(host, other):
            self._dial_failed(host, dial, "timeout", dial.timeout_s)
        elif other is None or self.severed.get(pair) is False:
            self._dial_failed(host, dial, "nothing-listens", self.latency())
        else:
            near, far = End(host, self._number()), End(other, self._number())
            near.peer, far.peer = far, near
            # The dialler is told before anything can arrive from the other side.
            far.arrival = self.now + self.latency()
            self.at(far.arrival, self._connected, near, dial)
            if pair in self.severed:
                far.open = False
                self.transmit(far, None)
            else:
                other.when_running(other.opened, far, None)

    def _connected(self, end: End, dial: Dial | DialAddress) -> None:
        if end.host.alive:
            end.host.when_running(end.host.opened, end, dial)
        else:
            end.open = False
            self.transmit(end, None)

    def _dial_failed(self, host: Host, dial: Dial | DialAddress, code: str, after_s: float) -> None:
        self.later(after_s, host.when_running, host.unconnected, dial, code)

    def _in_hole(self, host: Host, other: Host) -> bool:
        names = (host.me.name, other.me.name)
        return names in self.holes or names[::-1] in self.holes

    # --- streams ------------------------------------------------------------------------------------

    def transmit_frame(self, end: End, frame: LinkFrame) -> None:
        """Send a frame of a session, or what a fault makes of it."""
        data = LINK_CODEC.encode(frame)
        if isinstance(frame, Redundant):
            self.redundant.append((self.now, frozenset(end.way)))
        for piece in self.frame_fault(end, frame, data) if self.frame_fault else (data,):
            self.transmit(end, piece)

    def transmit(self, end: End, data: bytes | None) -> None:
        """Send bytes, or the end of the stream (None)."""
        if end.lost:
            return
        way = end.way
        swallowed, unanswered = way in self.holes, way[::-1] in self.holes
        waits = end.unheard is not None and self.now >= end.unheard + RETRANSMIT_S
        if (swallowed or unanswered) and end.unheard is None:
            end.unheard = self.now
            self._unheard[end] = None
            self.later(USER_TIMEOUT_S, self._give_up, end, self.now)
        if end.stuck or swallowed or waits:
            end.stuck.append(data)
            return
        delay, pause = self.latency(), RETRANSMIT_S
        while self.loss and self.rng.random() < self.loss and pause < USER_TIMEOUT_S:
            delay, pause = delay + pause, pause * 2
        end.arrival = max(end.arrival, self.now + delay)
        self.at(end.arrival, self._arrive, end.peer, data)

    def _arrive(self, end: End, data: bytes | None) -> None:
        host = end.host
        if not end.open or end.lost or not host.alive:
            # A closed end answers with a reset, unless what came was the end of the stream.
            if data is not None and end.peer.open:
                self._answer_with_a_reset(end)
            if data is not None:
                host.when_running(host.deliver_late, end, data)
        elif data is None:
            host.when_running(host.ended, end, "reset")
        else:
            host.when_running(host.deliver, end, data)

    def _answer_with_a_reset(self, end: End) -> None:
        """A reset is sent once, and not again if it gets lost: the next packet brings another."""
        if end.way not in self.holes:
            end.arrival = max(end.arrival, self.now + self.latency())
            self.at(end.arrival, self._arrive, end.peer, None)

    def _give_up(self, end: End, since: float) -> None:
        if end.unheard == since:
            end.lost, end.unheard = True, None
            self._unheard.pop(end, None)
            end.stuck.clear()
            end.host.when_running(end.host.ended, end, "silent")

    def heal(self, source: str, target: str, within_s: float = 0.0) -> None:
        """Close the hole in one direction; what waits in it goes on its way, when its sender tries again."""
        self.holes.discard((source, target))
        for end in [end for end in self._unheard if set(end.way) == {source, target}]:
            if within_s:
                self.later(self.rng.uniform(0, within_s), self._retransmit, end)
            else:
                self._retransmit(end)

    def _retransmit(self, end: End) -> None:
        way = end.way
        if end.lost or end.unheard is None or way in self.holes:
            return
        if way[::-1] not in self.holes:
            end.unheard = None
            self._unheard.pop(end, None)
        stuck, end.stuck = end.stuck, []
        for data in stuck:
            end.arrival = max(end.arrival, self.now + self.latency())
            self.at(end.arrival, self._arrive, end.peer, data)

    def cut(self, end: End, both: bool) -> None:
        """Reset a connection under one end, or under both at once."""
        for side in (end, end.peer) if both else (end,):
            if side.open and not side.lost:
                side.lost = True
                side.host.when_running(side.host.ended, side, "cut")

    def sever(self, one: str, other: str, *, accepts: bool) -> None:
        """Reset all connections of two nodes, and let no other come about; :meth:`restore` ends that."""
        self.severed[frozenset((one, other))] = accepts
        for host in tuple(self.hosts.values()):
            for end in (*host.ends.values(), *host.control_ends.values()):
                if frozenset(end.way) == frozenset((one, other)):
                    self.cut(end, both=True)

    def restore(self) -> None:
        """Make a way between all pairs that were severed."""
        self.severed.clear()

    def latency(self) -> float:
        """Return how long a packet takes."""
        return self.rng.uniform(*LATENCY_S)

    def _number(self) -> int:
        self._conns += 1
        return self._conns
