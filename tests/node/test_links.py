"""Links: who ends with whom, here and across nodes, whatever crosses on the way."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import NodeId, Pid, ProcessUnlink
from liminal_mesh.node.errors import LimitExceeded
from liminal_mesh.node.processes import FULL, NO_CONNECTION, NORMAL

from .process_tables import B, Side, Two

CRASH = "error: crash"


def test_a_crash_ends_those_who_are_linked_for_the_same_reason() -> None:
    """In both directions, and on to those who are linked with them."""
    side = Side()
    one, two, three = (side.spawn(name) for name in ("one", "two", "three"))
    side.table.link(one, two)
    side.table.link(three, two)

    side.table.exit(three, CRASH)

    assert side.told == [("three", CRASH), ("two", CRASH), ("one", CRASH)]


def test_a_normal_exit_ends_nobody_else() -> None:
    """The link is over, and the other one lives."""
    side = Side()
    one, two = side.spawn("one"), side.spawn("two")
    side.table.link(one, two)

    side.table.exit(one, NORMAL)

    assert side.told == [("one", NORMAL)]
    assert side.table.links(two) == ()
    side.table.validate()


def test_who_traps_lives_on() -> None:
    """The end of a linked process does not end it, and its other links stand."""
    side = Side()
    trapper, one, two = side.spawn("trapper", traps=True), side.spawn("one"), side.spawn("two")
    side.table.link(trapper, one)
    side.table.link(trapper, two)

    side.table.exit(one, CRASH)

    assert side.told == [("one", CRASH)]
    assert side.table.links(trapper) == (two,)


@pytest.mark.parametrize("reason", [NORMAL, CRASH])
@pytest.mark.parametrize("traps", [False, True])
def test_who_follows_ends_in_any_case(reason: str, traps: bool) -> None:
    """On a normal exit too, and even if it traps what comes from others."""
    side = Side()
    leader = side.spawn("leader")
    follower = side.spawn("follower", traps=traps, follows=leader)
    side.spawn("last", follows=follower)

    side.table.exit(leader, reason)

    assert side.told == [("leader", reason), ("follower", reason), ("last", reason)]


def test_who_follows_one_is_spared_by_the_normal_exit_of_another() -> None:
    """Following is of one process; a link with any other is as any link."""
    side = Side()
    leader, other = side.spawn("leader"), side.spawn("other")
    follower = side.spawn("follower", follows=leader)
    side.table.link(follower, other)

    side.table.exit(other, NORMAL)

    assert side.told == [("other", NORMAL)]


def test_following_goes_one_way() -> None:
    """A follower's normal end spares who is followed; its crash does not, unless that traps."""
    side = Side()
    leader = side.spawn("leader")
    side.table.exit(side.spawn("quiet", follows=leader), NORMAL)
    assert side.table.alive(leader)

    side.table.exit(side.spawn("loud", follows=leader), CRASH)

    assert not side.table.alive(leader)


def test_who_follows_one_that_is_over_ends_at_once() -> None:
    """Its owner is told before it knows of the process."""
    side = Side()
    leader = side.spawn("leader")
    side.table.exit(leader, NORMAL)

    follower = side.spawn("follower", follows=leader)

    assert not side.table.alive(follower)
    assert side.told[-1] == ("follower", NORMAL)


def test_a_link_with_one_that_is_over_brings_its_signal_at_once() -> None:
    """With its reason: a crash ends who links, a normal end does not."""
    side = Side()
    crashed, ended, one = side.spawn("crashed"), side.spawn("ended"), side.spawn("one")
    side.table.exit(crashed, CRASH)
    side.table.exit(ended, NORMAL)

    side.table.link(one, ended)
    assert side.table.alive(one)
    side.table.link(one, crashed)

    assert side.told[-1] == ("one", CRASH)
    side.table.validate()


def test_a_link_with_one_abroad_that_is_over_brings_its_reason() -> None:
    """The answer comes from its node, and nothing stays behind."""
    two = Two()
    one, other = two.a.spawn("one"), two.b.spawn("other")
    two.b.table.exit(other, CRASH)

    two.a.table.link(one, other)
    two.settle()

    assert two.a.told == [("one", CRASH)]
    assert two.a.table.statistics().links == two.b.table.statistics().links == 0


def test_linking_twice_is_once() -> None:
    """From either side, here and abroad: one unlink ends it."""
    two = Two()
    one, other = two.linked()
    two.a.table.link(one, other)
    two.b.table.link(other, one)
    assert not two.a.sent
    assert not two.b.sent

    two.b.table.unlink(other, one)
    two.settle()

    assert two.a.table.links(one) == two.b.table.links(other) == ()


def test_a_link_with_oneself_is_none() -> None:
    """Nothing is entered."""
    side = Side()
    one = side.spawn("one")

    side.table.link(one, one)

    assert side.table.links(one) == ()


def test_one_that_is_over_neither_links_nor_unlinks() -> None:
    """Its owner, when it is told, cannot take back the signals that are due."""
    side = Side()
    other, third = side.spawn("other"), side.spawn("third")

    def regret() -> None:
        side.table.unlink(one, other)
        side.table.link(one, third)

    one = side.spawn("one", regret)
    side.table.link(one, other)

    side.table.exit(one, CRASH)

    assert side.told == [("one", CRASH), ("other", CRASH)]
    assert side.table.alive(third)


@pytest.mark.parametrize("ends", ["a", "b"])
def test_a_crash_crosses_the_nodes(ends: str) -> None:
    """Whoever made the link, the end of either ends the other, and both entries are gone."""
    two = Two()
    one, other = two.linked()

    (two.a if ends == "a" else two.b).table.exit(one if ends == "a" else other, CRASH)
    two.settle()

    assert two.a.told == [("one", CRASH)]
    assert two.b.told == [("other", CRASH)]
    assert two.a.table.statistics().links == two.b.table.statistics().links == 0


def test_after_an_unlink_no_signal_arrives_even_from_the_way() -> None:
    """The exit had been sent before; it finds no link."""
    two = Two()
    one, other = two.linked()
    two.b.table.exit(other, CRASH)

    two.a.table.unlink(one, other)
    two.settle()

    assert two.a.table.alive(one)


def test_an_unlink_does_not_end_a_newer_link() -> None:
    """One side ends the link, the other has ended and made it anew: that one stands, on both sides."""
    two = Two()
    one, other = two.linked()
    two.b.table.unlink(other, one)
    two.a.table.unlink(one, other)
    two.a.table.link(one, other)

    two.settle()

    assert two.a.table.links(one) == (other,)
    assert two.b.table.links(other) == (one,)


def test_links_that_cross_are_one() -> None:
    """Both sides link at once; an unlink of what one has seen of it leaves both with the same."""
    two = Two()
    one, other = two.a.spawn("one"), two.b.spawn("other")
    two.a.table.link(one, other)
    two.b.table.link(other, one)
    two.settle()
    assert two.a.table.statistics().links == two.b.table.statistics().links == 1

    two.a.table.unlink(one, other)
    two.settle()

    assert two.b.table.links(other) == ()


def test_an_unlink_that_crosses_the_others_link_spares_that() -> None:
    """It names only the numbers that were seen: the other side's own link stands on both sides."""
    two = Two()
    one, other = two.a.spawn("one"), two.b.spawn("other")
    two.b.table.link(other, one)
    two.a.table.link(one, other)
    two.a.table.unlink(one, other)
    assert two.a.frames()[-1] == ProcessUnlink(one.number, other.number, 1, 0)

    two.settle()

    assert two.a.table.links(one) == (other,)
    assert two.b.table.links(other) == (one,)


def test_the_end_of_the_session_is_an_exit_for_all_links_there() -> None:
    """Both sides get their signal, also for a link that was still on its way."""
    two = Two()
    two.linked()
    late = two.a.spawn("late")
    two.a.table.link(late, Pid(*B, 1))

    two.down()

    assert two.a.told == [("one", NO_CONNECTION), ("late", NO_CONNECTION)]
    assert two.b.told == [("other", NO_CONNECTION)]
    assert two.a.table.statistics().links == two.b.table.statistics().links == 0


def test_a_lost_node_costs_no_links_with_others() -> None:
    """Links within the node and with a third one stand."""
    two = Two()
    two.a.table.node_up(NodeId("c", 1))
    one, trapper, third = two.a.spawn("one"), two.a.spawn("trapper", traps=True), Pid("c", 1, 1)
    for each in (one, third, Pid(*B, 1)):
        two.a.table.link(trapper, each)
    two.a.sent.clear()

    two.a.table.node_down(B)

    assert two.a.told == []
    assert two.a.table.links(trapper) == (one, third)
    two.a.table.validate()


def test_a_restarted_peer_is_another_node() -> None:
    """A link with its former run is over, one with the present run can be made, and numbers are not confused."""
    two = Two()
    one = two.a.spawn("one")
    two.a.table.node_down(B)
    two.a.table.node_up(NodeId("b", 8))
    trapper = two.a.spawn("trapper", traps=True)

    two.a.table.link(trapper, Pid("b", 8, 1))
    two.a.table.link(one, Pid(*B, 1))

    assert two.a.told == [("one", NO_CONNECTION)]
    assert len(two.a.frames()) == 1
    two.a.table.validate()


def test_a_user_who_asks_for_one_link_too_many_is_refused() -> None:
    """With the limit's name; a link that stands costs nothing to ask for again."""
    side = Side(entries_max=2)
    one, two, three = (side.spawn(name) for name in ("one", "two", "three"))
    side.table.link(one, two)

    with pytest.raises(LimitExceeded) as refused:
        side.table.link(one, three)
    side.table.link(two, one)

    assert (refused.value.name, refused.value.limit) == ("process_links", 2)
    assert side.table.links(three) == ()


def test_a_peer_that_asks_for_one_link_too_many_is_refused() -> None:
    """Its process hears why, and no half of a link is left."""
    two = Two(entries_max=1)
    one, other = two.a.spawn("one"), two.b.spawn("other")
    two.b.monitor("watch", other)

    two.a.table.link(one, other)
    two.settle()

    assert two.a.told == [("one", FULL)]
    assert two.b.table.alive(other)
    assert two.a.table.statistics().links == two.b.table.statistics().links == 0


def test_a_link_that_crosses_the_last_one_there_was_room_for_is_no_link_more() -> None:
    """Both sides link at once, and each is full with it: it is the same link."""
    two = Two(entries_max=1)
    one, other = two.a.spawn("one"), two.b.spawn("other")
    two.a.table.link(one, other)
    two.b.table.link(other, one)

    two.settle()

    assert two.a.table.links(one) == (other,)
    assert two.b.table.links(other) == (one,)


@pytest.mark.parametrize("traps", [False, True])
def test_a_refusal_that_crosses_a_newer_link_ends_that_on_both_sides(traps: bool) -> None:
    """The refused side has linked anew, and by now there is room: no half of it may stay."""
    two = Two(entries_max=1)
    one, other, third = two.a.spawn("one", traps=traps), two.b.spawn("other"), two.b.spawn("third")
    watch = two.b.monitor("watch", third)
    two.a.table.link(one, other)
    two.deliver(two.a)
    two.a.table.unlink(one, other)
    two.a.table.link(one, other)
    two.b.table.demonitor(watch)

    two.deliver(two.a)
    two.settle()

    assert two.a.table.statistics().links == two.b.table.statistics().links == 0
    assert two.b.table.alive(other)
