"""The replication of groups with one peer: what we hold of it, and how far we have fed it.

Every frame either continues what is held or changes nothing. Who finds that something is missing asks for it with
``Sync``, and the heartbeat is what makes it show: it states how far the sender has fed us, and with what digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .frames import Ack, Heartbeat, LinkFrame, Position, Range, SnapBegin, SnapChunk, SnapEnd, Sync
from .identity import NodeId
from .oplog import WALK_FACTOR, GroupLog
from .queue_names import QueueNames
from .registry_statistics import RegistryCounters
from .replica import DigestMismatch, Replica
from .scopes import CHANNEL_SCOPE, QUEUE_SCOPE, SCOPES
from .sync import Feed
from .trie import TokenTrie, is_pattern
from .visible import VisibleGroups

__all__ = ["RegistryFrame", "Replication"]

_ScopeFrame = Sync | SnapBegin | SnapChunk | SnapEnd | Range | Ack

RegistryFrame = _ScopeFrame | Heartbeat
"""What a peer sends for a registry."""

_RESYNC: Final = "resync"
"""Why members leave that are held wrongly."""


class Replication:
    """One run of a peer: replicas of its logs and, while there is a session, the feeds of ours.

    Args:
        node: the peer.
        run: the random bytes of its run, since two runs may have one epoch if clocks are wrong.
        visible: where synced replicas are shown.
        counters: where it is counted what happens.
        entries_max: the most members that the peer may have.
    """

    def __init__(
        self, node: NodeId, run: bytes, visible: VisibleGroups, counters: RegistryCounters, entries_max: int
    ) -> None:
        self.node = node
        self.run = run
        self.up = False
        """Whether there is a session."""
        self.replicas = tuple(Replica(node, scope) for scope in range(len(SCOPES)))
        self.feeds: tuple[Feed, ...] = ()
        """By scope; none without a session."""
        self._visible = visible
        self._counters = counters
        self._entries_max = entries_max
        self._patterns: TokenTrie | None = None
        """The patterns among the channels' groups, while there is no session."""
        self._queues: QueueNames | None = None
        """Its queues, while there is no session."""

    def begin(self, logs: Sequence[GroupLog]) -> list[LinkFrame]:
        """Begin a session; returns the requests for what the peer has."""
        assert not self.up, self.node
        self.up, self._patterns, self._queues = True, None, None
        self.feeds = tuple(Feed(log) for log in logs)
        self._visible.touch()
        return [replica.sync() for replica in self.replicas]

    def end(self, reason: str) -> int:
        """End the session and keep what is held; returns how many members went out of sight."""
        assert self.up, self.node
        self.up = False
        self.feeds = ()
        visible = [replica for replica in self.replicas if replica.synced]
        for replica in self.replicas:
            replica.suspend()
        hidden = self._visible.hide(visible, reason)
        self._visible.touch()
        if hidden:
            self._visible.purged(self.node, reason, hidden)
        return hidden

    def wanted(self, scope: int, name: str) -> bool:
        """Whether the peer had members in the group ``name`` when its session ended; in channels, patterns count."""
        members = self.replicas[scope].members
        if name in members:
            return True
        if scope != CHANNEL_SCOPE:
            return False
        if self._patterns is None:  # found out when it is first asked: many sessions end, few publishes care
            self._patterns = TokenTrie()
            for group in filter(is_pattern, members):
                self._patterns.add(group)
        return bool(self._patterns) and any(True for _ in self._patterns.match(name))

    def wanted_queues(self, channel: str) -> list[str]:
        """Return the peer's queues, as its session ended, that a channel's publishes go to."""
        if self._queues is None:
            self._queues = QueueNames()
            for queue in self.replicas[QUEUE_SCOPE].members:
                self._queues.add(queue)
        return self._queues.covering(channel)

    def receive(self, frame: RegistryFrame) -> list[LinkFrame]:
        """Take a frame of the session; returns what to send in answer.

        Raises:
            ProtocolError: no peer that keeps to the protocol sends this; it changed nothing.
        """
        if isinstance(frame, Heartbeat):
            return self._compare(frame.positions)
        if frame.scope >= len(SCOPES):
            self._counters.ignored += 1
            return []
        return self._receive(frame, self.replicas[frame.scope], self.feeds[frame.scope])

    def pump(self, entries_max: int) -> list[LinkFrame]:
        """Return the next frames for the peer, with about ``entries_max`` entries in all."""
        frames: list[LinkFrame] = []
        for feed in self.feeds:
            before = feed.snapshots
            while entries_max > 0 and (frame := feed.pull(entries_max)):
                frames.append(frame)
                entries_max -= _cost(frame)
            self._counters.snapshots_sent += feed.snapshots - before
        return frames

    @property
    def positions(self) -> list[Position]:
        """How far the peer was sent our logs, but for those that it is still being sent what it asked for."""
        return [feed.position for feed in self.feeds if feed.position is not None]

    @property
    def waits(self) -> bool:
        """Whether the peer owes us a word about any of the logs."""
        return not all(feed.settled for feed in self.feeds) or not all(replica.synced for replica in self.replicas)

    @property
    def entries(self) -> int:
        """How many of the peer's members we hold, visible or not."""
        return sum(replica.count for replica in self.replicas)

    def validate(self) -> None:
        """Assert that replicas are true to their digests, and visible exactly while they are synced."""
        assert self.up == bool(self.feeds)
        for replica in self.replicas:
            replica.validate()
            index = self._visible.scopes[replica.scope]
            assert self.up or not replica.synced
            assert replica.synced == (self.node.name in index)
            assert index.groups_of(self.node.name) == (set(replica.members) if replica.synced else set())

    def _receive(self, frame: _ScopeFrame, replica: Replica, feed: Feed) -> list[LinkFrame]:
        taken = True
        match frame:
            case Range():
                return self._apply(frame, replica)
            case SnapEnd():
                return self._finish(frame, replica)
            case Sync():
                feed.answer(frame)
            case Ack():
                feed.acknowledge(frame)
            case SnapBegin():
                taken = replica.begin(frame, self._room(replica))
            case SnapChunk():
                taken = replica.stage(frame)
        self._counters.ignored += not taken
        return []

    def _apply(self, frame: Range, replica: Replica) -> list[LinkFrame]:
        try:
            diff = replica.apply(frame, self._room(replica))
        except DigestMismatch:
            return self._start_over(replica)
        if diff is None:
            self._counters.ignored += 1
            return []
        # An empty range says that we were sent all that was there when we asked.
        if frame.first > frame.last:
            self._admit(replica)
            return []
        self._counters.ranges_applied += 1
        if replica.synced:
            self._visible.changed(replica, diff)
        return [replica.ack()]

    def _finish(self, frame: SnapEnd, replica: Replica) -> list[LinkFrame]:
        before = replica.members
        complete = replica.finish(frame)
        if complete is None:
            self._counters.ignored += 1
            return []
        if not complete:
            self._counters.snapshots_rejected += 1
            return [replica.sync()]
        self._counters.snapshots_applied += 1
        if replica.synced:
            self._visible.replaced(replica, before)
        else:
            self._admit(replica)
        return [replica.ack()]

    def _compare(self, positions: Sequence[Position]) -> list[LinkFrame]:
        """Hold what is stated against what we have; returns the requests for what is missing."""
        stated = {position.scope: position for position in positions}
        replies: list[LinkFrame] = []
        for replica in self.replicas:
            position = stated.get(replica.scope)
            if position is None:
                behind = True  # it has not heard our request; one that is being served is not begun anew by another
            elif position.sequence == replica.applied:
                if position.digest != replica.digest:
                    replies += self._start_over(replica)
                    continue
                self._admit(replica)
                behind = False
            else:
                # A synced replica may be ahead of a heartbeat that was overtaken.
                behind = position.sequence > replica.applied or not replica.synced
            if behind:
                replies.append(replica.sync())
        return replies

    def _admit(self, replica: Replica) -> None:
        if not replica.synced:
            replica.synced = True
            self._visible.show(replica)

    def _start_over(self, replica: Replica) -> list[LinkFrame]:
        """Forget a replica that its owner disagrees with: better nothing than something wrong."""
        self._counters.digest_resyncs += 1
        if replica.synced:
            replica.suspend()
            self._visible.hide([replica], _RESYNC)
        replica.start_over()
        return [replica.sync()]

    def _room(self, replica: Replica) -> int:
        return self._entries_max - sum(other.reserved for other in self.replicas if other is not replica)


def _cost(frame: LinkFrame) -> int:
    """Return what a frame takes of a budget of entries, with the records that were read for it; at least 1."""
    match frame:
        case Range():
            entries = sum(len(numbers) for part in (frame.joins, frame.leaves) for _, numbers in part)
            return max(1, entries, (frame.last + 1 - frame.first) // WALK_FACTOR)
        case SnapChunk():
            return sum(len(numbers) for _, numbers in frame.entries)
        case _:
            return 1
