"""Races of sessions, each constructed on a virtual clock: whole nodes, and one connection that is late."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from liminal_mesh.cluster.effects import Close, Dial, Failed, Send, SessionDown, SessionUp
from liminal_mesh.cluster.errors import NameInUse, StaleEpoch
from liminal_mesh.cluster.frames import Adopt, Auth, LinkFrame, Range, Redundant, Sync, Welcome
from liminal_mesh.cluster.group_events import Joined, Left, Purged
from liminal_mesh.cluster.identity import Pid
from liminal_mesh.cluster.peering import Peering
from liminal_mesh.cluster.session import Pair

from ..cluster.registry_pair import Mirror
from ..sim.host import End, Host
from ..sim.watching import all_linked, link, of
from ..sim.world import World
from .worlds import clog, conns, pair, unclog


def join(host: Host, *numbers: int, group: str = "x") -> None:
    """Let processes of a node join, and tell its core."""
    for number in numbers:
        host.registry.join(0, group, number)
    host.changed()


def joined(group: str, *numbers: int) -> Callable[[Host, bytes], None]:
    """Return what lets processes of a node join before it is linked with anybody."""

    def before(host: Host, _: bytes) -> None:
        for number in numbers:
            host.registry.join(0, group, number)

    return before


def seen(host: Host, group: str = "x") -> list[str]:
    """Return the members of a group that a node shows."""
    return [str(pid) for pid in host.registry.members(0, group)]


# --- late frames ------------------------------------------------------------------------------------


def test_r06_a_range_that_arrives_after_the_end_of_its_session_is_counted_and_changes_nothing() -> None:
    """R6: what was visible vanished in one call, and a frame that is late by an instant brings nothing back."""
    world, a, b = pair()
    join(a, 1)
    world.run(0.1)
    mirror = Mirror(b.registry)
    end = link(b, "a")
    join(a, 2, 3)
    world.cut(end, both=False)
    assert seen(b) == []
    assert mirror.events[-1] == Purged(a.me, "cut", 1)
    world.run(0.01)

    assert b.core.fenced == 1
    assert (seen(b), b.core.sessions()) == ([], {})
    assert not any(isinstance(event, Joined) for event in mirror.events)
    world.run(2)
    assert seen(b) == ["a.1.1", "a.1.2", "a.1.3"]


def test_r07_the_old_link_drains_into_nothing_while_the_new_one_carries_the_session() -> None:
    """R7: it was ended before its successor began; joins and leaves that it still delivers are counted, and no more."""
    world, a, b = pair()
    old = link(a, "b")
    clog(old)
    join(a, 1, 2)
    a.registry.leave(0, "x", 1)
    a.changed()
    world.cut(link(b, "a"), both=False)  # only b has noticed; what a wrote is still on its way
    took = world.run_until(lambda: bool(seen(b)), 2)
    assert took < 1
    join(a, 3)
    a.registry.leave(0, "x", 2)
    a.changed()
    world.run(0.1)
    assert seen(b) == ["a.1.3"]
    unclog(world, old)
    world.run(0.1)

    assert b.core.fenced >= 2
    assert seen(b) == ["a.1.3"]
    for host in (a, b):
        sessions = [type(effect) for effect in host.effects if isinstance(effect, SessionUp | SessionDown)]
        assert sessions == [SessionUp, SessionDown, SessionUp]


def test_without_the_fence_its_counter_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """R6: frames are handed on by name whatever their connection: nothing else fails, as masking hides them."""
    received = Peering.received

    def unfenced(self: Peering, conn: int, kind: int, frame: LinkFrame, now: float) -> object:
        if self.state(conn) != "closed":
            return received(self, conn, kind, frame, now)
        for name in ("a", "b"):
            if isinstance(frame, Range) and name != self._ledger.me.name and name in self._ledger.pairs:
                node = self._ledger.pairs[name].node
                assert node is not None
                self._sessions._registry.receive(node, frame)
        return []

    monkeypatch.setattr(Peering, "received", unfenced)
    with pytest.raises(AssertionError, match=r"where 0 = .*fenced"):
        test_r06_a_range_that_arrives_after_the_end_of_its_session_is_counted_and_changes_nothing()
    with pytest.raises(AssertionError, match=r"where 0 = .*fenced"):
        test_r07_the_old_link_drains_into_nothing_while_the_new_one_carries_the_session()


# --- restarts and names -----------------------------------------------------------------------------


def test_r08_a_restarted_node_takes_over_at_once_and_its_former_run_is_told_that_it_is_over() -> None:
    """R8: the old run goes down and its members vanish before the new one is up; a lower epoch learns the higher."""
    world, a, b = pair()
    join(a, 1)
    world.run(0.1)
    mirror = Mirror(b.registry)
    clog(link(a, "b"))
    world.crash(a)  # and its reset does not arrive: for b the old session stands
    again = world.add("a", "b", epoch=2, before=joined("x", 7))
    world.run_until(lambda: "a.2.7" in seen(b), 2)

    gone, come = [event for event in mirror.events if isinstance(event, Joined | Left)]
    assert gone in [Left(0, "x", Pid("a", 1, 1), why) for why in ("silence", "a later run is known")]
    assert come == Joined(0, "x", Pid("a", 2, 7))
    late = world.add("a", "b", epoch=1, address="late:7601")
    world.run_until(lambda: bool(of(Failed, late)), 2)
    world.crash(again)
    world.run(1)
    stale = world.add("a", "b", epoch=1, address="stale:7601")
    world.run_until(lambda: bool(of(Failed, stale)), 2)
    assert isinstance(of(Failed, late)[0].error, NameInUse)
    error = of(Failed, stale)[0].error
    assert isinstance(error, StaleEpoch)
    assert error.fields() == {"name": "a", "epoch": 1, "known": 2}


def test_r09_two_runs_of_one_epoch_are_two_nodes() -> None:
    """R9: the run's random bytes differ, so nothing of the first is continued, though every number would fit."""
    world, a, b = pair()
    join(a, 1, 2)
    world.run(0.1)
    world.crash(a)
    world.run(0.1)
    world.add("a", epoch=1, before=joined("y", 1, 2))
    asked = len(of(Send, b))
    world.run_until(lambda: bool(seen(b, "y")), 4)

    assert (seen(b), seen(b, "y")) == ([], ["a.1.1", "a.1.2"])
    syncs = [send.frame for send in of(Send, b)[asked:] if isinstance(send.frame, Sync)]
    assert {(sync.sequence, sync.digest) for sync in syncs} == {(0, 0)}
    assert b.registry.statistics().digest_resyncs == 0


def test_r10_of_two_live_nodes_with_one_name_the_newcomer_is_refused_within_half_a_second() -> None:
    """R10: the incumbent answers, both addresses are logged, and the session goes on."""
    world, a, b = pair()
    before = conns(a)
    second = world.add("a", "b", epoch=9, address="elsewhere:7601")
    took = world.run_until(lambda: bool(of(Failed, second)), 1)

    assert took < 0.5
    assert isinstance(of(Failed, second)[0].error, NameInUse)
    (notice,) = [one for one in b.effects if getattr(one, "event", "") == "name_in_use"]
    assert {notice.fields["address"], notice.fields["incumbent"]} == {"elsewhere:7601", "a:7601"}  # type: ignore[union-attr]
    world.run(3)
    assert conns(a) == before


# --- which connection is the session ----------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_r11_of_two_connections_that_are_proven_in_the_same_instant_one_is_the_session(order: int) -> None:
    """R11: both wait for their last proof; the decider adopts the first and calls the other redundant."""
    world = World()
    held: list[tuple[End, bytes]] = []

    def hold(end: End, frame: LinkFrame, data: bytes) -> list[bytes]:
        if not isinstance(frame, Welcome | Auth) or end.host.me.name == "a":
            return [data]
        held.append((end, data))
        return []

    world.frame_fault = hold
    a, b = world.add("a", "b"), world.add("b", "a")
    world.run(0.5)
    assert len(held) == len(a.ends) == len(b.ends) == 2
    world.frame_fault = None
    for end, data in held[::order]:
        end.arrival = 0.0
        world.transmit(end, data)
    world.run(3)

    answers = [send.frame for send in of(Send, a) if isinstance(send.frame, Adopt | Redundant)]
    assert sorted({type(answer).__name__ for answer in answers}) == ["Adopt", "Redundant"]
    assert sum(isinstance(answer, Adopt) for answer in answers) == 1
    assert len(of(SessionUp, a)) == len(of(SessionUp, b)) == len(a.ends) == len(b.ends) == 1
    assert link(a, "b").peer is link(b, "a")
    assert a.core.sessions()["b"].g == b.core.sessions()["a"].g == 1


def recovery(loser: str) -> float:
    """Return how long a link stays down of which only one side has seen the end, with a connection that is dead."""
    world, a, b = pair()
    side, other = (b, a) if loser == "b" else (a, b)
    end = link(other, side.me.name)
    clog(end)  # nothing of the other's old connection arrives, nor is it reset
    clog(end.peer)
    world.cut(end.peer, both=False)
    assert not side.core.sessions()
    assert other.core.sessions()
    lost = other.core.sessions()[side.me.name].g

    def again() -> bool:
        return all_linked(a, b) and other.core.sessions()[side.me.name].g > lost

    return world.run_until(again, 60)


def test_r12_a_proof_of_loss_replaces_the_session_at_once_and_without_the_rule_after_the_timers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R12: "none stands here, and the last was the one that stands there"; without it recovery waits for silence."""
    with_rule = recovery("b")
    monkeypatch.setattr(Pair, "_lost_there", lambda *_: False)
    without = recovery("b")

    assert with_rule < 0.6
    assert without > 4


def test_r12_the_decider_needs_no_proof_of_its_own_loss() -> None:
    """R12: a greater number ends what only the other side still has."""
    assert recovery("a") < 0.6


def test_r12_a_second_connection_without_proof_is_redundant() -> None:
    """R12: while the session stands on both sides, dialling it again changes nothing on either."""
    world, a, b = pair()
    before = (conns(a), conns(b))
    world.dial(b, Dial("again", a.address, 1.0))
    world.run(1)

    assert (conns(a), conns(b)) == before
    assert any(isinstance(send.frame, Redundant) for send in of(Send, a))


def test_r12_an_offer_that_is_not_answered_is_void_in_two_seconds() -> None:
    """R12: an Adopt whose answer never comes closes its connection, and the next one is adopted."""
    world = World()
    world.frame_fault = lambda _, frame, data: [] if isinstance(frame, Adopt) else [data]
    a, b = world.add("a"), world.add("b", "a")
    world.run(0.5)
    assert not a.core.sessions()
    world.frame_fault = None
    took = world.run_until(lambda: all_linked(a, b), 6)

    assert 1 < took < 4
    assert any("adopting" in close.reason for close in of(Close, a))


def test_r13_two_sides_that_mean_different_sessions_part_and_agree_anew() -> None:
    """R13: the number is in every heartbeat; one of another session ends the connection."""
    world, a, b = pair()
    assert a.core.sessions()["b"].g == b.core.sessions()["a"].g == 1
    b.core._ledger.pairs["a"].g = 2
    next(iter(b.core._ledger.linked())).g = 2
    world.run(46)

    assert any("another session" in close.reason for host in (a, b) for close in of(Close, host))
    world.run_until(lambda: all_linked(a, b), 3)
    assert a.core.sessions()["b"].g == b.core.sessions()["a"].g == 2
