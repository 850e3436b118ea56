"""Process tables for the tests: one alone, or two whose frames wait on the way until they are delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import cast

from liminal_mesh.cluster import NodeId, Pid, ProcessFrame
from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.node.processes import ProcessTable

__all__ = ["A", "B", "Side", "Two"]

A = NodeId("a", 5)
B = NodeId("b", 7)


class Side:
    """One table, with all that its owners and watchers were told, in order."""

    def __init__(self, me: NodeId = A, entries_max: int = 1_000_000) -> None:
        self.sent: deque[bytes] = deque()
        self.told: list[tuple[str, str]] = []
        """Names of processes and watches, with the reasons."""
        self.failed: list[tuple[Pid, Exception]] = []
        self.table = ProcessTable(me, self._send, lambda pid, error: self.failed.append((pid, error)), entries_max)

    def spawn(
        self, name: str, then: Callable[[], object] | None = None, *, traps: bool = False, follows: Pid | None = None
    ) -> Pid:
        """Begin a process under a name; ``then`` is done when it is over."""
        return self.table.spawn("test", self.hears(name, then), traps=traps, follows=follows)

    def monitor(self, name: str, target: Pid, then: Callable[[], object] | None = None) -> int:
        """Watch a process under a name; ``then`` is done when that is over."""
        return self.table.monitor(target, self.hears(name, then))

    def hears(self, name: str, then: Callable[[], object] | None = None) -> Callable[[str], None]:
        """Return what notes a reason under a name, and then does something."""

        def told(reason: str) -> None:
            self.told.append((name, reason))
            if then is not None:
                then()

        return told

    def frames(self) -> list[ProcessFrame]:
        """Return what is on its way from here."""
        cut = FrameBuffer(64 * 1024)
        return [cast("ProcessFrame", LINK_CODEC.decode(*one)) for data in self.sent for one in cut.feed(data)]

    def _send(self, _: str, frame: ProcessFrame) -> None:
        self.sent.append(LINK_CODEC.encode(frame))


class Two:
    """Two nodes with a session."""

    def __init__(self, entries_max: int = 1_000_000) -> None:
        self.a = Side(A, entries_max)
        self.b = Side(B, entries_max)
        self.up()

    def up(self) -> None:
        """Begin a session."""
        self.a.table.node_up(B)
        self.b.table.node_up(A)

    def down(self) -> None:
        """End the session; what is on its way is lost."""
        self.a.sent.clear()
        self.b.sent.clear()
        self.a.table.node_down(B)
        self.b.table.node_down(A)
        self.a.sent.clear()
        self.b.sent.clear()
        self.check()

    def deliver(self, side: Side) -> None:
        """Let what is on its way from one side arrive at the other."""
        other, me = (self.b, A) if side is self.a else (self.a, B)
        for frame in side.frames():
            side.sent.popleft()
            other.table.receive(me, frame)
            other.table.validate()

    def settle(self) -> None:
        """Let everything arrive, and what that brings about."""
        while self.a.sent or self.b.sent:
            self.deliver(self.a)
            self.deliver(self.b)
        self.check()

    def linked(self) -> tuple[Pid, Pid]:
        """Return a process of each side, which are linked."""
        one, other = self.a.spawn("one"), self.b.spawn("other")
        self.a.table.link(one, other)
        self.settle()
        assert self.a.table.links(one) == (other,)
        assert self.b.table.links(other) == (one,)
        return one, other

    def check(self) -> None:
        """Assert that both tables are sound."""
        self.a.table.validate()
        self.b.table.validate()
