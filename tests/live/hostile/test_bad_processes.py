"""Clients that ask for processes, groups and watches as ours never do: a typed answer, and nothing is left of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgpack
import pytest

from liminal_mesh.cluster import (
    GROUP_SCOPE,
    SCOPES,
    Demonitor,
    Disconnect,
    ExitProcess,
    Failure,
    GroupNews,
    Join,
    Leave,
    LinkProcess,
    MonitorProcess,
    OpenMailbox,
    ProcessGone,
    Reply,
    Request,
    Subscribe,
    Subscribed,
    Unsubscribe,
    UnwatchGroup,
    UnwatchMembers,
    WatchGroup,
    WatchMembers,
)
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.node.node import Node

from ...nodes import until
from ..raw_peer import RawClient
from .clients import alive, goodbye, greeted, served

pytestmark = pytest.mark.live

MOST = (1 << 64) - 1


@asynccontextmanager
async def baseline(**limits: object) -> AsyncIterator[tuple[Node, RawClient]]:
    """Run a raw client, and see in the end that nothing of it is left at the node."""
    async with served(**limits) as (a, client, _):
        await client.members()
        hub = a.running.hub
        before = hub.processes.statistics()
        async with greeted(a) as raw:
            yield a, raw
        await until(a, lambda: len(a.running.server.connections) == 1)
        assert hub.processes.statistics() == before
        assert hub.watches._watchers == {}
        assert hub.member_watches._watchers == {}
        assert a.running.registry.groups(GROUP_SCOPE) == {}
        assert hub.shared.budget.used == 0
        hub.processes.validate()


async def refused(raw: RawClient, ref: int, error: str) -> None:
    """See that a request is refused by this name, and that the connection stands."""
    failure = await raw.expect(Failure)
    assert (failure.ref, failure.error) == (ref, error)
    await alive(raw)


async def opened(raw: RawClient, number: int, *, spawn: bool) -> int:
    """Open a mailbox; return the number of its process."""
    raw.send(OpenMailbox(1, number, 8, spawn))
    return (await raw.expect(Subscribed)).number


REFUSED: list[tuple[str, list[Frame], str]] = [
    ("its own mailbox twice", [OpenMailbox(9, 3, 8, False)], "ProtocolError"),
    ("a mailbox of a number that is taken", [OpenMailbox(9, 2, 8, True)], "ProtocolError"),
    ("a subscription of a mailbox's number", [Subscribe(9, 2, "ticks", 8, "", 0)], "ProtocolError"),
    ("a join of no mailbox", [Join(9, 77, "x", "", 0)], "NoProcess"),
    ("a leave of no mailbox", [Leave(9, 77, "x")], "NoProcess"),
    ("a join of an ended process", [ExitProcess(2, "normal"), Join(9, 2, "x", "", 0)], "NoProcess"),
    ("a join of no group", [Join(9, 1, "x.*", "", 0)], "ProtocolError"),
    ("a join of an empty name", [Join(9, 1, "", "cluster", MOST)], "ProtocolError"),
    ("a watch in no scope", [WatchGroup(9, 5, 4, "x")], "ProtocolError"),
    ("a watch in a scope of the largest number", [WatchGroup(9, 5, MOST, "x")], "ProtocolError"),
    ("a watch of no group", [WatchGroup(9, 5, 3, "a b")], "ProtocolError"),
    ("a watch of a pattern of groups", [WatchGroup(9, 5, 3, "x.*")], "ProtocolError"),
    ("a watch of two groups", [WatchGroup(8, 5, 3, "x"), WatchGroup(9, 5, 3, "y")], "ProtocolError"),
    ("a watch in two scopes", [WatchGroup(8, 5, 3, "x"), WatchGroup(9, 5, 0, "x")], "ProtocolError"),
    ("a watch of a group and of the members", [WatchGroup(8, 5, 3, "x"), WatchMembers(9, 5)], "ProtocolError"),
    ("a watch of the members and of a group", [WatchMembers(8, 5), WatchGroup(9, 5, 3, "x")], "ProtocolError"),
    ("a watch of the members twice", [WatchMembers(8, 5), WatchMembers(9, 5)], ""),
    ("a monitor twice", [MonitorProcess(8, 5, "a", 1, 1), MonitorProcess(9, 5, "a", 1, 1)], ""),
    ("a question with a bad scope", [Request(9, "group_members", msgpack.packb((len(SCOPES), "x")))], "ProtocolError"),
    ("a question without arguments", [Request(9, "group_members")], "ProtocolError"),
    ("a wait that is no time", [Request(9, "ready", msgpack.packb(float("nan")))], "ProtocolError"),
    ("a wait for ever", [Request(9, "ready", msgpack.packb(float("inf")))], "ProtocolError"),
    ("a wait below zero", [Request(9, "ready", msgpack.packb(-1.0))], "ProtocolError"),
]


@pytest.mark.parametrize(("frames", "error"), [pytest.param(f, e, id=what) for what, f, e in REFUSED])
async def test_what_makes_no_sense_is_refused_by_itself(frames: list[Frame], error: str) -> None:
    """With a typed error for the request; the connection and all it has stand."""
    async with baseline() as (_, raw):
        await opened(raw, 1, spawn=False)
        await opened(raw, 2, spawn=True)
        raw.send(*frames)
        if error:
            await refused(raw, 9, error)
        await alive(raw)


async def test_two_monitors_of_one_number_are_refused_while_the_first_stands() -> None:
    """It goes on, and is told once."""
    async with baseline() as (a, raw):
        number = await opened(raw, 1, spawn=True)
        raw.send(*(MonitorProcess(ref, 5, "a", a.epoch, number) for ref in (8, 9)))
        await refused(raw, 9, "ProtocolError")
        raw.send(ExitProcess(1, ""))
        assert await raw.expect(ProcessGone) == ProcessGone(5, "")
        await alive(raw)
        assert len([frame for frame in raw.seen if isinstance(frame, ProcessGone)]) == 1


@pytest.mark.parametrize("frame", [ExitProcess(1, "killed"), Unsubscribe(1)], ids=lambda one: type(one).__name__)
async def test_the_connections_own_process_cannot_be_ended_by_itself(frame: Frame) -> None:
    """It ends with the connection, which is told why."""
    async with baseline() as (_, raw):
        await opened(raw, 1, spawn=False)
        raw.send(Join(2, 1, "x", "", 0), frame)
        assert "with the connection" in (await goodbye(raw)).reason


async def test_the_end_of_what_is_not_there_is_nothing() -> None:
    """Links, exits, monitors and watches of unknown numbers, and whatever is no process."""
    async with baseline() as (a, raw):
        own = await opened(raw, 1, spawn=False)
        await opened(raw, 2, spawn=True)
        raw.send(
            ExitProcess(77, "killed"), LinkProcess(77, "a", a.epoch, 1, True), LinkProcess(2, "a", a.epoch, own, False),
            LinkProcess(1, "", MOST, MOST, True), LinkProcess(1, "nowhere", 1, 1, True),
            LinkProcess(2, "", 0, 0, False), Demonitor(77), UnwatchGroup(77), UnwatchMembers(77),
            Leave(5, 2, "never.joined"), Unsubscribe(77),
        )  # fmt: skip
        assert (await raw.expect(Reply)).ref == 5
        await alive(raw)
        assert not [frame for frame in raw.seen if isinstance(frame, ExitProcess | Failure)]


@pytest.mark.parametrize("target", [("", 0, 0), ("nowhere", 1, 1), ("a b\n", MOST, MOST), ("a", 1, 1)], ids=str)
async def test_a_link_or_a_monitor_of_nonsense_is_told_as_one_that_is_over(target: tuple[str, int, int]) -> None:
    """As the table does for whatever is not there."""
    async with baseline() as (_, raw):
        await opened(raw, 2, spawn=True)
        raw.send(MonitorProcess(5, 1, *target), LinkProcess(2, *target, True))
        assert (await raw.expect(ProcessGone)).reason == "noconnection"
        assert await raw.expect(ExitProcess) == ExitProcess(2, "noconnection")


@pytest.mark.parametrize("reason", ["", "x" * 4096, "\x1b[2J\n", "error: the node has too many links and monitors"])
async def test_a_process_ends_for_any_reason_that_a_frame_holds(reason: str) -> None:
    """Cut to what a reason may be."""
    async with baseline() as (a, raw):
        numbers = [await opened(raw, number, spawn=True) for number in (2, 3)]
        raw.send(LinkProcess(2, "a", a.epoch, numbers[1], True), MonitorProcess(5, 1, "a", a.epoch, numbers[0]))
        raw.send(ExitProcess(2, reason))
        assert (await raw.expect(ProcessGone)).reason == reason[:1000]
        assert await raw.expect(ExitProcess) == ExitProcess(3, reason[:1000])


async def test_everything_up_to_the_limits_is_gone_with_the_connection() -> None:
    """A connection with all the processes, memberships, links, monitors and watches that it may have."""
    limits = {"subscriptions_per_connection": 200, "watches_per_connection": 300, "process_links": 2000, "groups": 500}
    async with baseline(**limits) as (a, raw):
        me = await opened(raw, 1, spawn=False)
        for number in range(2, 201):
            raw.send(OpenMailbox(1, number, 1_000_000, True), LinkProcess(number, "a", a.epoch, me, True))
            raw.send(Join(2, number, f"g{number}", "cluster", MOST), Join(2, number, "all", "", 0))
            raw.send(MonitorProcess(3, number, "a", a.epoch, me))
        raw.send(*(WatchGroup(4, number, GROUP_SCOPE, "all") for number in range(101)))
        raw.send(OpenMailbox(11, 999, 1, True), WatchGroup(12, 999, 0, "x"), MonitorProcess(13, 998, "a", a.epoch, me))
        names = {}
        for _ in range(3):
            failure = await raw.expect(Failure)
            names[failure.ref] = (failure.error, msgpack.unpackb(failure.fields)["name"])
        assert names == {
            11: ("LimitExceeded", "subscriptions_per_connection"),
            12: ("LimitExceeded", "watches_per_connection"),
            13: ("LimitExceeded", "watches_per_connection"),
        }
        while (await raw.expect(GroupNews)).watch != 100:
            pass
        await alive(raw)
        assert a.running.hub.processes.statistics().processes["process"] == 199


async def test_links_of_one_client_are_bounded_and_those_that_are_over_do_not_count() -> None:
    """Nobody waits for an answer: the process that was to be linked once more ends with the reason."""
    async with baseline(watches_per_connection=3) as (a, raw):
        pids = [await opened(raw, number, spawn=True) for number in range(1, 6)]

        def link(number: int, other: int, *, linked: bool = True) -> LinkProcess:
            return LinkProcess(number, "a", a.epoch, pids[other - 1], linked)

        raw.send(link(1, 2), link(1, 2), link(1, 3), link(1, 4), link(1, 3, linked=False), link(2, 3))
        raw.send(ExitProcess(4, "normal"), link(1, 5))
        await alive(raw)
        assert a.running.hub.processes.statistics().processes["process"] == 4
        raw.send(link(5, 3))
        ends = [await raw.expect(ExitProcess) for _ in range(4)]
        assert {one.subscription for one in ends} == {1, 2, 3, 5}
        assert all("limits.watches_per_connection is 3" in one.reason for one in ends)


async def test_monitors_beyond_the_nodes_limit_leave_no_trace() -> None:
    """The number that was refused can be used again when there is room."""
    async with baseline(process_links=20) as (a, raw):
        for number in range(1, 30):
            raw.send(MonitorProcess(number, number, "a", a.epoch, 1))
        failure = await raw.expect(Failure)
        assert msgpack.unpackb(failure.fields)["name"] == "process_links"
        await alive(raw)
        raw.send(Demonitor(1), MonitorProcess(99, failure.ref, "a", a.epoch, 1))
        while (reply := await raw.expect(Reply)).ref != 99:
            assert reply.ref < failure.ref


async def _abort(raw: RawClient) -> None:
    raw.writer.transport.abort()


async def _break(raw: RawClient) -> None:
    raw.send_bytes(bytes(4))
    await raw.ended()


async def _leave(raw: RawClient) -> None:
    raw.send(Disconnect("leave", ""))
    await raw.ended()


@pytest.mark.parametrize(
    ("end", "reason"),
    [(_abort, "noconnection"), (_break, "error: protocol"), (_leave, "normal")],
    ids=["reset", "broken", "left"],
)
async def test_cn1_however_a_connection_ends_its_processes_end_for_that_reason(
    end: Callable[[RawClient], Awaitable[None]], reason: str
) -> None:
    """What follows a connection ends with it even when that end is a normal one."""
    async with baseline() as (a, raw):
        number = await opened(raw, 1, spawn=True)
        process = await a.running.programs.join("x", None, None, 1.0)
        monitor = a.monitor(process.pid._replace(number=number))
        async with monitor:
            raw.send(Join(2, 1, "x", "", 0), WatchGroup(3, 1, 3, "x"))
            await raw.expect(GroupNews)
            await end(raw)
            assert (await monitor.down(10.0)).reason.startswith(reason)
        await process.leave()
