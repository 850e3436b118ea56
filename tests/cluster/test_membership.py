"""Membership by links alone."""

from __future__ import annotations

from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.membership import LinkMembership, MemberChanged, Membership


def test_links_are_what_is_known_of_members() -> None:
    """Linked is alive, drained is left, unlinked is dead; each change is one event, and no change is none."""
    links = LinkMembership(NodeId("m", 1), "m:1")
    view: Membership = links
    events: list[MemberChanged] = []
    unwatch = view.watch(events.append)
    links.linked(NodeId("a", 2), "a:1")
    links.linked(NodeId("a", 2), "a:1")
    links.unlinked("a")
    links.linked(NodeId("a", 3), "a:1")
    links.drained("a")
    links.unlinked("a")
    links.forget("a")
    links.forget("a")

    told = [(event.after.epoch, event.after.state, event.after.reachable) for event in events if event.after]
    assert told == [(2, "alive", True), (2, "dead", False), (3, "alive", True), (3, "left", True), (3, "left", False)]
    assert events[-1].after is None
    assert [before.after for before in events[:-1]] == [after.before for after in events[1:]]

    unwatch()
    links.linked(NodeId("b", 1), "b:1")
    assert len(events) == 6
    assert [(member.name, member.reachable) for member in view.members()] == [("b", True), ("m", True)]
