"""The members that may be seen, and the only way by which that changes.

A peer's members are visible exactly while its session is up and synced. Own joins, ranges, snapshots, purges and
returns all come through here, so the index and the events cannot tell different stories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from .group_events import GroupEvent, GroupEvents, Interest, Joined, Left, Purged
from .identity import NodeId, Pid
from .index import GroupIndex, QueueIndex
from .oplog import GroupLog
from .replica import Diff, Replica
from .scopes import CHANNEL_SCOPE, QUEUE_SCOPE, SCOPES

__all__ = ["VisibleGroups"]


class VisibleGroups:
    """The visible members of every scope, with those who watch them."""

    def __init__(self) -> None:
        self.queues = QueueIndex()
        self.scopes = tuple(
            self.queues if scope == QUEUE_SCOPE else GroupIndex(patterns=scope == CHANNEL_SCOPE)
            for scope in range(len(SCOPES))
        )
        self._events = GroupEvents()

    def watch(self, callback: Callable[[GroupEvent], None]) -> Callable[[], None]:
        """Call ``callback`` for each event from now on; returns what ends that."""
        return self._events.watch(callback)

    def joined(self, log: GroupLog, group: str, number: int) -> None:
        """A process of our own joined."""
        if len(log.members[group]) == 1:
            self.scopes[log.scope].gain(log.node.name, group)
        if self._events:
            self._events.emit((Joined(log.scope, group, Pid(*log.node, number)),))

    def left(self, log: GroupLog, group: str, number: int) -> None:
        """A process of our own left."""
        if group not in log.members:
            self.scopes[log.scope].lose(log.node.name, group)
        if self._events:
            self._events.emit((Left(log.scope, group, Pid(*log.node, number), "leave"),))

    def changed(self, replica: Replica, diff: Diff) -> None:
        """A range was applied to a visible replica."""
        index, name = self.scopes[replica.scope], replica.node.name
        for group in diff.gained:
            index.gain(name, group)
        for group in diff.lost:
            index.lose(name, group)
        if self._events:
            self._events.emit(_told(replica, diff.joins, diff.leaves, _renewed(replica, diff), "leave"))

    def show(self, replica: Replica) -> None:
        """A replica became synced."""
        self.scopes[replica.scope].show(replica.node, replica.members)
        if self._events:
            self._events.emit(_told(replica, replica.members.items(), (), replica.members, ""))

    def replaced(self, replica: Replica, before: Mapping[str, set[int]]) -> None:
        """A snapshot took the place of what was visible ``before``: told as the difference."""
        index = self.scopes[replica.scope]
        index.hide(replica.node.name)
        index.show(replica.node, replica.members)
        if self._events:
            after = replica.members
            gained = [group for group in after if after[group].isdisjoint(before.get(group, ()))]
            self._events.emit(_told(replica, _without(after, before), _without(before, after), gained, "leave"))

    def hide(self, replicas: Sequence[Replica], reason: str) -> int:
        """Some replicas are synced no more; returns how many members went out of sight."""
        hidden = sum(replica.count for replica in replicas)
        for replica in replicas:
            self.scopes[replica.scope].hide(replica.node.name)
        if self._events:
            # All scopes at once: who begins to watch at the first of these sees none of them any more.
            told = [_told(replica, (), replica.members.items(), (), reason) for replica in replicas]
            self._events.emit([event for events in told for event in events])
        return hidden

    def purged(self, node: NodeId, reason: str, members: int) -> None:
        """All scopes of a node were hidden, because its session ended."""
        if self._events:
            self._events.emit((Purged(node, reason, members),))

    def touch(self) -> None:
        """Whether some peer is synced has changed, and nothing else."""
        for index in self.scopes:
            index.version += 1

    def validate(self) -> None:
        """Assert that each scope's index holds what the nodes have."""
        for index in self.scopes:
            index.validate()


def _told(
    replica: Replica,
    joins: Iterable[tuple[str, Iterable[int]]],
    leaves: Iterable[tuple[str, Iterable[int]]],
    gained: Iterable[str],
    reason: str,
) -> list[GroupEvent]:
    """Return the events of one change of a replica; made before the first is told, since watchers may change more."""
    (name, epoch), scope = replica.node, replica.scope
    events: list[GroupEvent] = [
        Joined(scope, group, Pid(name, epoch, number)) for group, numbers in joins for number in numbers
    ]
    events += [Left(scope, group, Pid(name, epoch, number), reason) for group, numbers in leaves for number in numbers]
    groups = tuple(gained)
    if groups:
        events.append(Interest(scope, replica.node, groups, replica.applied))
    return events


def _renewed(replica: Replica, diff: Diff) -> list[str]:
    """Return the groups of which all members are new: at its own node each of them is a group that began anew."""
    members = replica.members
    return [group for group, numbers in diff.joins if group in members and len(members[group]) == len(numbers)]


def _without(these: Mapping[str, set[int]], those: Mapping[str, set[int]]) -> Iterator[tuple[str, set[int]]]:
    nobody: set[int] = set()
    for group, numbers in these.items():
        yield group, numbers - those.get(group, nobody)
