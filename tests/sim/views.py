"""What must hold of every node's view of the mesh after every step, whatever happens; one method for each property.

M1  A record only gives way to one that counts for more, and what was purged does not come back (G2), unless it lives:
    a cut that lasts longer than tombstones are kept leaves nobody to tell it that it was held for dead.
M2  Only a run of a node itself raises its incarnation.
M3  The changes that were told, one by one, make the view as it is read.
M4  What is shown of a member is gossip's word, and it is reachable if its session stands.
M5  When gossip says that a run is over, or dead, its session ends in that moment; and one that comes about later does
    not last, since that run is told so.
M6  The control links of core, machine and shell are the same, and no connection stays what it is without becoming one.
M7  Of who is gone, and has no session, nothing is kept.
M8  Nobody dials, by its name, who said goodbye; and at rest no session is sought with the dead either.
"""

from __future__ import annotations

from collections import Counter

from liminal_mesh.cluster.effects import Dial, SessionDown, SessionUp
from liminal_mesh.cluster.membership import GONE, Member, MemberChanged
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.swim import DialAddress
from liminal_mesh.cluster.swim.record import Weight, weight
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState

from .host import Host

__all__ = ["Views"]

_OPTIONS = PeeringOptions("test", "nowhere:1")
OPENING_S = 2 * _OPTIONS.handshake_s + 2 * _OPTIONS.name_check_s + 1.0
"""What a connection may take to become a control link: its handshake begins anew once it says that it is to be one."""

OUTDATED_S = 10.0
"""What a session with such a run may last."""

_STATES = {state.name.lower(): state for state in RecordState}


class Views:
    """Follows the views of all nodes of a world from the outside. ``seen`` counts what came about.

    Args:
        runs_differ: no two runs of a node have the same epoch.
    """

    def __init__(self, *, runs_differ: bool) -> None:
        self.seen: Counter[str] = Counter()
        self.at_rest = False
        self.runs_differ = runs_differ
        self._best: dict[tuple[Host, str], Weight] = {}
        self._news: set[Host] = set()
        """Whose view has changed since it was checked."""
        self._changes: dict[Host, list[Member]] = {}
        """What was told in the step that is under way."""
        self._steps = 0
        self._mirrors: dict[Host, dict[str, Member]] = {}
        self._incarnations: Counter[tuple[str, int]] = Counter()

    def follow(self, host: Host) -> None:
        """Follow a node from its start."""
        mirror = self._mirrors[host] = {member.name: member for member in host.core.membership.members()}

        def told(change: MemberChanged) -> None:
            member = change.after or change.before
            assert member is not None
            assert mirror.get(member.name) == change.before, f"M3: {host} told {change} after {mirror}"
            self._news.add(host)
            assert change.before != change.after, f"M3: {host} told of no change: {change}"
            mirror.pop(member.name, None)
            if change.after is not None:
                mirror[member.name] = change.after
                if change.before is None or _run(change.before) != _run(change.after):
                    self._changes.setdefault(host, []).append(change.after)
            # Tombstones come and go late: no digest covers them, and they are found when views are compared anyhow.
            tombstone = (change.before is None or change.after is None) and member.state in {"dead", "left"}
            assert not self.at_rest or tombstone, f"G3: {host} saw {change} though nothing happens"

        host.core.membership.watch(told)
        host.watchers.append(lambda effect: self._gossiped(host, effect))

    def check(self, host: Host) -> None:
        """Check a node after a step of its sessions."""
        members = {member.name: member for member in host.core.membership.members()}
        assert members == self._mirrors[host], f"M3: {host} shows {members} and told {self._mirrors[host]}"
        for member in self._changes.pop(host, ()):
            session = host.core.sessions().get(member.name)
            least = member.epoch + (member.state == "dead")
            # Who has waited for that session's end may have one with another node of that very name and epoch.
            kept = session is not None and session.peer.epoch < least and session.since < host.world.now
            assert not kept, f"M5: {host} keeps {session}: {member}"

    def check_control(self, host: Host) -> None:
        """Check a node after a step of its membership."""
        self._steps += 1
        self._check_links(host)
        if host.settled and (host in self._news or self._steps % 16 == 0):
            self._news.discard(host)
            self._check_members(host)

    def _check_members(self, host: Host) -> None:
        shown = sorted(map(_without_links, self._mirrors[host].values()))
        gossip = sorted(map(_without_links, host.control.swim.members()))
        if host.control.swim._board.gone:  # who has said goodbye hears of no new run, and sessions alone show those
            known = {member.name: member.epoch for member in host.control.swim.members()}
            new = {one.name for one in self._mirrors[host].values() if one.epoch > known.get(one.name, -1)}
            shown, gossip = ([one for one in held if one[0] not in new] for held in (shown, gossip))
        assert shown == gossip, f"M4: {host} shows {shown}, and gossip says {gossip}"
        sessions = host.core.sessions()
        for name, member in self._mirrors[host].items():
            session = sessions.get(name)
            if session is not None and session.peer.epoch < member.epoch:
                self.seen["outdated"] += 1
                lasted = host.world.now - session.since
                assert lasted < OUTDATED_S, f"M5: {host} has a session with {session.peer}, not {member}, for {lasted}"
            held = host.registry._peers.get(name)
            if session is None and held is not None:
                assert member.state not in GONE, f"M7: {host} keeps what it has of {held.node}: {member}"
            if name != host.me.name:
                reachable = session is not None and session.peer.epoch == member.epoch
                assert member.reachable == reachable, f"M4: {host} shows {member}, with {session}"

    def _check_links(self, host: Host) -> None:
        control, now = host.control, host.world.now
        assert control._conns.keys() == host.control_ends.keys(), f"M6: {host}"
        assert control._links.keys() == set(control.swim._board.linked), f"M6: {host}: {control._links.keys()}"
        for conn, link in control._conns.items():
            if link.g:
                assert control._links.get(link.node.name) is link, f"M6: {host} holds a link that is none: {link}"
            else:
                age = now - host.opened_at[conn]
                assert age < OPENING_S, f"M6: {host} waits for {conn} in {link.state!r} for {age:.1f} s"

    def _gossiped(self, host: Host, effect: object) -> None:
        match effect:
            case SessionUp() | SessionDown():
                self._news.add(host)
            case DialAddress(name=name) if name:
                record = host.control.swim._board.roster.get(name)
                assert record is None or record.state is not RecordState.LEFT, f"M8: {host} dials {effect}"
            case Dial(target=name) if name in self._mirrors[host] and self.at_rest:
                assert self._mirrors[host][name].state not in GONE, f"M8: {host} dials {effect}"
            case MemberChanged():
                self._news.add(host)
                self._changed(host, effect)

    def _changed(self, host: Host, effect: MemberChanged) -> None:
        before, after = effect.before, effect.after
        if after is None:
            self.seen["purged"] += 1
            if before is not None and (before.name, before.epoch) in {other.me for other in host.world.hosts.values()}:
                del self._best[host, before.name]
            return
        record = _record(after)
        best = self._best.get((host, after.name))
        assert best is None or weight(record) >= best, f"M1: {host} holds {record} after {best}"
        self._best[host, after.name] = weight(record)
        run = after.name, after.epoch
        if after.name == host.me.name and after.epoch == host.me.epoch:
            self._incarnations[run] = max(self._incarnations[run], after.incarnation)
        elif self.runs_differ:
            raised = self._incarnations[run]
            assert after.incarnation <= raised, f"M2: {host} holds {record}, and it raised itself to {raised}"
        self._count(host, before, after)

    def _count(self, host: Host, before: Member | None, after: Member) -> None:
        if before is None:
            self.seen["joined"] += 1
            return
        if before.state != after.state:
            self.seen[f"{before.state} to {after.state}"] += 1
        if before.epoch != after.epoch:
            self.seen["succeeded"] += 1
            if before.address != after.address:
                self.seen["moved"] += 1
        if after.name == host.me.name and after.incarnation > before.incarnation:
            self.seen["refuted"] += 1


def _record(member: Member) -> MemberRecord:
    return MemberRecord(member.name, member.epoch, member.incarnation, _STATES[member.state], member.address)


def _run(member: Member) -> tuple[int, bool]:
    """Return what of a member its session follows."""
    return member.epoch, member.state == "dead"


def _without_links(member: Member) -> tuple[object, ...]:
    """Return what gossip alone says of a member."""
    return (member.name, member.epoch, member.incarnation, member.state, member.stalled, member.address)
