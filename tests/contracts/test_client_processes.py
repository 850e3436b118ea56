"""What a client keeps of its own processes: how it ends, and its mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from liminal_mesh.node.client import Client
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import LimitExceeded
from liminal_mesh.node.interests import wait_s
from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process, Spawner

from ..nodes import DEADLINE_S, logged, mesh
from .conftest import channels, lone_node
from .holders import ended, eventually, holder, stay
from .test_bus_mesh import deafen, hear


@asynccontextmanager
async def lone_client() -> AsyncIterator[tuple[Node, Client]]:
    """A client of a lone node, which is not closed at the end."""
    async with lone_node() as node:
        client = connect(f"liminal://{node.addresses['client']}", name="tester")
        assert isinstance(client, Client)
        yield node, await client.__aenter__()


async def linger(me: Process) -> None:
    """Take some turns of the loop to clean up."""
    try:
        await stay(me)
    finally:
        for _ in range(20):
            await asyncio.sleep(0)


def left() -> list[str]:
    """Return the names of a client's tasks that still run."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("liminal-client")]


async def test_a_close_that_is_given_up_leaves_nothing_behind() -> None:
    """Its task and its connection come to their end while nobody waits for it any more."""
    async with lone_client() as (node, client):
        process = await client.spawn(linger)
        await asyncio.sleep(0)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        await client.close()  # waits for the end that has begun
        assert left() == []
        assert await ended(process) == "shutdown"
        await eventually(lambda: not node.running.server.connections)


async def test_the_end_of_a_client_may_itself_be_cancelled() -> None:
    """As a loop that comes to its end does: what is left is let go in that moment."""
    async with lone_client() as (node, client):
        await client.spawn(linger)
        await asyncio.sleep(0)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        [end] = [task for task in asyncio.all_tasks() if task.get_name() == "liminal-client-close"]
        await asyncio.sleep(0)
        end.cancel()
        await asyncio.wait([closing])
        await eventually(lambda: left() == [] and not node.running.server.connections)


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_a_process_can_end_its_own_bus(kind: str) -> None:
    """Which ends the process, and does not wait for it."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(lone_node())
        bus = await stack.enter_async_context(holder(kind, node))

        async def function(me: Process) -> None:
            assert isinstance(bus, Node | Client)
            await (bus.stop() if isinstance(bus, Node) else bus.close())

        process = await bus.spawn(function)
        async with asyncio.timeout(DEADLINE_S):
            assert await process.wait() == "shutdown"
            if isinstance(bus, Client):
                await bus.close()
                assert left() == []
                await eventually(lambda: not node.running.server.connections)
            else:
                await node.stop()


async def test_what_does_not_end_when_it_is_cancelled_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Longer than the deadline: it is logged, and the end says that it was not the end of all."""
    let_go = asyncio.Event()
    spawner = Spawner()

    async def deaf(me: Process) -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    async with lone_node() as node:
        process = await node.spawn(stay)
        spawner.start(process, deaf)
        await asyncio.sleep(0)
        assert not await spawner.close(0.01)
        assert len(logged(caplog, "process_not_cancelled")) == 1
        let_go.set()
        assert await spawner.close(DEADLINE_S)


async def test_the_task_that_ends_what_was_spawned_is_not_waited_for() -> None:
    """It is one of them."""
    spawner = Spawner()
    told: list[bool] = []

    async def function(me: Process) -> None:
        told.append(await spawner.close(DEADLINE_S))

    async with lone_node() as node:
        process = await node.spawn(stay)
        async with asyncio.timeout(DEADLINE_S / 2):
            spawner.start(process, function)
            await process.wait()
    assert told == [True]


async def test_a_process_is_over_here_though_the_node_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it hears the reason."""
    async with lone_client() as (_, client):
        process = await client.spawn(stay)

        def refuse(frame: object) -> bool:
            raise RuntimeError("cannot be sent")

        monkeypatch.setattr(client.feeds, "_send", refuse)
        with pytest.raises(RuntimeError):
            process.exit("bad \ud800")
        monkeypatch.undo()
        assert await ended(process) == "bad ?"
        await client.close()


@pytest.mark.parametrize("verb", ["ready", "join", "subscribe"])
async def test_no_more_requests_of_a_client_wait_than_the_limit(verb: str) -> None:
    """By that name; nothing is left of the one too many, and when one is answered there is room again."""
    async with (
        mesh(2, channels=channels(), limits={"waits_per_connection": 2}) as (a, b),
        holder("client", b) as client,
    ):

        async def wait(number: int) -> None:
            if verb == "ready":
                await client.ready(timeout=DEADLINE_S)
            elif verb == "join":
                await client.join(f"x{number}", wait="cluster", timeout=DEADLINE_S)
            else:
                async with client.subscribe(f"m.{number}", wait="cluster", timeout=DEADLINE_S):
                    pass

        await client.join("before", wait="cluster")
        deafen(a, "b")
        await b.join("unheard")
        [connection] = b.running.server.connections.values()
        waiting = [asyncio.create_task(wait(number)) for number in range(2)]
        await eventually(lambda: len(connection.errands._waits) == 2)
        with pytest.raises(LimitExceeded) as error:
            await wait(2)
        assert (error.value.name, error.value.limit) == ("waits_per_connection", 2)
        assert await client.group_members("x2") == ()
        await client.join("y")  # what waits for nobody has room
        hear(a, "b")
        await asyncio.gather(*waiting)
        await wait(2)


@pytest.mark.parametrize("asked", [0.0, 5.0, 3600.0, 1e9])
def test_no_request_waits_longer_than_an_hour(asked: float) -> None:
    """Whatever its client asks for."""
    assert wait_s(asked) == min(asked, 3600.0)
