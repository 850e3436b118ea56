"""Who may have a session: whole nodes in a world of their own, joined through the shipped codec."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster.auth import derive_key
from liminal_mesh.cluster.effects import Dial, Failed, Notice, SessionDown, SessionUp
from liminal_mesh.cluster.errors import NameInUse, StaleEpoch
from liminal_mesh.cluster.frames import (
    AdoptAck,
    LinkFrame,
    Ping,
)
from liminal_mesh.cluster.identity import NodeId

from ..races.worlds import clog
from ..sim.host import End
from ..sim.watching import all_linked, control_link, link, notices, of
from ..sim.world import World, address_of


def test_two_nodes_that_dial_each_other_at_once_have_one_session() -> None:
    """R11: the lower name decides, and both mean the same connection."""
    for seed in range(20):
        world = World(seed)
        a, b = world.add("a", "b"), world.add("b", "a")

        world.run(3)

        assert all_linked(a, b)
        assert link(a, "b").peer is link(b, "a")
        assert a.core.sessions()["b"].g == b.core.sessions()["a"].g == 1
        assert len(of(SessionUp, a)) == len(of(SessionUp, b)) == 1
        assert len(a.ends) == len(b.ends) == 1
        assert len(of(Dial, a)) + len(of(Dial, b)) <= 3


@pytest.mark.parametrize(("cluster", "cookie", "code"), [("test", b"y", "cookie"), ("other", b"x", "cluster")])
def test_strangers_are_refused_and_keep_dialling(cluster: str, cookie: bytes, code: str) -> None:
    """Both sides say so in their logs, once; nothing else comes of it."""
    world = World()
    a = world.add("a", key=derive_key(b"x" * 32, "test"))
    b = world.add("b", "a", cluster=cluster, key=derive_key(cookie * 32, cluster))
    world.run(8)

    refusals = [notice.fields["code"] for host in (a, b) for notice in of(Notice, host)]
    assert refusals == [code, code]
    assert not a.core.sessions()
    assert not of(Failed, b)
    assert len(of(Dial, b)) > 4


def test_who_was_turned_away_and_why_is_kept_on_both_sides() -> None:
    """Until it gets its session; a stranger's words are made safe to print."""
    world = World()
    a = world.add("a")
    b = world.add("b", "a", key=derive_key(b"y" * 32, "test"))
    world.run(3)

    [attempt] = b.core.attempts()
    assert (attempt.address, attempt.code, attempt.peer) == ("a:7601", "cookie", "")
    assert attempt.detail
    [caller] = a.core.turned_away()
    assert (caller.peer, caller.address, caller.code) == ("b", "b:7601", "cookie")

    world.crash(b)
    b = world.add("b", "a", epoch=2)
    world.run_until(lambda: all_linked(a, b), 3)
    assert a.core.turned_away() == ()
    assert [attempt.code for attempt in b.core.attempts()] == ["linked", "linked"]


def test_how_many_are_remembered_that_were_turned_away_is_bounded() -> None:
    """Whoever calls may bear any name."""
    world = World()
    a = world.add("a")
    for number in range(100):
        stranger = world.add(f"s{number}", "a", cluster=f"other\x1b{number}")
        world.run(0.5)
        world.crash(stranger)

    callers = a.core.turned_away()
    assert [caller.peer for caller in callers] == [f"s{number}" for number in range(68, 100)]
    assert "\x1b" not in callers[0].reason


def test_a_node_seldom_dials_an_address_that_is_its_own() -> None:
    """It is recognized by its run and not by the address; by tomorrow another node may be there."""
    world = World()
    a = world.add("a", "a")
    world.run(11)

    assert len(of(Dial, a)) == 3
    assert notices(a) == []
    assert not a.ends


def test_a_second_node_with_a_live_name_is_refused_by_a_peer() -> None:
    """R10: the incumbent answers, the newcomer learns where it is, and the peer's log has both addresses."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(2)
    second = world.add("a", "b", epoch=5, address="elsewhere:7601")
    took = world.run_until(lambda: bool(of(Failed, second)), 2)

    (failed,) = of(Failed, second)
    assert isinstance(failed.error, NameInUse)
    assert failed.error.fields() == {"name": "a", "address": "a:7601"}
    assert took < 0.1
    assert all_linked(a, b)
    assert len(of(SessionUp, b)) == 1
    (notice,) = (notice for notice in of(Notice, b) if notice.event == "name_in_use")
    assert (notice.fields["address"], notice.fields["incumbent"]) == ("elsewhere:7601", "a:7601")


@pytest.mark.parametrize("epoch", [2, 9])
def test_a_second_node_with_a_live_name_is_refused_by_its_bearer(epoch: int) -> None:
    """Whoever is linked stays, whatever the clocks say."""
    world = World()
    a, b = world.add("a", epoch=5), world.add("b", "a")
    world.run(2)
    second = world.add("a", "a", epoch=epoch)
    world.hosts["a:7601"] = a
    world.run(1)

    (failed,) = of(Failed, second)
    assert isinstance(failed.error, NameInUse)
    assert not of(Failed, a)
    assert all_linked(a, b)


def test_of_two_namesakes_that_are_alone_the_first_stays() -> None:
    """It does not matter who dials whom."""
    for first_seeds, second_seeds in (("z", ""), ("", "z")):
        world = World()
        first = world.add("a", first_seeds.replace("z", "second"), epoch=1, address="first:7601")
        second = world.add("a", second_seeds.replace("z", "first"), epoch=2, address="second:7601")
        world.run(2)

        assert not of(Failed, first)
        assert len(of(Failed, second)) == 1


def test_a_newcomer_gets_the_name_of_a_node_that_is_silent() -> None:
    """R10: no byte within half a second ends the old session, and then the newcomer goes on."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name), world.add(other, name)
        old.registry.join(0, "x", 1)
        world.run(2)
        for end in (link(old, other), link(peer, name), control_link(old, other), control_link(peer, name)):
            clog(end)  # not even a reset gets through
        world.crash(old)

        new = world.add(name, other, epoch=2)
        took = world.run_until(lambda peer=peer: len(of(SessionUp, peer)) == 2, 2)  # type: ignore[misc]

        assert 0.5 <= took < 0.6
        (down,) = of(SessionDown, peer)
        assert (down.peer, down.removed) == (NodeId(name, 1), 1)
        assert down.reason in {"silence", "a later run is known"}
        assert peer.core.sessions()[name].peer == NodeId(name, 2)
        assert not of(Failed, new)


def test_the_last_bytes_of_a_dead_node_do_not_keep_its_name() -> None:
    """Bytes alone refuse a newcomer only when the time is up; the end of the stream comes first."""
    world = World()
    old, peer = world.add("a"), world.add("b", "a")
    world.run(2)
    world.holes |= {("a", "b")}
    end = link(old, "b")
    world.transmit_frame(end, Ping(7))
    world.crash(old)
    new = world.add("a", epoch=2)
    near, far = End(new, 900), End(peer, 901)
    near.peer, far.peer = far, near
    peer.opened(far, None)
    new.opened(near, Dial("b:7601", "b:7601", 1.0))
    world.later(0.1, world.heal, "a", "b")
    world.later(0.05, world.holes.clear)
    world.run_until(lambda: bool(new.core.sessions()), 3)

    assert peer.core.sessions()["a"].peer == NodeId("a", 2)
    assert not of(Failed, new)


def test_an_old_run_is_told_which_one_is_known() -> None:
    """R8: a lower epoch is refused, and may try again above the known one before it has issued a pid."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name, epoch=7), world.add(other, name)
        world.run(1)
        world.crash(old)
        world.run(1)
        new = world.add(name, other, epoch=3)
        world.run(2)

        (failed,) = of(Failed, new)
        assert isinstance(failed.error, StaleEpoch)
        assert failed.error.fields() == {"name": name, "epoch": 3, "known": 7}

        world.crash(new)
        world.add(name, other, epoch=failed.error.known + 1)
        world.run(2)
        assert peer.core.sessions()[name].peer == NodeId(name, 8)


def test_a_restarted_node_is_down_before_it_is_up() -> None:
    """R8: its old members are gone before its new session stands."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name), world.add(other, name)
        old.registry.join(0, "x", 1)
        world.run(1)
        world.crash(old)
        new = world.add(name, other, epoch=2)
        new.registry.join(0, "x", 2)
        world.run_until(lambda peer=peer: len(of(SessionUp, peer)) == 2, 1)  # type: ignore[misc]
        world.run(0.1)

        story = [effect for effect in peer.effects if isinstance(effect, SessionUp | SessionDown)]
        assert [(type(effect), effect.peer.epoch) for effect in story] == [
            (SessionUp, 1),
            (SessionDown, 1),
            (SessionUp, 2),
        ]
        assert [str(pid) for pid in peer.registry.members(0, "x")] == [f"{name}.2.2"]


def test_a_restart_with_the_same_epoch_is_another_run() -> None:
    """R9: what was held of the former run is dropped, and its sessions count for nothing."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name), world.add(other, name)
        old.registry.join(0, "x", 1)
        world.run(1)
        world.crash(old)
        new = world.add(name, other)
        new.registry.join(0, "y", 2)
        world.run(1)

        assert all_linked(new, peer)
        assert peer.registry.groups(0).keys() == {"y"}


@pytest.mark.parametrize("noticed_by", ["a", "b", "both"])
def test_after_a_reset_both_are_linked_again_within_a_second(noticed_by: str) -> None:
    """R12: whoever noticed proves the loss, even to a decider that holds the old session for good."""
    for seed in range(20):
        world = World(seed)
        a, b = world.add("a"), world.add("b", "a")
        world.run(2)
        end = link(b if noticed_by == "b" else a, "b" if noticed_by != "b" else "a")
        world.cut(end, both=noticed_by == "both")
        took = world.run_until(lambda a=a, b=b: all_linked(a, b) and a.core.sessions()["b"].g == 2, 2)  # type: ignore[misc]

        assert took < 1
        assert b.core.sessions()["a"].g == 2
        assert link(a, "b").peer is link(b, "a")


def test_a_node_that_leaves_lets_nobody_in() -> None:
    """Others are told why, and come back later."""
    world = World()
    a = world.add("a")
    a.drain()
    b = world.add("b", "a")
    world.run(1)

    assert not a.core.sessions()
    assert [notice.fields["code"] for notice in of(Notice, b)] == ["leaving"]


def test_no_more_peers_than_allowed() -> None:
    """The one too many is told so."""
    world = World(peers_max=2)
    a = world.add("a")
    for name in "bcd":
        world.add(name, "a")
        world.run(0.2)

    assert set(a.core.sessions()) == {"b", "c"}
    assert "refused_by_peer" in notices(world.hosts[address_of("d")])


def test_an_offer_that_is_not_answered_is_void() -> None:
    """The decider gives it up after two seconds, and offers the next connection at once."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    swallowed: list[LinkFrame] = []

    def swallow(_: End, frame: LinkFrame, data: bytes) -> list[bytes]:
        if isinstance(frame, AdoptAck) and not swallowed:
            swallowed.append(frame)
            return []
        return [data]

    world.frame_fault = swallow
    world.run_until(lambda: all_linked(a, b), 8)

    assert a.core.sessions()["b"].g == 2


def test_strangers_cannot_flood_the_log() -> None:
    """However many names they invent, refusals of one kind are one line in a while."""
    world = World()
    a = world.add("a", key=derive_key(b"x" * 32, "test"))
    for name in "bcdefgh":
        world.add(name, "a")
    world.run(5)

    assert notices(a) == ["peer_refused"] or notices(a) == ["refused_by_peer"]
    assert not any(len(notices(host)) > 1 for host in world.hosts.values())


def test_a_node_that_was_stopped_judges_no_name_before_it_has_read() -> None:
    """The incumbent's answer waits in the kernel while we are stopped; the wait begins anew."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(2)
    world.holes |= {("a", "b")}
    world.add("a", "b", epoch=5, address="elsewhere:7601")
    world.run(0.1)
    b.do(b.core.tick(world.now + 60))

    assert of(SessionDown, b) == []
    assert a.core.sessions()
