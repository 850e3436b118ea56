"""What becomes of a client's processes, groups and monitors when its connection is lost and made again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from liminal_mesh.cluster import GROUP_SCOPE, Pid
from liminal_mesh.node.client import Client
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import (
    ChannelClosed,
    ChannelNotConfigured,
    Draining,
    LimitExceeded,
    NoConnection,
    NoProcess,
    NotAuthorized,
    OutcomeUnknown,
    SchemaIncompatible,
)
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.schema import Schema
from liminal_mesh.node.values import Gap

from ..nodes import DEADLINE_S, logged, mesh, until
from .holders import check_in_place, cut, ended, eventually, holder, numbers, payloads, stay, take


class World(NamedTuple):
    """Two linked nodes, and a client of the second."""

    a: Node
    b: Node
    client: Client

    def members(self, group: str) -> tuple[Pid, ...]:
        """Return who is in a group, as the first node sees it."""
        return self.a.running.registry.members(GROUP_SCOPE, group)

    async def back(self, former: Pid) -> None:
        """Wait until the client has another connection."""
        await eventually(lambda: self.client.pid != former)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Two linked nodes, and a client of the second."""
    async with mesh(2) as (a, b), holder("client", b) as client:
        assert isinstance(client, Client)
        yield World(a, b, client)


async def test_what_it_has_spawned_ends_with_the_connection(world: World) -> None:
    """With noconnection on both sides, and never comes back; another can be spawned on the next connection."""
    process = await world.client.spawn(stay)
    await world.client.join("x", process.pid, wait="cluster")
    async with world.a.monitor(process.pid) as monitor:
        former = cut(world.b)
        assert await ended(process) == "noconnection"
        assert (await monitor.down(DEADLINE_S)).reason == "noconnection"
    await until(world.a, lambda: not world.members("x"))
    await world.back(former)
    with pytest.raises(NoProcess):
        await world.client.join("x", process.pid)
    process.exit()
    process.link(world.a.pid)
    again = await world.client.spawn(stay)
    assert again.pid > process.pid
    again.exit()


async def test_its_monitors_are_told_that_nothing_is_known_any_more(world: World) -> None:
    """Also of processes that live on; leaving the block later is nothing."""
    process = await world.a.spawn(stay)
    async with world.client.monitor(process.pid) as monitor, world.client.monitor(world.client.pid) as own:
        former = cut(world.b)
        assert (await monitor.down(DEADLINE_S)).reason == "noconnection"
        assert (await own.down(DEADLINE_S)).reason == "noconnection"
        await world.back(former)
    async with world.client.monitor(process.pid) as monitor:
        process.exit()
        assert (await monitor.down(DEADLINE_S)).reason == "normal"


async def test_its_own_memberships_come_back_under_its_new_pid(world: World) -> None:
    """All but those that were left; they can be left afterwards."""
    x = await world.client.join("x", wait="cluster")
    y = await world.client.join("y", wait="cluster")
    await y.leave()
    former = cut(world.b)
    await until(world.a, lambda: world.members("x") not in ((), (former,)))
    assert world.members("x") == (world.client.pid,)
    assert world.client.mailbox.pid == world.client.pid != former
    assert world.members("y") == ()
    with pytest.raises(NoProcess):
        await world.client.join("y", former)
    await x.leave()
    await until(world.a, lambda: not world.members("x"))


async def test_its_mailbox_tells_what_it_missed_meanwhile(world: World) -> None:
    """As one gap for each group, in its place; what follows is there, once."""
    await world.client.join("x", wait="cluster")
    await world.client.join("y", wait="cluster")
    for group in ("x", "y"):
        await world.a.send_group(group, 1)
    assert await payloads(world.client.mailbox, 2) == [1, 1]
    former = cut(world.b)
    await until(world.a, lambda: not world.members("x") + world.members("y"))
    for number in (2, 3):
        await world.a.send_group("x", number)
    await world.back(former)
    await until(world.a, lambda: bool(world.members("x") and world.members("y")))
    await world.a.send_group("x", 4)
    await world.a.send_group("y", 2)

    items: dict[str, list[Message | Gap]] = {"x": [], "y": []}
    async with asyncio.timeout(DEADLINE_S):
        while numbers(items["x"]) + numbers(items["y"]) < 4:
            item = await anext(world.client.mailbox)
            items[item.channel].append(item)
    gaps = [(item.channel, item.first, item.last, item.reason) for item in items["x"] if isinstance(item, Gap)]
    assert gaps == [("x", 2, 3, "link")]
    assert [one.payload for one in items["x"] + items["y"] if isinstance(one, Message)] == [4, 2]


async def test_what_was_sent_while_it_was_no_member_is_no_gap(world: World) -> None:
    """Though it is a member of the same group before and afterwards, on two connections."""
    membership = await world.client.join("x", wait="cluster")
    await world.a.send_group("x", 1)
    assert await payloads(world.client.mailbox, 1) == [1]
    await membership.leave()
    await world.back(cut(world.b))
    await until(world.a, lambda: not world.members("x"))
    for number in (2, 3):
        await world.a.send_group("x", number)
    await world.client.join("x", wait="cluster")
    await world.a.send_group("x", 4)
    assert await payloads(world.client.mailbox, 1) == [4]


async def test_nothing_is_lost_in_silence_however_often_it_is_cut(world: World) -> None:
    """Delivered and gaps are what was sent."""
    await world.client.join("x", wait="cluster")
    items: list[Message | Gap] = []
    sent = 0
    for _ in range(4):
        for _ in range(50):
            await world.a.send_group("x", b"")
            sent += 1
        async with asyncio.timeout(DEADLINE_S):
            items.append(await anext(world.client.mailbox))
        await world.back(cut(world.b))
        await until(world.a, lambda: world.members("x") == (world.client.pid,))
    await world.a.send_group("x", b"")
    async with asyncio.timeout(DEADLINE_S):
        while numbers(items) < sent + 1:
            items.append(await anext(world.client.mailbox))
    check_in_place(items)


async def test_joins_while_the_connection_comes_back_find_their_place(world: World) -> None:
    """Right behind what comes back by itself; before that they are told that there is no connection."""
    await world.client.join("x", wait="cluster")
    former = cut(world.b)
    refused = 0
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await world.client.join("y")
            except (NoConnection, OutcomeUnknown):
                refused += 1
                await asyncio.sleep(0)
            else:
                if world.client.pid != former:
                    break
    assert refused
    await eventually(lambda: world.members("x") == world.members("y") == (world.client.pid,))


async def test_a_join_that_finds_no_connection_forgets_nothing(world: World) -> None:
    """What had stood comes back with its groups, and its mailbox says what it missed."""
    membership = await world.client.join("x", wait="cluster")
    await world.a.send_group("x", 1)
    assert await payloads(world.client.mailbox, 1) == [1]
    former = cut(world.b)
    await until(world.a, lambda: not world.members("x"))
    with pytest.raises(NoConnection):
        await world.client.join("y")
    await world.back(former)
    await until(world.a, lambda: world.members("x") == (world.client.pid,))
    await world.a.send_group("x", 2)
    assert await payloads(world.client.mailbox, 1) == [2]

    present = world.client.pid
    await world.client.join("y", wait="cluster")
    await world.a.send_group("y", 3)
    assert await payloads(world.client.mailbox, 1) == [3]
    assert world.client.pid == present == membership.pid != former


async def test_a_mailbox_that_the_node_refuses_to_open_again_says_so(world: World) -> None:
    """Whoever iterates gets the reason; the next join begins another one."""
    await world.client.join("x", wait="cluster")
    mailbox = world.client.mailbox
    waiting = asyncio.create_task(payloads(mailbox, 1))
    await asyncio.sleep(0)
    server = world.b.running.server
    limits = server.limits
    server.limits = limits.model_copy(update={"subscriptions_per_connection": 0})
    former = cut(world.b)
    with pytest.raises(LimitExceeded) as error:
        await waiting
    assert error.value.name == "subscriptions_per_connection"
    await world.back(former)
    with pytest.raises(LimitExceeded):
        await world.client.join("x")
    server.limits = limits

    await world.client.join("y", wait="cluster")
    assert (world.members("x"), world.members("y")) == ((), (world.client.pid,))
    await world.a.send_group("y", 1)
    assert world.client.mailbox is not mailbox
    assert await payloads(world.client.mailbox, 1) == [1]


@pytest.mark.parametrize("error", [Draining(()), NotAuthorized("join", "x")], ids=["draining", "denied"])
async def test_a_membership_that_is_refused_again_is_lost_unless_the_node_leaves(
    world: World, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A node that drains says nothing about the next one; a denial is logged."""
    await world.client.join("x", wait="cluster")
    permit, asked = world.b.running.hub.permit, asyncio.Event()

    def deny(who: Pid, verb: str, name: str) -> None:
        asked.set()
        raise error

    world.b.running.hub.permit = deny
    former = cut(world.b)
    await asked.wait()
    world.b.running.hub.permit = permit
    await world.back(former)
    await world.client.members()
    former = cut(world.b)
    await world.back(former)
    await world.client.members()
    await world.client.ready()

    lost = logged(caplog, "membership_lost")
    assert (bool(lost), bool(world.members("x"))) == ((False, True) if isinstance(error, Draining) else (True, False))
    assert all(record.levelno == logging.ERROR for record in lost)


async def test_a_client_that_leaves_is_not_lost(world: World) -> None:
    """Also one that was closed as soon as it was opened."""
    for turns in (0, 1, 5):
        async with holder("client", world.b) as other:
            monitor = await world.a.monitor(other.pid).__aenter__()
            for _ in range(turns):
                await other.members()
        assert (await monitor.down(DEADLINE_S)).reason == "normal"
        assert len(world.b.running.server.connections) == 1


async def test_sc3_its_subscriptions_are_negotiated_again(world: World) -> None:
    """The newest version that both know then; none in common ends the iteration, which is told."""
    versions = [
        {"type": "object", "properties": {name: {"default": 1} for name in names}} for names in ("a", "ab", "xy")
    ]
    ids = [Schema(version).id for version in versions]
    await world.b.channels.create("orders", schema=versions[0])
    async with (
        world.client.subscribe("orders") as own,
        world.client.subscribe("orders", schemas=ids[:1]) as old,
        world.client.subscribe("orders", schemas=ids) as any_,
    ):
        await world.b.channels.evolve("orders", versions[1])
        assert {one.schema for one in (own, old, any_)} == {ids[0]}
        await world.back(cut(world.b))
        await eventually(lambda: (own.schema, old.schema, any_.schema) == (ids[1], ids[0], ids[1]))
        # While the connection is away, so that it hears of it as late as can be.
        former = cut(world.b)
        await world.b.channels.evolve("orders", versions[2], force=True)
        await world.back(former)

        with pytest.raises(SchemaIncompatible):
            await take(old, 100)  # gaps
        await eventually(lambda: (own.schema, any_.schema) == (ids[2], ids[2]))


async def test_ch2_what_was_closed_meanwhile_ends_when_it_comes_back(world: World) -> None:
    """Behind what waits; its publishers are refused, and patterns go on."""
    await world.b.channels.create("orders")
    async with (
        world.client.subscribe("orders") as subscription,
        world.client.subscribe("orders", group="g") as member,
        world.client.subscribe("*") as pattern,
    ):
        publisher = world.client.publisher("orders")
        await publisher.send(1)
        await publisher.flush()
        former = cut(world.b)
        await world.b.channels.close("orders")
        await world.back(former)

        await publisher.send(2)
        with pytest.raises(ChannelClosed, match="orders"):
            await publisher.flush()
        for one in (subscription, member):
            assert await payloads(one, 1) == [1]
            with pytest.raises(ChannelClosed, match="orders"):
                await take(one, 1)
        await world.client.publish("ticks", 3)
        assert await payloads(pattern, 2) == [1, 3]
    await eventually(lambda: not world.b.running.hub.exchange.channels.subscriptions)


@pytest.mark.parametrize("times", [1, 3])
async def test_ch2_what_was_closed_and_created_meanwhile_goes_on(world: World, times: int) -> None:
    """With its numbers: what was published while the client was away is a gap, and nothing is taken twice."""
    await world.b.channels.create("orders")
    async with world.client.subscribe("orders") as subscription:
        await world.b.publish("orders", 1)
        assert await payloads(subscription, 1) == [1]
        former = cut(world.b)
        for _ in range(times):
            await world.b.publish("orders", 2)
            await world.b.channels.close("orders")
            await world.b.channels.create("orders", schema={"type": "integer"})
        await world.back(former)
        await eventually(lambda: subscription.schema is not None)
        await world.b.publish("orders", 3)

        gap, found = await take(subscription, 2)
        assert isinstance(gap, Gap)
        assert (gap.first, gap.last, gap.reason) == (2, 1 + times, "link")
        assert isinstance(found, Message)
        assert (found.payload, found.sequence) == (3, 2 + times)


async def test_ch2_a_channel_that_the_other_node_does_not_have_ends_there() -> None:
    """A client that comes back at a node without it is told, as one that asks for it for the first time."""
    async with mesh(2) as (a, b):
        await a.channels.create("orders")
        url = f"liminal://{a.addresses['client']},{b.addresses['client']}"
        async with connect(url, name="tester") as client, client.subscribe("orders") as subscription:
            publisher = client.publisher("orders")
            await a.stop()
            with pytest.raises(ChannelNotConfigured, match="orders"):
                await take(subscription, 1)
            await publisher.send(1)
            with pytest.raises(ChannelNotConfigured, match="orders"):
                await publisher.flush()


async def test_a_lost_connection_and_the_next_one_are_lines(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason, and the node that it leads to."""
    caplog.set_level(logging.INFO, "liminal.client")
    former = cut(world.b)
    await world.back(former)

    [lost], [found] = logged(caplog, "connection_lost"), logged(caplog, "connected")
    assert (lost.levelno, lost.getMessage()) == (logging.WARNING, "connection_lost why=closed by the other side")
    assert found.getMessage() == f"connected node=b address={world.b.addresses['client']}"
