"""Some process tables, joined by streams of bytes, with what must be true of them as their users see it.

The tables, the codec and the frame buffer are the shipped ones. The sessions of a pair follow one another, and each
end of them goes on at its own time: one may long be gone, or in the next one, while the other has noticed nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.process_frames import ProcessFrame
from liminal_mesh.node.processes import FULL, NO_CONNECTION, NO_PROCESS, NORMAL, ProcessTable

__all__ = ["End", "Facts", "Node", "Process", "ProcessWorld", "Watch"]

FRAME_BYTES_MAX: Final = 64 * 1024


@dataclass
class Process:
    """What its owner knows of a process."""

    traps: bool
    follows: Pid | None
    reason: str | None = None


@dataclass
class Watch:
    """What a watcher knows of its watch."""

    by: NodeId
    target: Pid
    told: list[str] = field(default_factory=list)
    given_up: bool = False


class Facts:
    """What happened, as the users of all tables saw it; what they may not see is asserted at once."""

    def __init__(self) -> None:
        self.processes: dict[Pid, Process] = {}
        self.watches: list[Watch] = []
        self.asked: dict[Pid, str] = {}
        """Whom somebody ended, and why."""
        self.partners: dict[Pid, set[Pid]] = {}
        """Who was ever linked with whom, whether the other one could be reached or not."""

    def linked(self, pid: Pid, other: Pid) -> None:
        """Note that somebody asked for a link."""
        self.partners.setdefault(pid, set()).add(other)
        self.partners.setdefault(other, set()).add(pid)

    def exited(self, pid: Pid, reason: str) -> None:
        """Note what an owner was told; it must have a cause, and come once."""
        process = self.processes[pid]
        assert process.reason is None, f"{pid} ended twice: {process.reason}, {reason}"
        process.reason = reason
        if self.asked.get(pid) != reason:
            assert any(self._brings(pid, other, reason) for other in self.partners.get(pid, ())), f"{pid}: {reason}?"

    def down(self, watch: Watch, reason: str) -> None:
        """Note what a watcher was told; it must be true, and come once."""
        assert not watch.given_up, f"{watch} was given up, and is told {reason}"
        assert not watch.told, f"{watch} is told {reason} too"
        watch.told.append(reason)
        elsewhere = (NO_CONNECTION, FULL) if watch.target[:2] != watch.by else ()
        assert reason in (self.reason(watch.target), *elsewhere), f"{watch}: not {self.reason(watch.target)}"

    def reason(self, pid: Pid) -> str | None:
        """Return why a process ended, None while it lives."""
        return self.processes[pid].reason if pid in self.processes else NO_PROCESS

    def _brings(self, pid: Pid, other: Pid, reason: str) -> bool:
        """Whether the signal of one process can be why another one ended."""
        process = self.processes[pid]
        if (process.traps or reason == NORMAL) and process.follows != other:
            return False
        return reason == self.reason(other) or (other[:2] != pid[:2] and reason in (NO_CONNECTION, FULL))


class Session:
    """One session of a pair: who the two are, and what is on its way to each."""

    def __init__(self, nodes: tuple[NodeId, NodeId]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.streams = {node.name: bytearray() for node in nodes}
        self.broken = False


class End:
    """One node's end of all the sessions with one other, of which it is in one at a time."""

    def __init__(self, name: str, peer: str, sessions: list[Session]) -> None:
        self.name = name
        self.peer = peer
        self.up = False
        self._sessions = sessions
        self._place = 0
        self._buffer = FrameBuffer(FRAME_BYTES_MAX)

    @property
    def session(self) -> Session | None:
        """The session that this end is in, or comes to next."""
        return self._sessions[self._place] if self._place < len(self._sessions) else None

    def skip(self) -> None:
        """Have nothing to do with any session until now."""
        self.up, self._place = False, len(self._sessions)

    def advance(self, table: ProcessTable) -> bool:
        """Notice the next thing that happened to the sessions; returns whether there was anything."""
        session = self.session
        if session is None or (self.up and not session.broken):
            return False
        if self.up:
            self.up = False
            self._place += 1
            table.node_down(session.nodes[self.peer])
        else:
            self.up = True
            self._buffer = FrameBuffer(FRAME_BYTES_MAX)
            table.node_up(session.nodes[self.peer])
        return True

    def send(self, frame: ProcessFrame) -> None:
        """Put a frame on its way; a table must not send outside of a session."""
        session = self.session
        assert session is not None, f"{self.name} sends {frame} to {self.peer} before any session"
        assert self.up, f"{self.name} sends {frame} to {self.peer} without a session"
        session.streams[self.peer] += LINK_CODEC.encode(frame)

    def deliver(self, table: ProcessTable, most: int) -> bool:
        """Let up to ``most`` bytes arrive here; returns whether there were any."""
        session = self.session
        if not self.up or session is None or not session.streams[self.name]:
            return False
        stream = session.streams[self.name]
        data = bytes(stream[:most])
        del stream[:most]
        for kind, body in self._buffer.feed(data):
            table.receive(session.nodes[self.peer], cast("ProcessFrame", LINK_CODEC.decode(kind, body)))
        return True


class Node:
    """One node: the table of its present run, and its ends of all sessions."""

    def __init__(self, name: str, entries_max: int) -> None:
        self.name = name
        self.ends: dict[str, End] = {}
        self.failures = 0
        """How many of its owners and watchers failed."""
        self._entries_max = entries_max
        self._epoch = 0
        self.table = self.restart()

    @property
    def me(self) -> NodeId:
        """The present run."""
        return self.table.me

    def restart(self) -> ProcessTable:
        """Begin the next run, which knows nothing of the last one."""
        self._epoch += 1
        self.table = ProcessTable(NodeId(self.name, self._epoch), self._send, self._broken, self._entries_max)
        for end in self.ends.values():
            end.skip()
        return self.table

    def _send(self, peer: str, frame: ProcessFrame) -> None:
        self.ends[peer].send(frame)

    def _broken(self, _: Pid, error: Exception) -> None:
        if not isinstance(error, Failing):
            raise error
        self.failures += 1


class Failing(Exception):
    """What an owner or a watcher fails with in these worlds."""


class ProcessWorld:
    """Nodes, sessions and facts.

    Args:
        names: of the nodes.
        entries_max: how many links and monitors each may have.
        hook: called, with the node, when somebody was told something; may do anything to that node's table.
    """

    def __init__(self, names: str, entries_max: int, hook: Callable[[Node], None]) -> None:
        self.facts = Facts()
        self.nodes = {name: Node(name, entries_max) for name in names}
        self._hook = hook
        self._sessions: dict[tuple[str, str], list[Session]] = {}
        for one in names:
            for other in names[names.index(one) + 1 :]:
                sessions = self._sessions[one, other] = []
                self.nodes[one].ends[other] = End(one, other, sessions)
                self.nodes[other].ends[one] = End(other, one, sessions)

    @property
    def ends(self) -> list[End]:
        """All ends of all sessions."""
        return [end for node in self.nodes.values() for end in node.ends.values()]

    def living(self, node: Node | None = None) -> list[Pid]:
        """Return the processes that live, of all nodes or of one."""
        some = self.nodes.values() if node is None else [node]
        runs = {each.me: each.table for each in some}
        return [pid for pid in self.facts.processes if (table := runs.get(NodeId(*pid[:2]))) and table.alive(pid)]

    def spawn(self, node: Node, *, traps: bool, follows: Pid | None) -> None:
        """Begin a process; its owner may be told of its end before it knows of its beginning."""
        early: list[str] = []
        known: list[Pid] = []

        def exited(reason: str) -> None:
            if not known:
                early.append(reason)
                return
            assert not node.table.alive(known[0]), known[0]
            self.facts.exited(known[0], reason)
            self._hook(node)

        pid = node.table.spawn("test", exited, traps=traps, follows=follows)
        known.append(pid)
        self.facts.processes[pid] = Process(traps, follows)
        if follows is not None:
            self.facts.linked(pid, follows)
        for reason in early:
            self.facts.exited(pid, reason)

    def exit(self, node: Node, pid: Pid, reason: str) -> None:
        """End a process."""
        if node.table.alive(pid):
            self.facts.asked[pid] = reason
        node.table.exit(pid, reason)

    def link(self, node: Node, pid: Pid, other: Pid) -> None:
        """Link two processes."""
        self.facts.linked(pid, other)
        node.table.link(pid, other)

    def monitor(self, node: Node, target: Pid) -> tuple[int, Watch]:
        """Watch a process."""
        watch = Watch(node.me, target)

        def down(reason: str) -> None:
            self.facts.down(watch, reason)
            self._hook(node)

        ref = node.table.monitor(target, down)
        self.facts.watches.append(watch)
        return ref, watch

    def connect(self) -> bool:
        """Begin a session of every pair that has none; returns whether there was one."""
        missing = [pair for pair, sessions in self._sessions.items() if not sessions or sessions[-1].broken]
        for pair in missing:
            self._sessions[pair].append(Session((self.nodes[pair[0]].me, self.nodes[pair[1]].me)))
        return bool(missing)

    def cut(self, end: End) -> None:
        """End the last session of a pair; both ends have yet to notice."""
        session = end.session
        if session is not None:
            session.broken = True

    def restart(self, node: Node) -> None:
        """End a node with all its processes, and begin the next run of it."""
        for pair, sessions in self._sessions.items():
            if node.name in pair and sessions:
                sessions[-1].broken = True
        node.restart()

    def settle(self) -> None:
        """Let everything that is under way come to its end."""
        moved = True
        while moved:
            moved = False
            for end in self.ends:
                table = self.nodes[end.name].table
                moved = end.deliver(table, FRAME_BYTES_MAX) or end.advance(table) or moved
        self.validate()

    def validate(self) -> None:
        """Assert that every table is sound."""
        for node in self.nodes.values():
            node.table.validate()

    def check_rest(self) -> None:
        """Assert what must be true when nothing is under way."""
        linked = {(pid, other) for pid in self.living() for other in self.nodes[pid.node].table.links(pid)}
        for pid, other in linked:
            assert (other, pid) in linked, f"only {pid} is linked with {other}"
        for node in self.nodes.values():
            assert node.table.statistics().links == sum(pid.node == node.name for pid, _ in linked), node.name
            stand = [watch for watch in self.facts.watches if watch.by == node.me and self._stands(node, watch)]
            assert node.table.statistics().monitors == len(stand), f"{node.name}: {stand}"

    def _stands(self, node: Node, watch: Watch) -> bool:
        """Whether a watch must stand; if it must not, it must have been told."""
        there = self.nodes[watch.target.node]
        if watch.given_up or watch.told:
            return False
        assert there is node or node.ends[there.name].up, f"{watch} was not told of the end of the session"
        assert there.table.alive(watch.target), f"{watch} was not told of the exit"
        return True
