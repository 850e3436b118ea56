"""The life of a subscription is the life of whoever holds it: however that ends, no member is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from liminal_mesh.cluster import Left, Pid
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.reference import Reference
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.subscription import Subscription

from ..nodes import DEADLINE_S, logged, mesh, until
from .conftest import lone_node
from .holders import Over, holder, payloads, take

LOG = "liminal.subscription"


class Far(NamedTuple):
    """A bus, the node behind it, and a peer that sees what comes and goes there."""

    bus: Bus
    node: Node
    peer: Node

    async def stands(self, pid: Pid) -> None:
        """Wait until the peer knows a subscription."""
        registry = self.peer.running.registry
        await until(self.peer, lambda: pid in registry.members(0, "ticks"))

    def leaving(self, pid: Pid) -> asyncio.Future[None]:
        """Return what is done when the peer is told that a subscription has left."""
        left = asyncio.get_running_loop().create_future()

        def look(event: object) -> None:
            if isinstance(event, Left) and event.pid == pid:
                unwatch()
                left.set_result(None)

        unwatch = self.peer.running.registry.watch(look)
        return left


@pytest.fixture(params=["node", "client"])
async def far(request: pytest.FixtureRequest) -> AsyncIterator[Far]:
    """Two linked nodes, one of them held in each way."""
    async with AsyncExitStack() as stack:
        peer, node = await stack.enter_async_context(mesh(2))
        yield Far(await stack.enter_async_context(holder(request.param, node)), node, peer)


async def kept(far: Far) -> list[Subscription]:
    """Return the one reference to a subscription that stands, and that was entered by hand."""
    handle = [await far.bus.subscribe("ticks").__aenter__()]
    await far.stands(handle[0].id)
    return handle


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    """Return the fields of the logged lines of an event."""
    return [record.__dict__["fields"] for record in logged(caplog, event)]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in-another-thread"])
async def test_ch3_a_dropped_handle_is_removed(far: Far, caplog: pytest.LogCaptureFixture, elsewhere: bool) -> None:
    """Its member leaves on the peer, what waited is released, and one warning names it."""
    handle = await kept(far)
    pid = handle[0].id
    await far.bus.publish("ticks", b"never taken")
    left = far.leaving(pid)
    with caplog.at_level(logging.WARNING, LOG):
        if elsewhere:
            await asyncio.to_thread(handle.clear)
        else:
            handle.clear()
        async with asyncio.timeout(DEADLINE_S):
            await left

    [fields] = lines(caplog, "subscription_dropped")
    assert (fields["pattern"], fields["pid"]) == ("ticks", str(pid))
    assert "without leaving its 'async with'" in str(fields["why"])
    assert far.node.running.hub.shared.budget.used == 0


async def test_ch3_a_handle_is_held_by_its_messages(far: Far) -> None:
    """A message that is not done yet is somebody's work."""
    handle = await kept(far)
    pid = handle[0].id
    await far.bus.publish("ticks", 1)
    messages = await take(handle[0], 1)
    handle.clear()
    gc.collect()
    assert (await far.peer.publish("ticks", 2)).nodes == {far.node.name: "sent"}
    left = far.leaving(pid)
    messages.clear()
    async with asyncio.timeout(DEADLINE_S):
        await left


async def test_ch3_a_handle_is_not_held_by_what_waits_in_it(far: Far) -> None:
    """CO2: not by a child that waits for its parent, either, which nobody was handed."""
    handle = [await far.bus.subscribe("ticks", causal=True, wait="cluster").__aenter__()]
    pid = handle[0].id
    await far.bus.publish("ticks", "child", parent=Reference("ticks", far.peer.name, far.peer.epoch, 1, 9))
    await far.bus.publish("ticks", "other")
    assert await payloads(handle[0], 1) == ["other"]
    assert handle[0].statistics.waiting == 1
    left = far.leaving(pid)
    gc.disable()
    try:
        handle.clear()
        async with asyncio.timeout(DEADLINE_S):
            await left
    finally:
        gc.enable()


@pytest.mark.parametrize("batches", [False, True], ids=["items", "batches"])
async def test_ch3_a_reader_that_nobody_holds_goes_on(far: Far, batches: bool) -> None:
    """Waiting in the iteration holds the handle: a task that was started and let go of is never collected."""
    standing: asyncio.Future[Pid] = asyncio.get_running_loop().create_future()
    got: asyncio.Queue[object] = asyncio.Queue()

    async def read() -> None:
        subscription = await far.bus.subscribe("ticks").__aenter__()
        standing.set_result(subscription.id)
        if batches:
            async for batch in subscription.batches(max_wait=0.0):
                got.put_nowait([item.payload for item in batch if isinstance(item, Message)])
                del batch
        else:
            async for item in subscription:
                assert isinstance(item, Message)
                got.put_nowait([item.payload])
                del item

    asyncio.get_running_loop().create_task(read())  # held by nobody
    await far.stands(await standing)
    async with asyncio.timeout(DEADLINE_S):
        for number in range(3):
            gc.collect()
            await far.bus.publish("ticks", number)
            assert await got.get() == [number]


async def test_ch3_leaving_the_block_removes_it(far: Far, caplog: pytest.LogCaptureFixture) -> None:
    """The peer is told, nothing is logged, and the handle is over however long it is kept."""
    with caplog.at_level(logging.WARNING, LOG):
        async with far.bus.subscribe("ticks") as subscription:
            await far.stands(subscription.id)
            left = far.leaving(subscription.id)
        async with asyncio.timeout(DEADLINE_S):
            await left
        with pytest.raises(Over):
            await take(subscription, 1)
        del subscription
        gc.collect()
        await far.bus.members()

    assert not caplog.records


@pytest.mark.parametrize("iterating", [False, True], ids=["elsewhere", "iterating"])
async def test_ch3_cancelling_the_task_removes_it(far: Far, iterating: bool) -> None:
    """Whatever the task waits for within the block."""
    standing: asyncio.Future[Pid] = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        async with far.bus.subscribe("ticks") as subscription:
            standing.set_result(subscription.id)
            if iterating:
                await payloads(subscription, 1)
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    pid = await standing
    await far.stands(pid)
    left = far.leaving(pid)
    task.cancel()
    async with asyncio.timeout(DEADLINE_S):
        await left
    assert task.cancelled()


CLIENT = """
import asyncio, sys
from liminal_mesh import connect

async def main():
    async with connect(sys.argv[1]) as client, client.subscribe("ticks") as subscription:
        print(subscription.id, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_ch3_the_death_of_a_connection_removes_it() -> None:
    """The process of the client is killed: the peer of its node is told, without a question to anybody."""
    async with mesh(2) as (peer, node):
        far = Far(node, node, peer)
        url = f"liminal://{node.addresses['client']}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, url, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(DEADLINE_S * 3):
                pid = Pid.parse((await process.stdout.readline()).decode().strip())
                await far.stands(pid)
                left = far.leaving(pid)
                process.kill()
                await left
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_ch3_the_end_of_the_node_ends_what_its_program_holds() -> None:
    """The node does not hold a handle, and ends it all the same."""
    async with lone_node() as node:
        subscription = await node.subscribe("ticks").__aenter__()
    with pytest.raises(Over):
        await take(subscription, 1)


class CannotLeave(Exception):
    """What the exchange raises where a test makes it fail."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Give what makes things fail, and mend them before nodes are stopped."""
    with monkeypatch.context() as patch:
        yield patch


def refuse(patch: pytest.MonkeyPatch, node: Node, pattern: str) -> None:
    """Let the node be unable to end subscriptions to a pattern."""
    exchange = node.running.hub.exchange
    works = exchange.unsubscribe

    def unsubscribe(subscriber: Subscriber) -> None:
        if subscriber.pattern == pattern:
            raise CannotLeave
        works(subscriber)

    patch.setattr(exchange, "unsubscribe", unsubscribe)


async def test_ch3_an_unsubscribe_that_fails_is_raised(refusing: pytest.MonkeyPatch) -> None:
    """Leaving the block says so; the handle is over nevertheless, and what waited is released."""
    async with lone_node() as node:
        subscription = await node.subscribe("ticks").__aenter__()
        await node.publish("ticks", b"never taken")
        refuse(refusing, node, "ticks")
        with pytest.raises(CannotLeave):
            await subscription.__aexit__(None, None, None)
        assert node.running.hub.shared.budget.used == 0
        assert await payloads(subscription, 1) == [b"never taken"]
        with pytest.raises(Over):
            await take(subscription, 1)


@pytest.mark.parametrize("how", ["error", "dropped", "ended"])
async def test_ch3_an_unsubscribe_that_fails_where_nobody_would_hear_is_logged(
    refusing: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """With its pattern and pid; an error that was under way stays the one that is raised."""
    async with lone_node() as node:
        refuse(refusing, node, "ticks")
        handle = [node.subscribe("ticks")]
        if how == "error":
            with pytest.raises(ZeroDivisionError):
                async with handle[0]:
                    raise ZeroDivisionError
        else:
            await handle[0].__aenter__()
        pid = handle[0].id
        if how == "dropped":
            handle.clear()
            await asyncio.sleep(0)
        elif how == "ended":
            node.running.hub.end_processes("subscription")

    [record] = logged(caplog, "unsubscribe_failed")
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[0] is CannotLeave
    assert record.getMessage() == f"unsubscribe_failed pattern=ticks pid={pid}"


async def test_ch3_an_unsubscribe_that_fails_at_the_node_of_a_client_is_logged_there(
    refusing: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the others of the connection leave with it."""
    async with mesh(2) as (peer, node):
        async with holder("client", node) as client, client.subscribe("m.*"), client.subscribe("ticks") as other:
            far = Far(client, node, peer)
            await far.stands(other.id)
            refuse(refusing, node, "m.*")
            left = far.leaving(other.id)
        async with asyncio.timeout(DEADLINE_S):
            await left

    assert {str(fields["pattern"]) for fields in lines(caplog, "unsubscribe_failed")} == {"m.*"}
