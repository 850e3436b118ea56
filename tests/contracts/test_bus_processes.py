"""What every holder of a bus may rely on of the processes that it spawns: reasons, links, and what ends with what."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from liminal_mesh.cluster import Pid
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.client import Client
from liminal_mesh.node.errors import NoConnection, NoProcess
from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process
from liminal_mesh.node.subscription import Subscription

from ..nodes import DEADLINE_S, mesh, until
from .conftest import channels, lone_node
from .holders import Held, Over, Pair, ended, eventually, holder, stay, take


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
    [line] = [record for record in caplog.records if record.getMessage() == "process crashed"]
    assert line.__dict__["fields"] == {"pid": str(process.pid)}
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


@pytest.mark.parametrize("function", [lambda me: None, len, None, 7], ids=repr)
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


# --- links ---


async def pairs(pair: Pair) -> tuple[Process, Process]:
    """Return a process on each side, linked by the first one."""
    one, two = await pair.here.spawn(stay), await pair.there.spawn(stay)
    one.link(two.pid)
    one.link(two.pid)
    await until_linked(pair.b, two.pid, one.pid)
    return one, two


async def until_linked(node: Node, pid: Pid, *others: Pid) -> None:
    """Wait until a process of a node is linked with these and no others, its own client aside."""
    table = node.running.hub.processes
    await eventually(lambda: set(table.links(pid)) - set(table.living("connection")) == set(others))


@pytest.mark.parametrize("reason", ["killed", "shutdown", "error: it broke"])
@pytest.mark.parametrize("side", [0, 1], ids=["from-here", "from-there"])
async def test_linked_processes_end_for_the_same_reason(pair: Pair, side: int, reason: str) -> None:
    """Whichever of them ends first, and whoever made the link."""
    both = await pairs(pair)
    both[side].exit(reason)
    assert await ended(both[1 - side]) == reason


async def test_a_normal_end_spares_the_other(pair: Pair) -> None:
    """And ends the link."""
    one, two = await pairs(pair)
    two.exit("normal")
    await until_linked(pair.a, one.pid)
    assert repr(one).endswith("running>")


@pytest.mark.parametrize("side", [0, 1], ids=["from-here", "from-there"])
async def test_an_unlinked_process_is_spared(pair: Pair, side: int) -> None:
    """Either of the two can end the link."""
    both = await pairs(pair)
    both[side].unlink(both[1 - side].pid)
    await until_linked(pair.a, both[0].pid)
    await until_linked(pair.b, both[1].pid)

    both[1].exit("killed")
    async with pair.here.monitor(both[1].pid) as monitor:
        assert (await monitor.down(DEADLINE_S)).reason == "killed"
    assert repr(both[0]).endswith("running>")


@pytest.mark.parametrize("reason", ["normal", "killed"])
async def test_a_link_with_one_that_is_over_brings_its_reason(pair: Pair, reason: str) -> None:
    """Which ends the process, unless it is a normal one."""
    one, two = await pair.here.spawn(stay), await pair.there.spawn(stay)
    two.exit(reason)
    async with pair.there.monitor(two.pid) as monitor:
        await monitor.down(DEADLINE_S)
    one.link(two.pid)
    if reason == "normal":
        await until_linked(pair.a, one.pid)
        assert repr(one).endswith("running>")
    else:
        assert await ended(one) == reason


async def test_a_link_with_one_of_a_node_that_is_not_there_ends_the_process(held: Held) -> None:
    """As the loss of that node would."""
    process = await held.bus.spawn(stay)
    process.link(Pid("nowhere", 1, 1))
    assert await ended(process) == "noconnection"


async def test_a_chain_of_links_ends_in_one_go(pair: Pair) -> None:
    """Over nodes and back."""
    buses = [pair.here, pair.there] * 5
    chain = [await bus.spawn(stay) for bus in buses]
    for one, two in itertools.pairwise(chain):
        one.link(two.pid)
    await until_linked(pair.b, chain[-1].pid, chain[-2].pid)
    for one, two, three in zip(chain, chain[1:], chain[2:], strict=False):
        await until_linked(pair.a if two.pid.node == "a" else pair.b, two.pid, one.pid, three.pid)
    chain[4].exit("error: the fifth")
    assert [await ended(one) for one in chain] == ["error: the fifth"] * 10


async def test_ch3_a_subscription_ends_with_the_process_that_is_linked_to_it(pair: Pair) -> None:
    """Whoever iterates hears the reason; its member has left."""
    async with pair.there.subscribe("ticks", wait="cluster") as subscription:
        process = await pair.here.spawn(stay)
        process.link(subscription.id)
        await until_linked(pair.b, subscription.id, process.pid)
        process.exit("error: no more")
        with pytest.raises(NoProcess) as error:
            await take(subscription, 1)
    assert (error.value.pid, error.value.reason) == (str(subscription.id), "error: no more")
    await until(pair.a, lambda: not pair.a.running.registry.groups(0))


async def test_ch3_a_subscription_that_is_left_spares_whoever_is_linked_to_it(pair: Pair) -> None:
    """Its end is a normal one."""
    process = await pair.here.spawn(stay)
    async with pair.there.subscribe("ticks") as subscription:
        process.link(subscription.id)
        await until_linked(pair.b, subscription.id, process.pid)
    await until_linked(pair.a, process.pid)
    assert repr(process).endswith("running>")


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
