"""How process groups are commonly kept in step, and what is wrong with it: patches of the shipped classes.

The *naive model* has no positions: a backfill of everybody when a link comes up, then one frame for each change,
applied as it comes. Over a wire that keeps order that is right, and a test shows that it is. Each defect on top of it
was shipped by somebody:

B1  Members change under a lock, and the word of it is sent after: a leave can overtake its join.
B2  A change for which a full lane has no room is dropped, in the belief that it will correct itself.
B3  The backfill is read from the table and written past the changes that wait in the lane.
B4  The backfill has a list of its own, which an exit does not clean.
B5  What a link still delivers after its end is applied.
"""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from liminal_mesh.cluster import SCOPES
from liminal_mesh.cluster.frames import LinkFrame, Range, Sync
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.oplog import GroupLog, Snapshot
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.replica import Diff, Replica
from liminal_mesh.cluster.replication import RegistryFrame, Replication
from liminal_mesh.cluster.sync import Feed

from ..cluster.registry_pair import A, B, Pair, Side

__all__ = [
    "b1_sent_after_the_change",
    "b2_dropped_when_full",
    "b3_backfill_past_the_lane",
    "b4_a_second_list",
    "b5_applied_after_the_end",
    "naive",
    "walk",
]

Patch = pytest.MonkeyPatch

LANE_RECORDS = 3
"""How many changes find room in the lane of the naive model."""

GROUPS = ("x", "y", "x.*")
GROUP_SCOPE = 3


# --- the model --------------------------------------------------------------------------------------


def naive(patch: Patch) -> None:
    """Make the shipped registry a naive one: no positions, nothing kept over the end of a link, no second look."""
    apply, end = Replica.apply, Replication.end
    nobody: set[int] = set()

    def applied_anywhere(self: Replica, frame: Range, room: int) -> Diff | None:
        joins = [(group, sorted({*some} - self.members.get(group, nobody))) for group, some in frame.joins]
        leaves = [(group, sorted({*some} & self.members.get(group, nobody))) for group, some in frame.leaves]
        joins, leaves = [one for one in joins if one[1]], [one for one in leaves if one[1]]
        digest = self.digest ^ self._hash.of_all(dict(joins)) ^ self._hash.of_all(dict(leaves))
        self.applied = frame.first - 1
        return apply(self, msgspec.structs.replace(frame, joins=joins, leaves=leaves, digest=digest), room)

    def everything_at_once(self: Feed, sync: Sync) -> None:
        self._asked = sync
        self._start_over()

    def purged(self: Replication, reason: str) -> int:
        hidden = end(self, reason)
        for replica in self.replicas:
            replica.start_over()
        return hidden

    patch.setattr(Replica, "apply", applied_anywhere)
    patch.setattr(Feed, "answer", everything_at_once)
    patch.setattr(Feed, "pull", _one_by_one(Feed.pull))
    patch.setattr(Replication, "end", purged)


def _one_by_one(pull: Any) -> Any:
    def single(self: Feed, _: int) -> LinkFrame | None:
        frame: LinkFrame | None = pull(self, 1)
        return frame

    return single


# --- its defects ------------------------------------------------------------------------------------


def b1_sent_after_the_change(patch: Patch) -> None:
    """B1: of two changes that wait to be sent, the second goes first if the first is a join."""
    pull = Feed.pull

    def overtaking(self: Feed, entries_max: int) -> LinkFrame | None:
        late: list[LinkFrame] = vars(self).setdefault("late", [])
        if late:
            return late.pop()
        frame = pull(self, entries_max)
        after = pull(self, entries_max) if isinstance(frame, Range) and frame.joins else None
        if frame is None or after is None:
            return frame
        late.append(frame)
        return after

    patch.setattr(Feed, "pull", overtaking)


def b2_dropped_when_full(patch: Patch) -> None:
    """B2: while more changes wait than there is room for, the next one is let go."""
    pull = Feed.pull

    def dropping(self: Feed, entries_max: int) -> LinkFrame | None:
        frame = pull(self, entries_max)
        while isinstance(frame, Range) and self._log.sequence - frame.last >= LANE_RECORDS:
            frame = pull(self, entries_max)
        return frame

    patch.setattr(Feed, "pull", dropping)


def b3_backfill_past_the_lane(patch: Patch) -> None:
    """B3: the set was read when it was asked for; what changed since goes first, by another way."""
    pull = Feed.pull

    def around(self: Feed, entries_max: int) -> LinkFrame | None:
        if self._snapshot is None or self._next > self._log.sequence:
            return pull(self, entries_max)
        frame = self._log.net(self._next, 1)
        self._next = frame.last + 1
        return frame

    patch.setattr(Feed, "pull", around)


def b4_a_second_list(patch: Patch) -> None:
    """B4: joins and leaves keep a list for backfills; an exit takes the process out of the groups, and not of it."""
    join, leave = Registry.join, Registry.leave

    def listed(log: GroupLog) -> dict[str, set[int]]:
        local: dict[str, set[int]] = vars(log).setdefault("local", {})
        return local

    def joined(self: Registry, scope: int, group: str, number: int) -> bool:
        listed(self._logs[scope]).setdefault(group, set()).add(number)
        return join(self, scope, group, number)

    def left(self: Registry, scope: int, group: str, number: int) -> bool:
        listed(self._logs[scope]).get(group, set()).discard(number)
        return leave(self, scope, group, number)

    def exited(self: Registry) -> None:
        for log in self._logs:
            for group, numbers in [(group, tuple(some)) for group, some in log.members.items()]:
                for number in numbers:
                    leave(self, log.scope, group, number)

    def backfill(self: GroupLog) -> Snapshot:
        groups = {group: sorted(some) for group, some in listed(self).items() if some}
        count = sum(map(len, groups.values()))
        return Snapshot(self.sequence, count, self._hash.of_all(groups), [*groups.items()])

    patch.setattr(Registry, "join", joined)
    patch.setattr(Registry, "leave", left)
    patch.setattr(Registry, "leave_all", exited)
    patch.setattr(GroupLog, "snapshot", backfill)


def b5_applied_after_the_end(patch: Patch) -> None:
    """B5: a frame counts for the node that it names, whether or not there is a session with it."""
    receive = Registry.receive

    def careless(self: Registry, peer: NodeId, frame: RegistryFrame) -> list[LinkFrame]:
        held = self._peers.get(peer.name)
        if held is None or held.up or not isinstance(frame, Range):
            return receive(self, peer, frame)
        held._apply(frame, held.replicas[frame.scope])
        held._admit(held.replicas[frame.scope])
        return []

    patch.setattr(Registry, "receive", careless)


# --- what shows it ----------------------------------------------------------------------------------


def walk(seed: int, *, heartbeats: bool = False) -> None:
    """Let two registries live for a while over one wire after another, each in order; then compare what they show.

    Raises:
        AssertionError: somebody shows what is not so; the message begins with the seed.
    """
    try:
        _Walk(seed).run(heartbeats)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error


class _Walk:
    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.pair = Pair(Registry(A, ring_records=16), Registry(B, ring_records=16))
        self.pair.check = lambda: None
        self.up = False
        self.numbers = 0

    def run(self, heartbeats: bool) -> None:
        """Take some steps, and let everything arrive."""
        actions = (self.join, self.leave, self.exit, self.step, self.link)
        for action in self.rng.choices(actions, (8, 6, 0.3, 4, 0.4), k=150):
            action()
            self.check_sessions()
        if not self.up:
            self.link()
        for action in self.rng.choices((self.join, self.leave, self.step), (8, 6, 4), k=60):
            action()
        self.pair.run()
        for _ in range(3 if heartbeats else 0):
            self.pair.heartbeat()
        a, b = self.pair.a, self.pair.b
        for side, other in ((a, b), (b, a)):
            side.mirror.check()
            for scope in range(len(SCOPES)):
                own = {group: {Pid(*side.registry.me, n) for n in some} for group, some in _members(side, scope)}
                shown = {
                    group: {pid for pid in some if pid.node == side.registry.me.name}
                    for group, some in other.registry.groups(scope).items()
                }
                assert {group: some for group, some in shown.items() if some} == own, "what is shown is not so"

    def check_sessions(self) -> None:
        """Assert that nothing is visible of a node without a session."""
        for side, other in ((self.pair.a, self.pair.b), (self.pair.b, self.pair.a)):
            shown = side.registry.interests(other.registry.me.name, GROUP_SCOPE)
            assert self.up or not shown, "shown without a session"

    def join(self) -> None:
        """A process joins, a new one or one that is there."""
        self.numbers += self.rng.random() < 0.7
        self._any().join(GROUP_SCOPE, self.rng.choice(GROUPS), self.numbers)

    def leave(self) -> None:
        """A process leaves, most often one that has just joined."""
        side = self.rng.choice((self.pair.a, self.pair.b))
        own = [(group, number) for group, some in _members(side, GROUP_SCOPE) for number in sorted(some)]
        if own:
            side.registry.leave(GROUP_SCOPE, *max(own, key=lambda entry: entry[1] - self.rng.choice((0, 9))))

    def exit(self) -> None:
        """All processes of a node end."""
        self._any().leave_all()

    def step(self) -> None:
        """Write what waits, and let one frame arrive on each side."""
        self.pair.step()

    def link(self) -> None:
        """Break the link, of which some frames may still arrive; or make another one."""
        if self.up:
            self.pair.down()
            for side, other in ((self.pair.a, self.pair.b), (self.pair.b, self.pair.a)):
                for _ in range(self.rng.randrange(4)):
                    if side.arriving:
                        self.pair.deliver(side, other, side.arriving.pop(0))
        else:
            self.pair.a.arriving.clear()
            self.pair.b.arriving.clear()
            self.pair.up()
        self.up = not self.up

    def _any(self) -> Registry:
        return self.rng.choice((self.pair.a, self.pair.b)).registry


def _members(side: Side, scope: int) -> list[tuple[str, set[int]]]:
    return list(side.registry._logs[scope].members.items())
