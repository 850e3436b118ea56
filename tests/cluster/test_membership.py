"""What a node shows of the mesh: gossip's word, and its own sessions."""

from __future__ import annotations

from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.membership import Member, MemberChanged, Membership, MemberState, MeshMembership


def member(name: str, epoch: int, state: MemberState, incarnation: int = 0) -> Member:
    """Make what gossip says of a member, which knows nothing of sessions."""
    return Member(name, epoch, incarnation, state, True, False, f"{name}:1")


def test_gossip_says_who_is_alive_and_sessions_say_who_is_reachable() -> None:
    """Each change is one event, and no change is none."""
    shown = MeshMembership(NodeId("m", 1), "m:1")
    view: Membership = shown
    events: list[MemberChanged] = []
    unwatch = view.watch(events.append)
    alive, dead, later = member("a", 2, "alive"), member("a", 2, "dead"), member("a", 3, "alive")
    shown.linked(NodeId("a", 2), "a:1")
    shown.linked(NodeId("a", 2), "a:1")
    shown.gossiped(MemberChanged(None, alive))
    shown.unlinked("a")
    shown.gossiped(MemberChanged(alive, dead))
    shown.gossiped(MemberChanged(dead, later))
    shown.linked(NodeId("a", 3), "a:1")
    shown.unlinked("a")
    shown.gossiped(MemberChanged(later, None))

    told = [(event.after.epoch, event.after.state, event.after.reachable) for event in events if event.after]
    assert told == [
        (2, "alive", True),
        (2, "alive", False),
        (2, "dead", False),
        (3, "alive", False),
        (3, "alive", True),
        (3, "alive", False),
    ]
    assert events[-1].after is None
    assert [before.after for before in events[:-1]] == [after.before for after in events[1:]]

    unwatch()
    shown.linked(NodeId("b", 1), "b:1")
    assert len(events) == 7
    assert [(one.name, one.reachable) for one in view.members()] == [("b", True), ("m", True)]


def test_a_node_that_was_linked_before_gossip_heard_of_it_is_not_lost_from_view() -> None:
    """Its session's end makes it a suspect; gossip says what it is."""
    shown = MeshMembership(NodeId("m", 1), "m:1")
    shown.linked(NodeId("a", 2), "a:1")
    shown.unlinked("a")
    assert [(one.state, one.reachable) for one in shown.members()] == [("suspect", False), ("alive", True)]

    shown.gossiped(MemberChanged(None, member("a", 2, "alive")))
    assert [(one.state, one.reachable) for one in shown.members()] == [("alive", False), ("alive", True)]


def test_a_session_with_another_run_than_the_one_gossip_knows_reaches_nobody_else() -> None:
    """A later run is shown as it was met; an earlier one makes the known one no more reachable."""
    shown = MeshMembership(NodeId("m", 1), "m:1")
    shown.gossiped(MemberChanged(None, member("a", 2, "dead")))
    shown.linked(NodeId("a", 3), "a:9")
    assert (shown.members()[0].epoch, shown.members()[0].state, shown.members()[0].address) == (3, "alive", "a:9")

    shown.gossiped(MemberChanged(member("a", 2, "dead"), member("a", 2, "left")))
    assert (shown.members()[0].epoch, shown.members()[0].state, shown.members()[0].reachable) == (3, "alive", True)

    shown.gossiped(MemberChanged(None, member("b", 5, "alive")))
    shown.linked(NodeId("b", 4), "b:1")
    assert (shown.members()[1].epoch, shown.members()[1].reachable) == (5, False)
