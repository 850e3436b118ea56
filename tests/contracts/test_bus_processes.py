"""What every holder of a bus may rely on of the processes that it spawns: reasons, links, and what ends with what."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from liminal_mesh.cluster import Pid
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.client import Client
from liminal_mesh.node.errors import NoConnection
from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process
from liminal_mesh.node.subscription import Subscription

from ..nodes import DEADLINE_S, logged, mesh
from .conftest import channels, lone_node
from .holders import Held, Over, ended, eventually, holder, stay, take


def processes(node: Node) -> int:
    """Return how many spawned processes live at a node."""
    return node.running.hub.processes.statistics().processes.get("process", 0)


async def test_a_process_is_handed_itself_and_ends_normally_when_its_function_returns(held: Held) -> None:
    """Its pid names the node and this run of it."""
    seen: list[Process] = []

    async def function(me: Process) -> None:
        seen.append(me)

    process = await held.bus.spawn(function)

    assert await ended(process) == "normal"
    assert seen == [process]
    assert process.pid[:2] == (held.node.name, held.node.epoch)
    assert process.pid != held.bus.pid
    assert repr(process) == f"<Process {process.pid} normal>"
    await held.bus.members()  # the node has heard of it by then
    assert processes(held.node) == 0


async def test_an_error_of_the_function_is_its_reason_and_is_logged(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    """With the error's type and text, as much of it as a reason holds."""

    async def function(me: Process) -> None:
        raise RuntimeError("bad \ud800 " + "x" * 5000)

    process = await held.bus.spawn(function)
    reason = await ended(process)

    assert reason.startswith("error: RuntimeError: bad ? xxx")
    assert len(reason) == 1000
    [line] = logged(caplog, "process_crashed")
    assert line.__dict__["fields"] == {"event": "process_crashed", "pid": str(process.pid)}
    await held.bus.members()  # the node has heard of it by then
    assert processes(held.node) == 0


@pytest.mark.parametrize("begun", [True, False], ids=["running", "not-begun"])
async def test_a_process_whose_task_is_cancelled_is_killed(held: Held, begun: bool) -> None:
    """Also one that had no turn yet."""
    process = await held.bus.spawn(stay)
    assert process.task is not None
    if begun:
        await asyncio.sleep(0)
    process.task.cancel()

    assert await ended(process) == "killed"
    await held.bus.members()  # the node has heard of it by then
    assert processes(held.node) == 0


@pytest.mark.parametrize("reason", ["normal", "shutdown", "killed", "the work is done", "x" * 1000])
async def test_an_exit_has_the_reason_that_was_given(held: Held, reason: str) -> None:
    """At once; a later exit, and the function's own end, change nothing."""
    cleaned = asyncio.Event()

    async def function(me: Process) -> None:
        try:
            await stay(me)
        finally:
            cleaned.set()

    process = await held.bus.spawn(function)
    await asyncio.sleep(0)
    process.exit(reason)
    process.exit("too late")

    assert repr(process) == f"<Process {process.pid} {reason}>"
    assert await ended(process) == reason
    await asyncio.wait_for(cleaned.wait(), DEADLINE_S)
    async with held.bus.monitor(process.pid) as monitor:
        assert (await monitor.down(DEADLINE_S)).reason == reason


async def test_an_exit_within_the_function_lets_it_run_to_its_next_await(held: Held) -> None:
    """The reason is that of the exit."""
    story: list[str] = []

    async def function(me: Process) -> None:
        me.exit("enough")
        story.append("ran on")
        await asyncio.sleep(0)
        story.append("never")

    process = await held.bus.spawn(function)
    assert await ended(process) == "enough"
    assert process.task is not None
    await asyncio.wait([process.task])
    assert story == ["ran on"]


@pytest.mark.parametrize("reason", ["", "x" * 1001])
async def test_a_reason_that_is_none_is_refused(held: Held, reason: str) -> None:
    """And the process lives on."""
    process = await held.bus.spawn(stay)
    with pytest.raises(ValueError, match="1 to 1000 characters"):
        process.exit(reason)
    process.exit()
    assert await ended(process) == "normal"


@pytest.mark.parametrize("function", [lambda me: None, len, None, 7], ids=lambda one: type(one).__name__)
async def test_only_an_async_function_can_be_spawned(held: Held, function: object) -> None:
    """Nothing is left of the attempt; an object whose call is async will do."""
    with pytest.raises(TypeError, match="spawn runs an async function"):
        await held.bus.spawn(function)  # type: ignore[arg-type]
    assert processes(held.node) == 0

    class Work:
        async def __call__(self, me: Process) -> None:
            del me

    assert await ended(await held.bus.spawn(Work())) == "normal"


@pytest.mark.parametrize("nonsense", [Pid("", 1, 1), Pid("a b", 1, 1), Pid("a", -1, 1), Pid("a", 1, 1 << 64)], ids=str)
async def test_what_can_be_no_process_is_refused_before_it_is_sent(held: Held, nonsense: Pid) -> None:
    """By links and monitors alike; the bus is unharmed."""
    process = await held.bus.spawn(stay)
    for use in (process.link, process.unlink, held.bus.monitor):
        with pytest.raises(ValueError, match="is no pid"):
            use(nonsense)
    await held.bus.members()
    assert repr(process).endswith("running>")


async def test_the_mailbox_of_a_process_ends_with_it(held: Held) -> None:
    """What waits is handed out before that."""
    process = await held.bus.spawn(stay)
    membership = await held.bus.join("x", process.pid)
    await held.bus.send_group("x", b"1")
    item = await anext(process.mailbox)
    await held.bus.send_group("x", b"2", ack="nodes")
    await eventually(lambda: process.mailbox.statistics.waiting == 1)
    process.exit()

    [last] = [one async for one in process.mailbox]
    assert [getattr(one, "payload", one) for one in (item, last)] == [b"1", b"2"]
    assert await held.bus.group_members("x") == ()
    await membership.leave()


# --- the end of the bus ---


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_what_was_spawned_ends_with_its_bus(kind: str) -> None:
    """With ``shutdown``, and before the end of the bus is over its functions have cleaned up."""
    cleaned: list[str] = []

    async def function(me: Process) -> None:
        try:
            await stay(me)
        finally:
            await asyncio.sleep(0)
            cleaned.append(str(me.pid))

    async with lone_node() as node, holder(kind, node) as bus:
        running = [await bus.spawn(function) for _ in range(3)]
        await asyncio.sleep(0)
        await close(bus)
        assert sorted(cleaned) == sorted(str(one.pid) for one in running)
        assert [await ended(one) for one in running] == ["shutdown"] * 3
        with pytest.raises((NoConnection, RuntimeError)):
            await bus.spawn(stay)


async def close(bus: Bus) -> None:
    """End a bus, within the time that it may take."""
    assert isinstance(bus, Node | Client)
    end: Callable[[], Awaitable[object]] = bus.stop if isinstance(bus, Node) else bus.close
    async with asyncio.timeout(DEADLINE_S):
        await end()


async def test_a_mailbox_that_is_waited_for_ends_with_its_bus(held: Held) -> None:
    """The bus's own, and that of a process."""
    process = await held.bus.spawn(stay)

    async def read(mailbox: object) -> list[object]:
        return [item async for item in mailbox]  # type: ignore[attr-defined]

    readers = [asyncio.create_task(read(mailbox)) for mailbox in (held.bus.mailbox, process.mailbox)]
    await asyncio.sleep(0)
    await close(held.bus)
    async with asyncio.timeout(DEADLINE_S):
        assert await asyncio.gather(*readers) == [[], []]


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_peers_hear_shutdown_when_a_node_stops(kind: str) -> None:
    """Of everything that lived there: spawned processes, subscriptions, connections, and the node itself."""
    async with mesh(2, channels=channels()) as (a, b), holder(kind, b) as bus, holder("client", b) as client:
        process = await bus.spawn(stay)
        subscription: Subscription = await bus.subscribe("ticks").__aenter__()
        pids = [process.pid, subscription.id, client.pid, b.pid]
        linked = await a.spawn(stay)
        linked.link(process.pid)
        async with asyncio.timeout(DEADLINE_S):
            monitors = [await a.monitor(pid).__aenter__() for pid in pids]
            await a.ready()
            await b.stop()
            assert [(await monitor.down()).reason for monitor in monitors] == ["shutdown"] * 4
        assert await ended(linked) == "shutdown"
        assert await ended(process) == ("shutdown" if kind == "node" else "noconnection")
        if kind == "node":
            with pytest.raises(Over):
                await take(subscription, 1)


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_a_function_that_heeds_no_cancellation_does_not_hold_up_the_end_of_its_bus(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """For longer than it may take to clean up; it is named in the log, and its process is over."""
    monkeypatch.setattr("liminal_mesh.node.client_processes.CLEANUP_S", 0.01)
    release = asyncio.Event()

    async def deaf(me: Process) -> None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    async with mesh(1, drain_timeout=0.01) as (node,), holder(kind, node) as bus:
        process = await bus.spawn(deaf)
        await asyncio.sleep(0)
        await close(bus)
        assert await ended(process) == "shutdown"
        [line] = logged(caplog, "process_not_cancelled")
        assert line.__dict__["fields"] == {"event": "process_not_cancelled", "task": f"process-{process.pid}"}
        release.set()
        assert process.task is not None
        await asyncio.wait([process.task])
