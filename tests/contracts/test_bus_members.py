"""What every holder of a bus may rely on when it watches the nodes of the mesh: each change, or a new snapshot."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from itertools import pairwise

import pytest

from liminal_mesh.cluster import Member, MemberChanged, Pid
from liminal_mesh.node import changes
from liminal_mesh.node.client import Client
from liminal_mesh.node.client_watches import ClientMemberWatch
from liminal_mesh.node.errors import LimitExceeded, NoConnection, NotAuthorized
from liminal_mesh.node.node import Node
from liminal_mesh.node.values import MembersSnapshot
from liminal_mesh.node.watch import MemberWatch

from ..nodes import DEADLINE_S, mesh, node_config, until
from .holders import Held, Pair, cut, eventually, holder

Event = MembersSnapshot | MemberChanged
View = dict[str, Member]


async def following(watch: MemberWatch) -> Event:
    """Return the next event."""
    async with asyncio.timeout(DEADLINE_S):
        return await anext(watch)


def apply(view: View, event: Event) -> View:
    """Return the view after an event, which must continue the one before."""
    if isinstance(event, MembersSnapshot):
        names = [member.name for member in event.members]
        assert names == sorted(set(names))
        return {member.name: member for member in event.members}
    one = event.after or event.before
    assert one is not None
    assert view.get(one.name) == event.before, event
    others = {name: member for name, member in view.items() if name != one.name}
    return others if event.after is None else {**others, one.name: event.after}


async def seen(watch: MemberWatch, view: View, wanted: View) -> tuple[View, int]:
    """Follow a watch until it shows what is wanted; return that, and how many snapshots were among the events."""
    snapshots = 0
    while view != wanted:
        event = await following(watch)
        snapshots += isinstance(event, MembersSnapshot)
        view = apply(view, event)
    return view, snapshots


def view_of(node: Node) -> View:
    """Return what the node itself sees."""
    return {member.name: member for member in node.running.members()}


def acquainted(node: Node, *names: str) -> bool:
    """Whether a node could tell these that it leaves: it has a control link with each."""
    control = node.running.control
    assert control is not None
    return set(names) <= {member.name for member in control.swim.members() if member.reachable}


def other(number: int, epoch: int = 1) -> Member:
    """Return a member that is not there."""
    return Member(f"n{number}", epoch, number, "alive", number % 2 == 0, number % 3 == 0, f"10.0.0.{number % 250}:7601")


def watched(node: Node) -> int:
    """Return how many members' watches a node has."""
    return sum(map(len, node.running.hub.member_watches._watchers.values()))


def tell(node: Node, view: View, *members: Member) -> View:
    """Let the membership of a node change, as its watchers hear of it; return what is to be seen then."""
    for member in members:
        node.running.hub._member_changed(MemberChanged(view.get(member.name), member))
        view = {**view, member.name: member}
    return view


async def test_a_watch_begins_with_a_snapshot_of_what_members_says(pair: Pair) -> None:
    """Of both nodes, however they are held."""
    for bus in (pair.here, pair.there):
        async with bus.watch_members() as watch:
            assert repr(watch).endswith("members>")
            assert await following(watch) == MembersSnapshot(await bus.members())
    assert [member.name for member in await pair.here.members()] == ["a", "b"]


async def test_a_lone_node_sees_itself(held: Held) -> None:
    """With the fields that a mesh would show."""
    async with held.bus.watch_members() as watch:
        event = await following(watch)
        assert isinstance(event, MembersSnapshot)
        [member] = event.members
        assert (member.name, member.epoch, member.state) == ("a", held.node.epoch, "alive")
        assert (member.reachable, member.stalled) == (True, False)


async def test_each_change_is_told_with_what_was_before(pair: Pair) -> None:
    """A member's whole life, in order: unknown before, each field, and forgotten at the end."""
    life: list[Member | None] = [None, other(1)]
    for field in (
        {"incarnation": 7},
        {"stalled": True},
        {"state": "suspect"},
        {"state": "dead", "reachable": False},
        {"epoch": 2**63, "address": "[::1]:7601", "state": "alive"},
        {"state": "left"},
    ):
        assert life[-1] is not None
        life.append(replace(life[-1], **field))
    life.append(None)
    async with pair.here.watch_members() as watch:
        await following(watch)
        for before, after in pairwise(life):
            pair.a.running.hub._member_changed(MemberChanged(before, after))
        for before, after in pairwise(life):
            assert await following(watch) == MemberChanged(before, after)


async def test_a_node_that_leaves_is_seen_to_leave(pair: Pair) -> None:
    """Live: the changes lead from the snapshot to what the node itself then sees, without a hole."""
    async with pair.here.watch_members() as watch:
        view = apply({}, await following(watch))
        assert {member.state for member in view.values()} == {"alive"}
        await until(pair.b, lambda: acquainted(pair.b, "a"))
        leaving = asyncio.ensure_future(pair.b.stop())
        while view["b"].state != "left" or view["b"].reachable:
            event = await following(watch)
            assert isinstance(event, MemberChanged)
            view = apply(view, event)
        assert view == view_of(pair.a)
        await leaving


@pytest.mark.parametrize("behind", ["node", "client"])
async def test_a_watch_that_falls_behind_gets_a_new_snapshot(
    held: Held, monkeypatch: pytest.MonkeyPatch, behind: str
) -> None:
    """Instead of the changes it missed, never a change that does not continue what it saw; then changes go on."""
    monkeypatch.setattr(changes, "CHANGES_MAX", 8 if behind == "node" else 1 << 20)
    monkeypatch.setattr("liminal_mesh.node.client_watches.CHANGES_MAX", 8 if behind == "client" else 1 << 20)
    hub = held.node.running.hub
    async with held.bus.watch_members() as watch:
        view = apply({}, await following(watch))
        now = view
        monkeypatch.setattr(hub, "members", lambda: tuple(now[name] for name in sorted(now)))
        for number in range(200):
            now = tell(held.node, now, other(number % 90, epoch=1 + number))
            await asyncio.sleep(0)
        if isinstance(held.bus, Client) == (behind == "client"):  # else the other end has room for all of it
            if isinstance(watch, ClientMemberWatch):
                waiting = watch._events
                await eventually(lambda: any(isinstance(one, MembersSnapshot) for one in waiting))
            event = await following(watch)
            assert isinstance(event, MembersSnapshot)
            view = apply(view, event)
        view, _ = await seen(watch, view, now)
        last = replace(now["n7"], state="dead")
        tell(held.node, now, last)
        assert await following(watch) == MemberChanged(now["n7"], last)


async def test_a_large_mesh_is_one_snapshot(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it takes several frames."""
    members = tuple(sorted((other(number) for number in range(300)), key=lambda member: member.name))
    monkeypatch.setattr(held.node.running.hub, "members", lambda: members)
    async with held.bus.watch_members() as watch:
        assert await following(watch) == MembersSnapshot(members)
    assert await held.bus.members() == members


@pytest.mark.parametrize("how", ["left", "closed", "dropped"])
async def test_nothing_is_left_of_a_watch_that_is_over(held: Held, how: str) -> None:
    """Neither at the node nor at the client, also if it was only let go of."""
    watch: MemberWatch | None = held.bus.watch_members()
    assert watch is not None
    if how == "left":
        async with watch:
            await following(watch)
    else:
        await following(watch)
        assert watched(held.node) == 1
        if how == "closed":
            await watch.aclose()
    if how != "dropped":
        with pytest.raises(StopAsyncIteration):
            await anext(watch)
    watch = None
    gc.collect()
    await eventually(lambda: not held.node.running.hub.member_watches._watchers)
    if isinstance(held.bus, Client):
        assert not held.bus.watches._watches
        assert not held.bus.watches.iterated


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_watch_ends_with_its_bus(held: Held, waiting: bool) -> None:
    """Whether somebody waits for it in that moment or only later; one that was not begun never begins."""
    watch, late = held.bus.watch_members(), held.bus.watch_members()
    await following(watch)
    reader = asyncio.create_task(rest(watch)) if waiting else None
    await asyncio.sleep(0)
    assert isinstance(held.bus, Node | Client)
    async with asyncio.timeout(DEADLINE_S):
        await (held.bus.stop() if isinstance(held.bus, Node) else held.bus.close())
        for event in await (reader or rest(watch)):
            # The last that it may see is that it has left.
            assert isinstance(event, MemberChanged)
            assert event.after is not None
            assert (event.after.name, event.after.state) == ("a", "left")
        if isinstance(held.bus, Node):
            assert await rest(late) == []
        else:
            with pytest.raises(NoConnection):
                await rest(late)


async def rest(watch: MemberWatch) -> list[Event]:
    """Return everything to the end."""
    return [event async for event in watch]


async def test_an_opening_that_is_refused_can_be_tried_again(held: Held) -> None:
    """And leaves nothing behind."""
    watch = held.bus.watch_members()
    permit = held.node.running.hub.permit

    def deny(who: Pid, verb: str, name: str) -> None:
        raise NotAuthorized(verb, name)

    held.node.running.hub.permit = deny
    with pytest.raises(NotAuthorized, match="watch_members"):
        await following(watch)
    held.node.running.hub.permit = permit
    assert watched(held.node) == 0
    assert await following(watch) == MembersSnapshot(await held.bus.members())


async def test_members_can_be_watched_more_than_once(held: Held) -> None:
    """Each watch is told of everything, and the end of one is not the end of the other."""
    async with held.bus.watch_members() as one:
        async with held.bus.watch_members() as two:
            view = apply({}, await following(one))
            assert apply({}, await following(two)) == view
            tell(held.node, view, other(1))
            assert await following(one) == await following(two) == MemberChanged(None, other(1))
        tell(held.node, view, other(2))
        assert await following(one) == MemberChanged(None, other(2))


# --- a client whose connection is cut ---


async def test_a_watch_begins_with_a_snapshot_after_a_lost_connection() -> None:
    """What happened meanwhile is in it; then the changes go on."""
    async with mesh(2) as (a, b), holder("client", b) as client, client.watch_members() as watch:
        assert [member.name for member in apply({}, await following(watch)).values()] == ["a", "b"]
        await until(a, lambda: acquainted(a, "b"))
        cut(b)
        view: View = {}
        while not view:  # or a change that was told before the cut
            event = await following(watch)
            view = apply({}, event) if isinstance(event, MembersSnapshot) else {}
        assert view == view_of(b)
        await a.stop()
        while view["a"].state != "left":
            event = await following(watch)
            assert isinstance(event, MemberChanged)
            view = apply(view, event)


async def test_a_watch_that_the_node_refuses_after_a_lost_connection_says_so() -> None:
    """Whoever iterates is not left waiting."""
    async with Node(node_config("a")) as node, holder("client", node) as client:
        watch = client.watch_members()
        await following(watch)

        def deny(who: Pid, verb: str, name: str) -> None:
            raise NotAuthorized(verb, name)

        node.running.hub.permit = deny
        cut(node)
        with pytest.raises(NotAuthorized, match="watch_members"):
            await following(watch)


async def test_a_client_has_no_more_watches_than_it_may() -> None:
    """Watches of members count as those of groups do."""
    config = node_config("a", limits={"watches_per_connection": 2})
    async with Node(config) as node, holder("client", node) as client:
        async with client.watch_members(), client.watch_group("x"):
            with pytest.raises(LimitExceeded, match="watches_per_connection"):
                await following(client.watch_members())
        async with client.watch_members() as again:
            await following(again)
