"""What every holder of a bus may rely on of its monitors: the end of a process is told once, wherever it was."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from liminal_mesh.cluster import Pid
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import DeadlineExceeded, LimitExceeded, NoConnection, NotAuthorized
from liminal_mesh.node.intake import Intake
from liminal_mesh.node.monitor import Monitor
from liminal_mesh.node.node import Node
from liminal_mesh.node.processes import NO_PROCESS

from ..nodes import DEADLINE_S, logged, mesh, node_config
from .holders import Held, Pair, ended, eventually, holder, payloads, stay
from .test_bus_mesh import deafen


@pytest.mark.parametrize("reason", ["normal", "killed", "shutdown", "error: it broke"])
async def test_an_end_is_told_with_its_reason_and_the_time_it_was_seen(pair: Pair, reason: str) -> None:
    """Whoever asks again gets the same answer."""
    process = await pair.there.spawn(stay)
    async with pair.here.monitor(process.pid) as monitor:
        assert repr(monitor) == f"<Monitor {process.pid} alive>"
        waiting = asyncio.create_task(monitor.down())
        before = time.monotonic()
        process.exit(reason)
        async with asyncio.timeout(DEADLINE_S):
            first, second = await waiting, await monitor.down(timeout=0)

    assert first is second
    assert (first.pid, first.reason) == (process.pid, reason)
    assert before <= first.observed_at <= time.monotonic()
    assert await monitor.down() is first


@pytest.mark.parametrize("reason", ["normal", "killed", "error: it broke"])
async def test_one_that_is_over_already_is_told_at_once(pair: Pair, reason: str) -> None:
    """With the reason of its end."""
    process = await pair.there.spawn(stay)
    process.exit(reason)
    await pair.there.members()
    async with pair.here.monitor(process.pid) as monitor:
        assert (await monitor.down(DEADLINE_S)).reason == reason


async def test_one_that_never_was_or_is_out_of_reach_is_told_at_once(pair: Pair) -> None:
    """No process of that number, another run of a linked node, and a node that nobody knows."""
    b = pair.b
    expected = {
        Pid("b", b.epoch, 1 << 40): NO_PROCESS,
        Pid("b", b.epoch - 1, 1): "noconnection",
        Pid("b", b.epoch + 1, 1): "noconnection",
        Pid("nowhere", 1, 1): "noconnection",
    }
    for pid, reason in expected.items():
        async with pair.here.monitor(pid) as monitor:
            assert (await monitor.down(DEADLINE_S)).reason == reason


async def test_a_process_that_lives_is_a_deadline_that_passes(held: Held) -> None:
    """The error says whose; the monitor goes on."""
    process = await held.bus.spawn(stay)
    async with held.bus.monitor(process.pid) as monitor:
        for timeout in (0, 0.01):
            with pytest.raises(DeadlineExceeded) as error:
                await monitor.down(timeout)
            assert (error.value.phase, error.value.node) == ("monitor", "a")
        process.exit()
        assert (await monitor.down(DEADLINE_S)).reason == "normal"


async def test_many_monitors_of_one_process_are_all_told(pair: Pair) -> None:
    """On both nodes; one that was closed before is not."""
    process = await pair.there.spawn(stay)
    async with AsyncExitStack() as stack:
        monitors = [await stack.enter_async_context(bus.monitor(process.pid)) for bus in (pair.here, pair.there) * 20]
        async with pair.here.monitor(process.pid) as closed:
            pass
        process.exit("killed")
        async with asyncio.timeout(DEADLINE_S):
            assert {(await one.down()).reason for one in monitors} == {"killed"}
        with pytest.raises(RuntimeError, match="was left"):
            await closed.down()


async def test_nothing_is_left_of_monitors_and_links_that_are_over(pair: Pair) -> None:
    """At either node, however they ended."""
    tables = [node.running.hub.processes for node in (pair.a, pair.b)]
    before = [table.statistics() for table in tables]
    for end in ("left", "told"):
        process, other = await pair.there.spawn(stay), await pair.here.spawn(stay)
        other.link(process.pid)
        async with pair.here.monitor(process.pid) as monitor:
            if end == "told":
                process.exit("killed")
                await monitor.down(DEADLINE_S)
        process.exit("killed")
        await ended(other)
    await eventually(lambda: [table.statistics() for table in tables] == before)
    for table in tables:
        await eventually(lambda: table._monitors.count == table._monitors.ours)  # noqa: B023
        table.validate()


async def test_a_subscription_and_a_connection_are_processes_that_can_be_monitored(pair: Pair) -> None:
    """A subscription ends normally when it is left, a connection when its client leaves."""
    async with pair.there.subscribe("ticks") as subscription:
        watched = await pair.here.monitor(subscription.id).__aenter__()
    assert (await watched.down(DEADLINE_S)).reason == "normal"
    async with connect(f"liminal://{pair.b.addresses['client']}") as client:
        watched = await pair.here.monitor(client.pid).__aenter__()
    assert (await watched.down(DEADLINE_S)).reason == "normal"


async def test_cn1_a_connection_that_is_cut_ends_with_all_that_was_its_own(pair: Pair) -> None:
    """Peers hear noconnection of each, and its members have left; other connections are untouched."""
    async with connect(f"liminal://{pair.b.addresses['client']}", name="far") as far, far.subscribe("m.a") as other:
        process = await far.spawn(stay)
        await far.join("x", process.pid, wait="cluster")
        there = far.pid
        async with AsyncExitStack() as stack:
            monitors = [
                await stack.enter_async_context(pair.here.monitor(pid)) for pid in (there, process.pid, other.id)
            ]
            spared = await pair.there.spawn(stay)
            [connection] = [one for one in pair.b.running.server.connections.values() if one.client == "far"]
            connection.wire.abort("cut by the test")
            async with asyncio.timeout(DEADLINE_S):
                assert [(await one.down()).reason for one in monitors] == ["noconnection"] * 3
            assert await ended(process) == "noconnection"
            await eventually(lambda: not pair.a.running.registry.members(3, "x"))
            assert repr(spared).endswith("running>")


async def test_cn1_a_crash_of_one_connection_touches_no_other(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect of ours in one connection's frame is the end of that connection, with the error as its reason."""
    works = Intake.publish

    def publish(self: Intake, frame: object) -> None:
        if frame.channel == "m.poison":  # type: ignore[attr-defined]
            raise ZeroDivisionError("planted")
        works(self, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(Intake, "publish", publish)
    url = f"liminal://{pair.b.addresses['client']}"
    async with connect(url) as bad, connect(url) as good, good.subscribe("ticks") as subscription:
        former = bad.pid
        process, spared = await bad.spawn(stay), await good.spawn(stay)
        async with pair.here.monitor(former) as one, pair.here.monitor(process.pid) as two:
            bad.publish_nowait("m.poison", b"")
            reasons = [(await monitor.down(DEADLINE_S)).reason for monitor in (one, two)]
        assert reasons == ["error: ZeroDivisionError: planted"] * 2
        assert await ended(process) == "noconnection"

        await good.publish("ticks", b"unharmed")
        assert await payloads(subscription, 1) == [b"unharmed"]
        assert repr(spared).endswith("running>")
        assert good.pid in pair.b.running.hub.processes.living("connection")
    [line] = logged(caplog, "connection_crashed")
    assert line.__dict__["fields"]["pid"] == str(former)


async def test_a_monitor_is_entered_once(held: Held) -> None:
    """The second time leaves nothing behind, and the first one goes on."""
    process = await held.bus.spawn(stay)
    async with held.bus.monitor(process.pid) as monitor:
        with pytest.raises(RuntimeError, match="was entered already"):
            await monitor.__aenter__()
        process.exit("enough")
        assert (await monitor.down(DEADLINE_S)).reason == "enough"
    await eventually(lambda: held.node.running.hub.processes.statistics().monitors == 0)


async def test_a_monitor_that_could_not_be_entered_can_be_tried_again(held: Held) -> None:
    """Once it is allowed."""
    hub = held.node.running.hub
    permit = hub.permit

    def deny(who: Pid, verb: str, name: str) -> None:
        raise NotAuthorized(verb, name)

    hub.permit = deny
    monitor = held.bus.monitor(held.bus.pid)
    with pytest.raises(NotAuthorized):
        await monitor.__aenter__()
    hub.permit = permit
    async with monitor:
        assert hub.processes.statistics().monitors == 1


async def test_who_waits_for_a_monitor_that_is_left_hears_of_that(held: Held) -> None:
    """It will never be told; what was told before stays."""
    process = await held.bus.spawn(stay)
    async with held.bus.monitor(process.pid) as monitor:
        waiting = asyncio.create_task(monitor.down())
        await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE_S):
        for late in (waiting, monitor.down()):
            with pytest.raises(RuntimeError, match="was left"):
                await late
    async with held.bus.monitor(process.pid) as monitor:
        process.exit()
        await monitor.down(DEADLINE_S)
    assert (await monitor.down()).reason == "normal"


# --- the end of the bus ---


async def test_a_monitor_comes_to_its_end_with_its_own_bus(pair: Pair) -> None:
    """Whatever it watches: nobody waits for ever. A peer that is frozen changes nothing of that."""
    process = await pair.there.spawn(stay)
    reasons = {process.pid: "noconnection", pair.b.pid: "noconnection"}
    if isinstance(pair.here, Node):
        reasons[pair.a.pid] = "shutdown"
    monitors = [await pair.here.monitor(pid).__aenter__() for pid in reasons]
    waiting = [asyncio.create_task(one.down()) for one in monitors]
    deafen(pair.b, "a")
    async with asyncio.timeout(DEADLINE_S):
        await (pair.here.stop() if isinstance(pair.here, Node) else pair.here.close())  # type: ignore[attr-defined]
        assert {one.pid: one.reason for one in await asyncio.gather(*waiting)} == reasons


async def test_a_closed_client_monitors_nothing_more() -> None:
    """And says why."""
    async with mesh(1) as (node,):
        async with holder("client", node) as client:
            pid = client.pid
        with pytest.raises(NoConnection):
            await client.monitor(pid).__aenter__()


async def test_a_node_that_stops_is_not_a_node_that_is_lost() -> None:
    """Its own process ends with shutdown in the first case, and with noconnection in the other."""
    async with mesh(3) as (a, b, c), a.monitor(b.pid) as stopped, a.monitor(c.pid) as lost:
        await eventually(lambda: b.running.hub.processes._monitors.count > 0)  # it has arrived
        await b.stop()
        assert (await stopped.down(DEADLINE_S)).reason == "shutdown"
        links = c.running.hub.mesh
        assert links is not None
        links.links["a"].wire.abort("cut by the test")
        assert (await lost.down(DEADLINE_S)).reason == "noconnection"


# --- bounds ---


async def test_no_more_processes_run_than_the_limit() -> None:
    """Each kind of bus names its own; when one ends, there is room again."""
    limits = {"processes": 2, "subscriptions_per_connection": 2}
    async with Node(node_config("a", limits=limits)) as node, holder("client", node) as client:
        for bus, name in ((node, "processes"), (client, "subscriptions_per_connection")):
            first, _ = [await bus.spawn(stay) for _ in range(2)]
            with pytest.raises(LimitExceeded) as error:
                await bus.spawn(stay)
            assert (error.value.name, error.value.limit) == (name, 2)
            first.exit()
            await bus.spawn(stay)


async def test_a_client_has_no_more_monitors_and_watches_than_the_limit() -> None:
    """Both count; when one is closed, there is room again."""
    async with Node(node_config("a", limits={"watches_per_connection": 2})) as node, holder("client", node) as client:
        first = await client.monitor(node.pid).__aenter__()
        async with client.watch_group("x") as watch:
            for use in (client.monitor(node.pid), client.watch_group("y")):
                with pytest.raises(LimitExceeded) as error:
                    await use.__aenter__()
                assert (error.value.name, error.value.limit) == ("watches_per_connection", 2)
            await anext(watch)
        async with client.monitor(node.pid):
            pass
        await first.__aexit__(None, None, None)


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_no_more_links_and_monitors_than_the_limit(kind: str) -> None:
    """A monitor is refused by that name; a link too, where the caller can hear it, and else it ends the process."""
    async with Node(node_config("a", limits={"process_links": 20})) as node, holder(kind, node) as bus:
        processes = [await bus.spawn(stay) for _ in range(3)]
        table = node.running.hub.processes
        monitors: list[Monitor] = []
        while table.statistics().links + 2 * len(monitors) < 20:  # each is an entry at both ends
            monitors.append(await bus.monitor(node.pid).__aenter__())
        with pytest.raises(LimitExceeded) as error:
            await bus.monitor(node.pid).__aenter__()
        assert (error.value.name, error.value.limit) == ("process_links", 20)
        assert table.statistics().monitors == len(monitors)

        if kind == "node":
            with pytest.raises(LimitExceeded, match="process_links"):
                processes[0].link(processes[1].pid)
        else:
            processes[0].link(processes[1].pid)
            assert "process_links is 20" in await ended(processes[0])
        await monitors.pop().__aexit__(None, None, None)
        processes[1].link(processes[2].pid)
        processes[1].exit("killed")
        assert await ended(processes[2]) == "killed"
