"""Tests of the simulator: each defect, planted in the shipped code, is found within a few seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from liminal_mesh.cluster.control import Control
from liminal_mesh.cluster.control_link import ControlLink
from liminal_mesh.cluster.dialing import Dialer
from liminal_mesh.cluster.digest import EntryDigest
from liminal_mesh.cluster.following import Following
from liminal_mesh.cluster.frames import Range
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.membership import Member, MeshMembership
from liminal_mesh.cluster.peering import Peering
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.replica import Diff, Replica
from liminal_mesh.cluster.replication import Replication
from liminal_mesh.cluster.session import Pair
from liminal_mesh.cluster.sessions import Sessions
from liminal_mesh.cluster.swim.judge import Judge
from liminal_mesh.cluster.swim.machine import Swim
from liminal_mesh.cluster.swim.redial import Redial
from liminal_mesh.cluster.visible import VisibleGroups

from .faults import Faults
from .simulation import simulate

SEEDS_MAX = 25
Plant = Callable[[pytest.MonkeyPatch], None]
PLANTS: list[Plant] = []
WORLDS: dict[Plant, Faults] = {}
"""Worlds in which a defect shows soon; the others show in any."""


def plant(defect: Plant) -> Plant:
    """Collect a defect."""
    PLANTS.append(defect)
    return defect


def plant_in(faults: Faults) -> Callable[[Plant], Plant]:
    """Collect a defect that takes certain faults to show."""

    def collect(defect: Plant) -> Plant:
        WORLDS[defect] = faults
        return plant(defect)

    return collect


# --- sessions and groups ---


@plant
def without_contiguity(patch: pytest.MonkeyPatch) -> None:
    """Apply a range wherever the replica stands, as an implementation would that has no positions."""
    apply = Replica.apply

    def anywhere(self: Replica, frame: Range, room: int) -> Diff | None:
        if frame.first == self.applied + 1 or frame.last < frame.first:
            return apply(self, frame, room)
        nobody: set[int] = set()
        joins = [(group, sorted(set(some) - self.members.get(group, nobody))) for group, some in frame.joins]
        leaves = [(group, sorted(set(some) & self.members.get(group, nobody))) for group, some in frame.leaves]
        joins, leaves = [pair for pair in joins if pair[1]], [pair for pair in leaves if pair[1]]
        digest = self.digest ^ self._hash.of_all(dict(joins)) ^ self._hash.of_all(dict(leaves))
        self.applied = frame.first - 1
        return apply(self, msgspec.structs.replace(frame, joins=joins, leaves=leaves, digest=digest), room)

    patch.setattr(Replica, "apply", anywhere)


@plant
def without_epochs(patch: pytest.MonkeyPatch) -> None:
    """Continue what is held of a name whatever its epoch and run, with no digest as a second line."""
    session_up = Registry.session_up

    def keep(self: Registry, peer: NodeId, run: bytes = b"") -> object:
        held = self._peers.get(peer.name)
        if held is not None:
            held.node, held.run = peer, run
            for replica in held.replicas:
                replica.node = peer
        return session_up(self, peer, run)

    patch.setattr(Registry, "session_up", keep)
    patch.setattr(EntryDigest, "of", lambda *_: 0)


@plant_in(Faults(weights={"cut": 1.0}, lose=0.3))
def without_heartbeat_check(patch: pytest.MonkeyPatch) -> None:
    """Never compare the position in a heartbeat: a lost range stays lost."""
    patch.setattr(Replication, "_compare", lambda *_: [])


@plant
def without_masking(patch: pytest.MonkeyPatch) -> None:
    """Leave the members of a lost peer in sight."""
    patch.setattr(VisibleGroups, "hide", lambda *_: 0)


@plant
def without_runs(patch: pytest.MonkeyPatch) -> None:
    """Take every node of one name for the same."""
    patch.setattr(Pair, "knows", lambda self, _: self.node is not None)


@plant
def without_ends(patch: pytest.MonkeyPatch) -> None:
    """Tell nobody that a session ended."""
    patch.setattr(Sessions, "down", lambda *_: None)


# --- control links ---


@plant
def a_replaced_link_that_is_reported_as_lost(patch: pytest.MonkeyPatch) -> None:
    """Tell the membership of every end of a link, though its successor stands."""
    gone = Control._gone

    def told(self: Control, link: ControlLink, *rest: object) -> None:
        replaced = link.conn in self._conns and link.g and self._links.get(link.node.name) is not link
        gone(self, link, *rest)  # type: ignore[arg-type]
        if replaced:
            self._do(self.swim.unlinked(link.node.name, "local", rest[-1]), rest[-1])  # type: ignore[arg-type]

    patch.setattr(Control, "_gone", told)


@plant_in(Faults(nodes=4, steps=40, pause_s=2.0, weights={"pause": 3.0, "cut": 3.0, "restart": 1.0}))
def newcomers_that_may_wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Give a connection that comes to nothing no deadline."""

    def patient(self: Control, now: float) -> object:
        self._do(self.swim.tick(now), now)
        return self._take()

    patch.setattr(Control, "tick", patient)
    patch.setattr(Control, "next_tick", lambda self: self.swim.next_tick())


@plant
def a_greeting_of_an_earlier_link_that_counts(patch: pytest.MonkeyPatch) -> None:
    """Take whatever link the decider greets on, though a later one stands."""
    greeted = Control._greeted

    def whichever(self: Control, link: ControlLink, now: float) -> None:
        if self._me.name > link.node.name:
            self._links.pop(link.node.name, None)
        greeted(self, link, now)

    patch.setattr(Control, "_greeted", whichever)


# --- gossip and sessions ---


@plant
def gossip_that_nobody_follows(patch: pytest.MonkeyPatch) -> None:
    """Hand what the nodes say of each other to nobody."""
    patch.setattr(Peering, "gossiped", lambda *_: [])


@plant
def meetings_that_gossip_does_not_hear_of(patch: pytest.MonkeyPatch) -> None:
    """Keep it to the sessions whom they have met."""
    patch.setattr(Swim, "met", lambda *_: [])


@plant
def the_dead_that_keep_their_sessions(patch: pytest.MonkeyPatch) -> None:
    """Go on with a member that is held for dead."""
    follow = Following._follow

    def alive(self: Following, member: Member, now: float) -> None:
        if member.state != "dead":
            follow(self, member, now)

    patch.setattr(Following, "_follow", alive)


@plant_in(Faults(nodes=4, weights={"restart": 3.0, "half_cut": 1.0, "hole": 1.0, "heal": 1.0}))
def an_earlier_run_that_keeps_its_session(patch: pytest.MonkeyPatch) -> None:
    """Follow what is said of the run that is linked, and of no other."""
    follow = Following._follow

    def only_it(self: Following, member: Member, now: float) -> None:
        contact = self._ledger.session_with(member.name)
        if contact is None or contact.handshake.node.epoch == member.epoch:
            follow(self, member, now)

    patch.setattr(Following, "_follow", only_it)


@plant
def the_dead_whose_groups_are_kept(patch: pytest.MonkeyPatch) -> None:
    """Free nothing of who is gone."""
    patch.setattr(Sessions, "free", lambda *_: None)


@plant
def the_departed_that_are_dialled(patch: pytest.MonkeyPatch) -> None:
    """Call whoever has left, as if it were dead."""
    changed = Redial.changed

    def dead(self: Redial, name: str, before: Member | None, after: Member | None, now: float) -> None:
        if after is not None and after.state == "left":
            after = replace(after, state="dead", reachable=False)
        changed(self, name, before, after, now)

    patch.setattr(Redial, "changed", dead)


@plant
def the_dead_with_whom_sessions_are_sought(patch: pytest.MonkeyPatch) -> None:
    """Dial whoever is gone for a session, for ever."""
    patch.setattr(Dialer, "rest", lambda *_, **__: None)


@plant
def a_view_that_changes_untold(patch: pytest.MonkeyPatch) -> None:
    """Tell no watcher that a member can be reached no more."""
    show = MeshMembership._show

    def quiet(self: MeshMembership, name: str) -> None:
        watchers = self._watchers
        if name not in self._linked:
            self._watchers = []
        show(self, name)
        self._watchers = watchers

    patch.setattr(MeshMembership, "_show", quiet)


@plant
def a_node_that_never_says_goodbye(patch: pytest.MonkeyPatch) -> None:
    """Leave without a word over the control links."""
    patch.setattr(Swim, "leave", lambda *_: [])


@plant_in(Faults(weights={"pause": 3.0, "part": 1.0, "heal": 1.0}, pause_s=1.0, eager=True))
def accusations_that_nobody_answers(patch: pytest.MonkeyPatch) -> None:
    """Let accusations of ourselves pass."""
    patch.setattr(Judge, "_about_us", lambda *_: None)


@pytest.mark.sim
@pytest.mark.parametrize("defect", PLANTS)
def test_a_planted_defect_is_found(defect: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """A property of the simulator fails, or an assertion of the product does."""
    defect(monkeypatch)

    with pytest.raises(AssertionError, match=r"seed \d+"):
        _hunt(WORLDS.get(defect))


def _hunt(faults: Faults | None) -> None:
    for seed in range(SEEDS_MAX):
        simulate(seed, faults)
