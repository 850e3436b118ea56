"""The process groups of the mesh, as one node knows them.

Each node is the only author of its own members and keeps a log of them for each scope (:mod:`.oplog`). Every
peer holds a replica of it (:mod:`.replica`) and is fed from the log by position (:mod:`.sync`). So there is no
conflict to resolve, and no update that could be lost: what a peer missed, it sees from the position in the next
heartbeat, and asks for.

A peer's members are visible while its session is up and its replica is synced. The end of a session hides them in
one call, and nothing that is late can bring them back; the replica is kept for a while, so that a short
interruption costs only what changed. While a peer has a session and is not synced, publishes go to it in any case
(:meth:`Registry.unsynced`): the receiver looks for subscribers among its own processes anyway.

Nothing here waits or knows the time. A change and its record are one call, as are a frame and all it brings about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from .frames import LinkFrame, Position
from .group_events import GroupEvent
from .identity import NodeId, Pid
from .oplog import GroupLog
from .registry_statistics import RegistryCounters, RegistryStatistics
from .replication import RegistryFrame, Replication
from .scopes import SCOPES
from .visible import VisibleGroups

__all__ = ["Registry"]

_RING_RECORDS: Final = 65_536
_ENTRIES_MAX: Final = 100_000


class Registry:
    """Own logs, replicas of the peers' logs, and the visible groups made of both.

    Args:
        me: this node.
        ring_records: how many of the last changes of each own log are kept for peers that fall behind.
        entries_max: the most members that one peer may have, over all scopes.
    """

    def __init__(self, me: NodeId, *, ring_records: int = _RING_RECORDS, entries_max: int = _ENTRIES_MAX) -> None:
        self.me = me
        self._entries_max = entries_max
        self._logs = tuple(GroupLog(me, scope, ring_records) for scope in range(len(SCOPES)))
        self._peers: dict[str, Replication] = {}
        self._visible = VisibleGroups()
        self._counters = RegistryCounters()
        for log, index in zip(self._logs, self._visible.scopes, strict=True):
            index.show(me, log.members)

    # --- own members --------------------------------------------------------------------------------

    def join(self, scope: int, group: str, number: int) -> bool:
        """Put process ``number`` of this node into a group; returns False if it is there already."""
        log = self._logs[scope]
        if not log.join(group, number):
            return False
        self._visible.joined(log, group, number)
        return True

    def leave(self, scope: int, group: str, number: int) -> bool:
        """Take process ``number`` of this node out of a group; returns False if it is not there."""
        log = self._logs[scope]
        if not log.leave(group, number):
            return False
        self._visible.left(log, group, number)
        return True

    def leave_all(self) -> None:
        """Take every process of this node out of every group."""
        for log in self._logs:
            for group, numbers in log.snapshot().groups:
                for number in numbers:
                    self.leave(log.scope, group, number)

    def position(self, scope: int) -> int:
        """Return the number of the last change of our own members."""
        return self._logs[scope].sequence

    # --- sessions -----------------------------------------------------------------------------------

    def session_up(self, peer: NodeId, run: bytes = b"") -> list[LinkFrame]:
        """Begin a session; returns the requests to send for what the peer has.

        What is held of the same epoch and the same ``run`` is kept, to be continued; of another it is dropped.
        """
        assert peer.name != self.me.name
        held = self._peers.get(peer.name)
        if held is None or (held.node, held.run) != (peer, run):
            assert held is None or not held.up, peer
            held = Replication(peer, run, self._visible, self._counters, self._entries_max)
            self._peers[peer.name] = held
        return held.begin(self._logs)

    def session_down(self, name: str, reason: str) -> int:
        """End a session: hide the peer's members, and keep what is held; returns how many went out of sight."""
        held = self._session(name)
        return held.end(reason) if held else 0

    def free(self, name: str) -> None:
        """Drop what is held of a peer that has no session."""
        held = self._peers.get(name)
        if held is not None and not held.up:
            del self._peers[name]
            self._visible.touch()

    def receive(self, peer: NodeId, frame: RegistryFrame) -> list[LinkFrame]:
        """Take a frame of a peer's session; returns what to send in answer.

        Raises:
            ProtocolError: no peer that keeps to the protocol sends this; it changed nothing.
        """
        held = self._session(peer.name)
        if held is None or held.node != peer:
            self._counters.late += 1
            return []
        return held.receive(frame)

    def pump(self, name: str, entries_max: int) -> list[LinkFrame]:
        """Return the next frames of our logs for a peer, and count them as sent; none if there is nothing to send.

        They have about ``entries_max`` entries in all. Call it again when there is room for more.
        """
        held = self._session(name)
        return held.pump(entries_max) if held else []

    def lag(self, name: str) -> int:
        """Return how many changes a peer has not been sent, and entries of snapshots under way to it.

        At 0 there may still be a frame without entries to send, such as the end of a snapshot.
        """
        held = self._session(name)
        return sum(feed.lag for feed in held.feeds) if held else 0

    def positions(self, name: str) -> list[Position]:
        """Return how far a peer was sent our logs, for the heartbeat to it.

        A log is left out while the peer has not asked for it, or is being sent what it asked for.
        """
        held = self._session(name)
        return held.positions if held else []

    def waits(self, name: str) -> bool:
        """Whether a peer owes us a word: it has not asked, or not confirmed what it was sent, or we hold not all."""
        held = self._session(name)
        return held is not None and held.waits

    def acknowledged(self, name: str, scope: int) -> int:
        """Return how much of our log a peer has said that it holds; 0 without a session."""
        held = self._session(name)
        return held.feeds[scope].acknowledged if held else 0

    def synced(self, name: str, scope: int) -> bool:
        """Whether a peer has a session and we hold all it had when we asked for it."""
        held = self._session(name)
        return held is not None and held.replicas[scope].synced

    # --- reads --------------------------------------------------------------------------------------

    def version(self, scope: int) -> int:
        """Return a number that grows whenever :meth:`nodes_of` or :meth:`unsynced` may answer differently."""
        return self._visible.scopes[scope].version

    def nodes_of(self, scope: int, name: str) -> frozenset[str]:
        """Return the nodes, this one included, with visible members in the group ``name``.

        In the channel scope also those with members in a pattern that matches it.
        """
        return self._visible.scopes[scope].nodes_of(name)

    def unsynced(self, scope: int) -> frozenset[str]:
        """Return the peers that have a session and whose members are not known yet: they get everything."""
        return frozenset(name for name, held in self._peers.items() if held.up and not held.replicas[scope].synced)

    def lost(self, scope: int, name: str) -> frozenset[str]:
        """Return the peers without a session that had members in the group ``name`` when it ended, and may be back."""
        held = self._peers.items()
        return frozenset(peer for peer, one in held if not one.up and one.wanted(scope, name))

    def queues_of(self, channel: str) -> list[str]:
        """Return the queues with visible members that a channel's publishes go to."""
        return self._visible.queues.covering(channel)

    def queue_members(self, queue: str) -> Mapping[str, set[int]]:
        """Return the visible members of a queue by node, this one included.

        The sets are the very ones that go on changing; the version changes when a node comes or goes.
        """
        return self._visible.queues.holders(queue)

    def lost_queues(self, channel: str) -> dict[str, list[str]]:
        """Return the queues that a channel's publishes go to of peers without a session, by peer; see :meth:`lost`."""
        lost = {peer: one.wanted_queues(channel) for peer, one in self._peers.items() if not one.up}
        return {peer: queues for peer, queues in lost.items() if queues}

    def members(self, scope: int, group: str) -> tuple[Pid, ...]:
        """Return the visible members of a group, sorted."""
        return self._visible.scopes[scope].members(group)

    def groups(self, scope: int) -> dict[str, tuple[Pid, ...]]:
        """Return every group that has visible members."""
        return self._visible.scopes[scope].groups()

    def interests(self, name: str, scope: int) -> frozenset[str]:
        """Return the groups in which a node has visible members."""
        return self._visible.scopes[scope].groups_of(name)

    def watch(self, callback: Callable[[GroupEvent], None]) -> Callable[[], None]:
        """Call ``callback`` for each change of the visible groups from now on; returns what ends that."""
        return self._visible.watch(callback)

    def statistics(self) -> RegistryStatistics:
        """Return how much there is, and what has happened so far."""
        entries = sum(log.count for log in self._logs) + sum(held.entries for held in self._peers.values())
        return RegistryStatistics(entries=entries, **asdict(self._counters))

    def validate(self) -> None:
        """Assert that logs, replicas and index tell one story. Costs as much as all entries together."""
        self._visible.validate()
        for log in self._logs:
            log.validate()
        for name, held in self._peers.items():
            assert name == held.node.name
            held.validate()

    def _session(self, name: str) -> Replication | None:
        held = self._peers.get(name)
        return held if held is not None and held.up else None
