"""What a join and a leave mean when processes end, memberships are left twice, or the bus ends."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.cluster import GROUP_SCOPE, NodeId
from liminal_mesh.node.bus import Wait
from liminal_mesh.node.errors import NoProcess
from liminal_mesh.node.membership import GroupMembership
from liminal_mesh.node.node import Node

from ..nodes import DEADLINE_S, mesh, until
from .holders import Held, Pair, eventually, message, stay
from .test_bus_groups import members
from .test_bus_mesh import deafen, hear


async def test_a_membership_that_was_left_ends_no_later_one(held: Held) -> None:
    """Though it is of the same process in the same group."""
    first = await held.bus.join("x")
    await first.leave()
    second = await held.bus.join("x")
    await first.leave()
    assert await held.bus.group_members("x") == (held.bus.pid,)
    await second.leave()
    assert await held.bus.group_members("x") == ()


async def test_memberships_of_one_stay_end_together(held: Held) -> None:
    """Joining twice is once, and so is leaving."""
    first, second = await held.bus.join("x"), await held.bus.join("x")
    assert first.pid == second.pid == held.bus.pid
    await first.leave()
    assert await held.bus.group_members("x") == ()
    third = await held.bus.join("x")
    await second.leave()
    assert await held.bus.group_members("x") == (third.pid,)


@pytest.mark.parametrize("wait", [None, "cluster"])
async def test_a_process_that_ends_while_it_joins_is_no_member(pair: Pair, wait: Wait | None) -> None:
    """The join says so; nobody is left behind in the group."""
    over, alive = await pair.here.spawn(stay), await pair.here.spawn(stay)
    for _ in range(20):
        joining = asyncio.create_task(pair.here.join("x", over.pid, wait=wait))
        await asyncio.sleep(0)
        over.exit()
        async with asyncio.timeout(DEADLINE_S):
            [outcome] = await asyncio.gather(joining, return_exceptions=True)
        if wait is None and isinstance(pair.here, Node):
            assert isinstance(outcome, GroupMembership)  # it had joined before it ended
        else:
            assert isinstance(outcome, NoProcess)
            assert outcome.pid == str(over.pid)
        over = await pair.here.spawn(stay)
    await pair.here.join("x", alive.pid, wait="cluster")
    assert members(pair.b, "x") == (alive.pid,)


async def test_a_join_that_waits_when_its_process_ends_says_so(pair: Pair) -> None:
    """Once the peers that it waits for have answered."""
    process = await pair.there.spawn(stay)
    deafen(pair.a, "b")
    joining = asyncio.create_task(pair.there.join("x", process.pid, wait="cluster", timeout=DEADLINE_S))
    await eventually(lambda: bool(members(pair.b, "x")))
    process.exit()
    await eventually(lambda: not members(pair.b, "x"))
    hear(pair.a, "b")
    with pytest.raises(NoProcess):
        await joining
    assert members(pair.b, "x") == ()


async def test_a_join_that_waits_when_its_node_stops_says_so() -> None:
    """It is no member of anything then."""
    async with mesh(2) as (a, b):
        deafen(a, "b")
        joining = asyncio.create_task(b.join("x", wait="cluster", timeout=DEADLINE_S))
        registry = b.running.registry
        await eventually(lambda: bool(registry.members(GROUP_SCOPE, "x")))
        stopping = asyncio.create_task(b.stop())
        await eventually(lambda: not registry.members(GROUP_SCOPE, "x"))
        hear(a, "b")
        with pytest.raises(NoProcess):
            await joining
        await stopping


class Poisoned:
    """A listener that cannot be told anything."""

    def ready(self) -> None:
        """Crash."""
        raise ValueError("poison")

    def anchored(self, origin: NodeId, heads: object) -> None:
        """Crash."""
        raise ValueError("poison")


async def test_a_node_whose_membership_a_crash_has_ended_can_join_again(pair: Pair) -> None:
    """The first membership ends nothing of the second."""
    first = await pair.a.join("x", wait="cluster")
    [member] = pair.a.running.hub.groups.channels.groups["x"].subscribers.values()
    member.listener = Poisoned()
    await pair.b.send_group("x", 1)
    await until(pair.b, lambda: not members(pair.b, "x"))

    await pair.a.join("x", wait="cluster")
    await first.leave()
    assert members(pair.b, "x") == (pair.a.pid,)
    await pair.b.send_group("x", 2)
    assert (await message(pair.a.mailbox)).payload in {1, 2}
