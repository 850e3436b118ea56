"""What must hold in a mesh after every step, whatever happens; one method for each property.

S1  A replica at position ``a`` of a run of a node equals that node's own members after its first ``a`` changes.
S2  The groups as they were told by events are the groups as they are read.
S3  A member is visible only while there is a session with its very node, and its replica is synced.
S8  No empty groups; logs, replicas and index agree.
S9  No session outlives the way to its peer for long, and no connection stays what it is without becoming one.
L3  Of a restarted node nothing old is visible any more when the first new member shows.
"""

from __future__ import annotations

from collections.abc import Callable

from liminal_mesh.cluster.effects import Failed, SessionDown, SessionUp
from liminal_mesh.cluster.group_events import GroupEvent, Joined, Left
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.scopes import SCOPES

from .host import End, Host

__all__ = ["Checker"]

_OPTIONS = PeeringOptions("test", "nowhere:1")
DEAD_WAY_S = 60.0
"""What a session may last when nothing of its peer can come any more, by whatever means that is found out."""

OPENING_S = _OPTIONS.handshake_s + _OPTIONS.name_check_s + 2 * _OPTIONS.adopt_s + 1.0
"""What a connection may take to become a session."""

Entry = tuple[str, int]
Run = tuple[NodeId, bytes]


class Checker:
    """Follows all nodes of a world from the outside.

    Args:
        may_fail: nodes may find their name taken; only where somebody takes names, or is heard long after its death.
    """

    def __init__(self, *, may_fail: bool) -> None:
        self.steps = 0
        self._may_fail = may_fail
        self._histories: dict[Run, tuple[list[frozenset[Entry]], ...]] = {}
        self._mirrors: dict[Host, set[tuple[int, str, Pid]]] = {}
        self._linked: dict[Host, dict[str, NodeId]] = {}
        self._marks: dict[Host, tuple[object, ...]] = {}
        self._dead_ways: dict[End, float] = {}

    def follow(self, host: Host, run: bytes) -> None:
        """Follow a node from its start."""
        self._histories[host.me, run] = tuple([frozenset()] for _ in SCOPES)
        self._mirrors[host] = set()
        self._linked[host] = {}
        host.registry.watch(self._watcher(host, run))
        host.watchers.append(lambda effect: self._effect(host, effect))

    def check(self, host: Host) -> None:
        """Check a node after a step."""
        self.steps += 1
        self._check_prefixes(host)
        self._check_visible(host)
        self._check_silence(host)
        mark = self._mark(host)
        if mark != self._marks.get(host) or self.steps % 16 == 0:
            self._marks[host] = mark
            host.registry.validate()

    def _mark(self, host: Host) -> tuple[object, ...]:
        """Return what cannot stay the same when the registry changes: validating it costs more than all the rest."""
        counters, scopes = host.registry._counters, range(len(SCOPES))
        applied = (counters.ranges_applied, counters.snapshots_applied, counters.digest_resyncs)
        return (applied, *map(host.registry.version, scopes), *map(host.registry.position, scopes))

    def _check_prefixes(self, host: Host) -> None:
        for name, held in host.registry._peers.items():
            histories = self._histories[held.node, held.run]
            for scope, replica in enumerate(held.replicas):
                entries = {(group, number) for group, numbers in replica.members.items() for number in numbers}
                assert replica.applied < len(histories[scope]), f"S1: {host} is ahead of {name}"
                assert entries == histories[scope][replica.applied], f"S1: {host} holds {name} wrongly"

    def _check_visible(self, host: Host) -> None:
        visible = {
            (scope, group, pid)
            for scope in range(len(SCOPES))
            for group, pids in host.registry.groups(scope).items()
            for pid in pids
        }
        assert visible == self._mirrors[host], f"S2: the events at {host} tell another story"
        linked = self._linked[host]
        for scope, node in {(scope, NodeId(pid.node, pid.epoch)) for scope, _, pid in visible}:
            if node != host.me:
                assert linked.get(node.name) == node, f"S3: {host} shows {node} without a session"
                assert host.registry.synced(node.name, scope), f"S3: {host} shows {node} unsynced"

    def _check_silence(self, host: Host) -> None:
        now = host.world.now
        for conn, end in host.ends.items():
            if host.core.state(conn) != "session":
                age = now - host.opened_at[conn]
                assert age < OPENING_S, f"S9: {host} waits for {conn} for {age:.1f} s"
                continue
            other = end.peer
            dead = end.lost or other.lost or not other.open or not other.host.alive or other.way in host.world.holes
            since = self._dead_ways.setdefault(end, now) if dead else self._dead_ways.pop(end, now)
            assert now - since < DEAD_WAY_S, f"S9: {host}: {conn} has been a session without a way for {now - since} s"

    def _watcher(self, host: Host, run: bytes) -> Callable[[GroupEvent], None]:
        histories, mirror = self._histories[host.me, run], self._mirrors[host]

        def watch(event: GroupEvent) -> None:
            match event:
                case Joined(scope, group, pid):
                    old = [pid for _, _, other in mirror if other.node == pid.node and other.epoch != pid.epoch]
                    assert not old, f"L3: {host} shows {pid} beside {old}"
                    assert (scope, group, pid) not in mirror, f"S2: {pid} joined twice at {host}"
                    mirror.add((scope, group, pid))
                    if pid.node == host.me.name:
                        histories[scope].append(histories[scope][-1] | {(group, pid.number)})
                case Left(scope, group, pid, _):
                    assert (scope, group, pid) in mirror, f"S2: {pid} left twice at {host}"
                    mirror.discard((scope, group, pid))
                    if pid.node == host.me.name:
                        histories[scope].append(histories[scope][-1] - {(group, pid.number)})
                case _:
                    pass

        return watch

    def _effect(self, host: Host, effect: object) -> None:
        linked = self._linked[host]
        match effect:
            case SessionUp(_, peer, _, _):
                assert peer.name not in linked, f"{host}: a session with {peer} before the end of the last"
                linked[peer.name] = peer
            case SessionDown(_, peer, _, _):
                assert linked.pop(peer.name) == peer
            case Failed(error):
                assert self._may_fail, f"{host} failed: {error}"
            case _:
                pass
