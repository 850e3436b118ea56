"""What every holder of a bus may rely on when it watches a group: a snapshot, then each change, or a new snapshot."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from liminal_mesh.cluster import GROUP_SCOPE, Pid
from liminal_mesh.node import changes
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.client import Client
from liminal_mesh.node.client_watches import ClientGroupWatch
from liminal_mesh.node.errors import NoConnection, NotAuthorized
from liminal_mesh.node.node import Node
from liminal_mesh.node.values import GroupSnapshot, Joined, Left
from liminal_mesh.node.watch import GroupWatch

from ..nodes import DEADLINE_S, mesh
from .holders import Held, Pair, cut, eventually, holder, stay
from .test_bus import BAD_NAMES

Event = GroupSnapshot | Joined | Left


async def events(watch: GroupWatch, count: int) -> list[Event]:
    """Return the next events."""
    async with asyncio.timeout(DEADLINE_S):
        return [await anext(watch) for _ in range(count)]


def table(node: Node) -> int:
    """Return how many groups are watched at a node."""
    return len(node.running.hub.watches._watchers)


async def test_a_watch_begins_with_a_snapshot_and_then_tells_each_change(pair: Pair) -> None:
    """Of members on both nodes; it says why a member is one no more."""
    process = await pair.there.spawn(stay)
    await pair.there.join("x", process.pid, wait="cluster")
    async with pair.here.watch_group("x") as watch:
        assert repr(watch).endswith("group 'x'>")
        assert await events(watch, 1) == [GroupSnapshot((process.pid,))]
        here = await pair.here.join("x")
        assert await events(watch, 1) == [Joined(pair.here.pid, "a")]
        await pair.there.join("x")
        assert await events(watch, 1) == [Joined(pair.there.pid, "b")]
        await pair.there.join("other")
        process.exit("killed")
        assert await events(watch, 1) == [Left(process.pid, "b", "leave")]
        await here.leave()
        assert await events(watch, 1) == [Left(pair.here.pid, "a", "leave")]
    assert await pair.here.group_members("x") == (pair.there.pid,)


async def test_a_channel_is_watched_in_its_own_scope(pair: Pair) -> None:
    """By the name or the pattern that was subscribed to; the group of that name is another one."""
    await pair.there.join("ticks", wait="cluster")
    async with (
        pair.here.watch_group("ticks", scope="channel") as name,
        pair.here.watch_group("m.*", scope="channel") as pattern,
        pair.here.watch_group("ticks", "group") as group,
    ):
        assert await events(name, 1) + await events(pattern, 1) == [GroupSnapshot(()), GroupSnapshot(())]
        assert await events(group, 1) == [GroupSnapshot((pair.there.pid,))]
        async with pair.there.subscribe("ticks") as one, pair.there.subscribe("m.*") as two:
            assert await events(name, 1) == [Joined(one.id, "b")]
            assert await events(pattern, 1) == [Joined(two.id, "b")]
        assert await events(name, 1) == [Left(one.id, "b", "leave")]


@pytest.mark.parametrize("scope", ["channel", "subject", "consumer", "group"])
async def test_each_scope_can_be_watched(held: Held, scope: str) -> None:
    """Also those that nobody is in yet."""
    async with held.bus.watch_group("x", scope) as watch:
        assert await events(watch, 1) == [GroupSnapshot(())]


@pytest.mark.parametrize("scope", ["", "groups", "Channel", "0"])
async def test_a_scope_that_is_none_is_refused(held: Held, scope: str) -> None:
    """And the error says which there are."""
    with pytest.raises(ValueError, match="channel, subject, consumer, group"):
        held.bus.watch_group("x", scope)
    gc.collect()


@pytest.mark.parametrize("name", [*BAD_NAMES, "x" * 5000, "\ud800"], ids=ascii)
async def test_what_can_be_no_group_cannot_be_watched(held: Held, name: str) -> None:
    """In any scope; a pattern can be, of channels alone. The bus is unharmed."""
    for scope in ("channel", "group"):
        with pytest.raises(ValueError):
            held.bus.watch_group(name, scope)
    with pytest.raises(ValueError):
        held.bus.watch_group("m.*", "group")
    await held.bus.members()


@pytest.mark.parametrize("behind", ["node", "client"])
async def test_a_watch_that_falls_behind_gets_a_new_snapshot(
    held: Held, monkeypatch: pytest.MonkeyPatch, behind: str
) -> None:
    """Instead of the changes it missed, and then the changes go on; nothing more than a bound waits for it."""
    monkeypatch.setattr(changes, "CHANGES_MAX", 8 if behind == "node" else 1 << 20)
    monkeypatch.setattr("liminal_mesh.node.client_watches.CHANGES_MAX", 8 if behind == "client" else 1 << 20)
    async with held.bus.watch_group("x") as watch:
        assert await events(watch, 1) == [GroupSnapshot(())]
        registry = held.node.running.registry
        for number in range(1000, 1200):
            registry.join(GROUP_SCOPE, "x", number)
            if number % 3:
                registry.leave(GROUP_SCOPE, "x", number - 1)
            await asyncio.sleep(0)
        seen: set[Pid] = set()
        snapshots = 0
        while seen != set(registry.members(GROUP_SCOPE, "x")):
            [event] = await events(watch, 1)
            snapshots += isinstance(event, GroupSnapshot)
            seen = apply(seen, event)
        if isinstance(held.bus, Client) == (behind == "client"):
            assert snapshots
        last = await joined(held.bus)
        assert (await events(watch, 1)) == [Joined(last, "a")]


async def joined(bus: Bus) -> Pid:
    """Let a new process join."""
    process = await bus.spawn(stay)
    await bus.join("x", process.pid)
    return process.pid


def apply(seen: set[Pid], event: Event) -> set[Pid]:
    """Return the members after an event, which must not tell what was known."""
    if isinstance(event, GroupSnapshot):
        assert list(event.members) == sorted(event.members)
        return set(event.members)
    assert (event.pid in seen) == isinstance(event, Left), event
    return seen ^ {event.pid}


async def test_a_large_group_is_one_snapshot(held: Held) -> None:
    """Though it takes several frames."""
    registry = held.node.running.registry
    pids = [Pid("a", held.node.epoch, 10_000 + number) for number in range(2500)]
    for pid in pids:
        registry.join(GROUP_SCOPE, "x", pid.number)
    async with held.bus.watch_group("x") as watch:
        assert await events(watch, 1) == [GroupSnapshot(tuple(pids))]


@pytest.mark.parametrize("how", ["left", "closed", "dropped", "broken-off"])
async def test_nothing_is_left_of_a_watch_that_is_over(held: Held, how: str) -> None:
    """Neither at the node nor at the client, also if it was only let go of."""
    watches = [held.bus.watch_group("x")]
    if how == "left":
        async with watches[0] as watch:
            await events(watch, 1)
    elif how == "broken-off":
        async for _ in watches.pop():
            break
    else:
        await events(watches[0], 1)
        if how == "closed":
            await watches[0].aclose()
    if watches and how != "dropped":
        with pytest.raises(StopAsyncIteration):
            await anext(watches[0])
    watches.clear()
    del watches
    if how == "left":
        del watch
    gc.collect()
    await eventually(lambda: table(held.node) == 0)
    if isinstance(held.bus, Client):
        assert not held.bus.watches._watches
        assert not held.bus.watches.iterated


async def test_a_task_that_iterates_and_that_nobody_holds_goes_on(held: Held) -> None:
    """The bus holds a watch while somebody waits for it."""
    told: asyncio.Queue[Event] = asyncio.Queue()

    async def read() -> None:
        async for event in held.bus.watch_group("x"):
            told.put_nowait(event)

    asyncio.get_running_loop().create_task(read())  # held by nobody
    async with asyncio.timeout(DEADLINE_S):
        assert await told.get() == GroupSnapshot(())
        gc.collect()
        await held.bus.join("x")
        assert await told.get() == Joined(held.bus.pid, "a")


async def test_two_tasks_cannot_share_a_watch(held: Held) -> None:
    """The second one is told; the first one goes on."""
    async with held.bus.watch_group("x") as watch:
        await events(watch, 1)
        first = asyncio.create_task(events(watch, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await anext(watch)
        await held.bus.join("x")
        assert await first == [Joined(held.bus.pid, "a")]


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_watch_ends_with_its_bus(held: Held, waiting: bool) -> None:
    """Whether somebody waits for it in that moment or only later; one that was not begun never begins."""
    watch, late = held.bus.watch_group("x"), held.bus.watch_group("y")
    await events(watch, 1)
    reader = asyncio.create_task(rest(watch)) if waiting else None
    await asyncio.sleep(0)
    assert isinstance(held.bus, Node | Client)
    async with asyncio.timeout(DEADLINE_S):
        await (held.bus.stop() if isinstance(held.bus, Node) else held.bus.close())
        assert await (reader or rest(watch)) == []
        if isinstance(held.bus, Node):
            assert await rest(late) == []
        else:
            with pytest.raises(NoConnection):
                await rest(late)


async def rest(watch: GroupWatch) -> list[Event]:
    """Return everything to the end."""
    return [event async for event in watch]


async def test_an_opening_that_is_given_up_or_refused_can_be_tried_again(held: Held) -> None:
    """And leaves nothing behind."""
    watch = held.bus.watch_group("x")
    permit = held.node.running.hub.permit

    def deny(who: Pid, verb: str, name: str) -> None:
        raise NotAuthorized(verb, name)

    held.node.running.hub.permit = deny
    with pytest.raises(NotAuthorized, match="watch_group"):
        await anext(watch)
    held.node.running.hub.permit = permit
    await held.bus.members()
    assert table(held.node) == 0

    first = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    if first.cancelled():
        assert await events(watch, 1) == [GroupSnapshot(())]
    await held.bus.join("x")
    assert await events(watch, 1) == [Joined(held.bus.pid, "a")]


async def test_who_waits_for_an_opening_that_another_task_began_tries_itself(held: Held) -> None:
    """When that has failed: it is refused, too, or has its snapshot."""
    hub = held.node.running.hub
    permit = hub.permit
    refusals = 1

    def deny(who: Pid, verb: str, name: str) -> None:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise NotAuthorized(verb, name)

    hub.permit = deny
    for allowed in (True, False):
        refusals = 1 if allowed else 2
        watch = held.bus.watch_group("x")
        both = [asyncio.create_task(events(watch, 1)) for _ in range(2)]
        async with asyncio.timeout(DEADLINE_S):
            first, second = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(first, NotAuthorized)
        assert second == [GroupSnapshot(())] if allowed else isinstance(second, NotAuthorized)
        await watch.aclose()
    hub.permit = permit


# --- a client whose connection is cut ---


@asynccontextmanager
async def far_client() -> AsyncIterator[tuple[Node, Node, Client]]:
    """Two linked nodes, and a client of the second."""
    async with mesh(2) as (a, b), holder("client", b) as client:
        assert isinstance(client, Client)
        yield a, b, client


async def test_a_watch_begins_with_a_snapshot_after_a_lost_connection() -> None:
    """What happened meanwhile is in it; then the changes go on."""
    async with far_client() as (a, b, client), client.watch_group("x") as watch:
        assert await events(watch, 1) == [GroupSnapshot(())]
        cut(b)
        await a.join("x", wait="cluster")
        assert await events(watch, 1) == [GroupSnapshot((a.pid,))]
        process = await a.spawn(stay)
        await a.join("x", process.pid)
        assert await events(watch, 1) == [Joined(process.pid, "a")]


async def test_a_watch_that_the_node_refuses_after_a_lost_connection_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever iterates is not left waiting."""
    async with far_client() as (_, b, client):
        watch = client.watch_group("x")
        await events(watch, 1)

        def deny(who: Pid, verb: str, name: str) -> None:
            raise NotAuthorized(verb, name)

        b.running.hub.permit = deny
        cut(b)
        with pytest.raises(NotAuthorized, match="watch_group"):
            await events(watch, 1)
        assert isinstance(watch, ClientGroupWatch)
        assert not client.watches._watches


async def test_a_new_snapshot_that_is_asked_for_on_a_connection_that_breaks_is_no_error() -> None:
    """The next connection brings it; nothing reaches the loop."""
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    async with far_client() as (_, b, client), client.watch_group("x") as watch:
        await events(watch, 1)
        for _ in range(3):
            assert isinstance(watch, ClientGroupWatch)
            watch.again()
            cut(b)
            assert await events(watch, 1) == [GroupSnapshot(())]
        gc.collect()
    assert not unhandled
