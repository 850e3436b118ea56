"""Processes: how they begin and end, who is told in which order, what is remembered, and what may be done meanwhile."""

from __future__ import annotations

from itertools import pairwise

import pytest

from liminal_mesh.cluster import Pid, ProcessExit, ProcessMonitor
from liminal_mesh.node.processes import NO_CONNECTION, NO_PROCESS, NORMAL, REMEMBERED, ProcessStatistics

from .process_tables import A, B, Side, Two

CRASH = "error: crash"


def test_a_pid_names_this_run_and_is_never_used_again() -> None:
    """A process that begins later has another number, whoever ended before."""
    side = Side()
    first = side.spawn("first")
    side.table.exit(first, NORMAL)
    second = side.spawn("second")

    assert first == Pid("a", 5, 1)
    assert second == Pid("a", 5, 2)
    assert (side.table.alive(first), side.table.alive(second)) == (False, True)


def test_a_process_ends_once() -> None:
    """The first exit counts: its owner hears one reason, and a second exit is told that it came late."""
    side = Side()
    pid = side.spawn("one")

    assert side.table.exit(pid, CRASH)
    assert not side.table.exit(pid, "killed")
    assert side.told == [("one", CRASH)]
    assert side.table.reason(pid) == CRASH


def test_the_owner_is_told_first_then_the_linked_then_the_watchers() -> None:
    """An owner hears of it when nobody else knows; when the watchers hear, the linked have ended as well."""
    side = Side()
    alive: list[tuple[bool, bool]] = []

    def look() -> None:
        alive.append((side.table.alive(pid), side.table.alive(linked)))

    pid, linked = side.spawn("owner", look), side.spawn("linked")
    side.monitor("watcher", pid, look)
    side.table.link(linked, pid)

    side.table.exit(pid, CRASH)

    assert alive == [(False, True), (False, False)]
    assert side.told == [("owner", CRASH), ("watcher", CRASH), ("linked", CRASH)]


def test_peers_are_told_of_links_before_watches() -> None:
    """On the wire too the exit signal goes before the news."""
    two = Two()
    one, _ = two.linked()
    two.b.monitor("watcher", one)
    two.settle()

    two.a.table.exit(one, CRASH)

    assert [type(frame).__name__ for frame in two.a.frames()] == ["ProcessExit", "ProcessDown"]
    two.settle()
    assert two.b.told == [("other", CRASH), ("watcher", CRASH)]


def test_a_failing_owner_keeps_nobody_from_being_told() -> None:
    """Its failure is reported, with the process, and the exit goes on."""
    side = Side()
    error = RuntimeError("of the owner")

    def fail() -> None:
        raise error

    pid = side.spawn("owner", fail)
    side.table.link(side.spawn("linked"), pid)
    side.monitor("watcher", pid)

    assert side.table.exit(pid, CRASH)
    assert [name for name, _ in side.told] == ["owner", "watcher", "linked"]
    assert side.failed == [(pid, error)]
    side.table.validate()


def test_ten_thousand_linked_processes_end_without_recursion() -> None:
    """A chain of links is followed to its end, however long it is."""
    side = Side()
    pids = [side.spawn(str(number)) for number in range(10_000)]
    for one, other in pairwise(pids):
        side.table.link(one, other)

    side.table.exit(pids[5_000], CRASH)

    assert len(side.told) == 10_000
    assert {reason for _, reason in side.told} == {CRASH}
    assert side.table.statistics() == ProcessStatistics({}, 0, 0)
    side.table.validate()


def test_reasons_are_kept_for_those_who_ask_late_up_to_a_bound() -> None:
    """The last 4096 reasons are known; one that is older is as if the process had never been."""
    side = Side()
    first = side.spawn("first")
    side.table.exit(first, CRASH)
    for _ in range(REMEMBERED - 1):
        side.table.exit(side.table.spawn("test", lambda _: None), NORMAL)
    assert side.table.reason(first) == CRASH

    side.table.exit(side.table.spawn("test", lambda _: None), NORMAL)

    assert side.table.reason(first) == NO_PROCESS == "error: no such process"
    side.monitor("late", first)
    assert side.told[-1] == ("late", NO_PROCESS)


@pytest.mark.parametrize(
    ("pid", "reason"),
    [
        (Pid("a", 5, 99), NO_PROCESS),
        (Pid("a", 4, 1), NO_CONNECTION),
        (Pid("b", 6, 1), NO_CONNECTION),
        (Pid("c", 1, 1), NO_CONNECTION),
    ],
)
def test_who_is_not_there_has_a_reason(pid: Pid, reason: str) -> None:
    """A number that never was, an earlier run of this node or of a peer, and an unknown node: no frame is sent."""
    two = Two()
    one = two.a.spawn("one")
    two.a.monitor("watch", pid)
    two.a.table.link(one, pid)

    assert two.a.told == [("watch", reason), ("one", reason)]
    assert not two.a.sent
    two.check()


def test_a_reason_is_cut_and_can_always_be_sent() -> None:
    """A text from anywhere becomes one that every peer can read: at most 1000 characters, no lone surrogates."""
    two = Two()
    one, other = two.linked()

    two.a.table.exit(one, "error: \udcff" + "x" * 5000)
    two.settle()

    reason = "error: ?" + "x" * 992
    assert two.a.table.reason(one) == two.b.table.reason(other) == reason


def test_what_is_done_from_within_is_done_in_order() -> None:
    """An owner may begin, end, link and watch others when it is told: each hears once, after what is being done."""
    side = Side()
    table = side.table
    bystander, linked, victim = side.spawn("bystander"), side.spawn("linked"), side.spawn("victim")

    def meddle() -> None:
        table.link(linked, pid)
        side.monitor("late", pid)
        table.exit(victim, "killed")
        table.unlink(bystander, pid)
        table.link(side.spawn("new"), victim)

    pid = side.spawn("owner", meddle)
    table.link(bystander, pid)

    table.exit(pid, CRASH)

    expected = [("owner", CRASH), ("late", CRASH), ("linked", CRASH), ("victim", "killed"), ("new", "killed")]
    assert side.told[0] == expected[0]
    assert sorted(side.told) == sorted(expected)
    assert table.alive(bystander)
    table.validate()


def test_what_is_taken_back_from_within_is_not_told() -> None:
    """An unlink and a demonitor hold even for news that are due already."""
    side = Side()
    table = side.table
    one, gone = side.spawn("one"), side.spawn("gone")
    table.exit(gone, CRASH)

    def meddle() -> None:
        table.link(one, gone)
        table.unlink(one, gone)
        table.demonitor(side.monitor("watch", gone))

    table.exit(side.spawn("owner", meddle), NORMAL)

    assert side.told == [("gone", CRASH), ("owner", NORMAL)]
    assert table.alive(one)
    table.validate()


def test_a_reason_is_the_one_of_the_moment_of_asking() -> None:
    """News that wait for their turn do not lose their reason, however many others end meanwhile."""
    side = Side()
    gone = side.spawn("gone")
    side.table.exit(gone, CRASH)

    def meddle() -> None:
        side.monitor("late", gone)
        for _ in range(REMEMBERED):
            side.table.exit(side.table.spawn("test", lambda _: None), NORMAL)

    side.table.exit(side.spawn("owner", meddle), NORMAL)

    assert side.told[-1] == ("late", CRASH)


@pytest.mark.parametrize("who", ["owner", "watcher"])
def test_a_session_that_ends_from_within_gets_no_more_frames(who: str) -> None:
    """Whoever ends a session when it is told leaves no news to send there, and nothing behind."""
    two = Two()
    ends: list[str] = []

    def end(name: str) -> None:
        if name == who:
            two.a.table.node_down(B)
            ends.extend(type(frame).__name__ for frame in two.a.frames())

    pid = two.a.spawn("owner", lambda: end("owner"))
    two.a.monitor("watcher", pid, lambda: end("watcher"))
    other = two.b.spawn("other")
    two.a.table.link(pid, other)
    two.b.monitor("watcher", pid)
    two.settle()

    two.a.table.exit(pid, CRASH)

    assert [type(frame).__name__ for frame in two.a.frames()] == ends == (["ProcessExit"] if who == "watcher" else [])
    assert two.a.table.statistics() == ProcessStatistics({}, 0, 0)
    two.a.table.validate()


def test_statistics_count_what_there_is() -> None:
    """Processes by kind, both entries of a link within the node, one of a link abroad, and our watches."""
    two = Two()
    one, other = two.linked()
    channel = two.a.table.spawn("channel", lambda _: None)
    two.a.table.link(one, channel)
    two.a.monitor("watch", other)

    assert two.a.table.statistics() == ProcessStatistics({"channel": 1, "test": 1}, 3, 1)


def test_the_limit_counts_for_peers_too_and_names_the_reason() -> None:
    """A peer's link and watch are refused as if the process had ended, but the process lives."""
    two = Two(entries_max=1)
    pid, kept = two.b.spawn("pid"), two.b.spawn("kept")
    two.b.monitor("own", kept)

    two.b.table.receive(A, ProcessMonitor(1, pid.number))

    assert [type(frame).__name__ for frame in two.b.frames()] == ["ProcessDown"]
    assert two.b.table.alive(pid)
    two.check()


def test_frames_reach_the_present_run_only() -> None:
    """A frame names numbers, of this run and of the session's: an exit of one that is not linked is not heard."""
    two = Two()
    one, _ = two.linked()
    two.a.table.receive(B, ProcessExit(999, one.number, CRASH))

    assert two.a.table.alive(one)
    two.check()


@pytest.mark.parametrize("turned", [False, True], ids=["by-the-follower", "by-the-followed"])
def test_who_follows_another_cannot_be_unlinked_from_it(turned: bool) -> None:
    """Else a client's process would outlive the connection, and nobody would ever end it."""
    side = Side()
    leader = side.spawn("leader", traps=True)
    follower = side.spawn("follower", follows=leader)

    side.table.unlink(*((leader, follower) if turned else (follower, leader)))
    side.table.exit(leader, NORMAL)
    assert side.told == [("leader", NORMAL), ("follower", NORMAL)]
    assert side.table.statistics() == ProcessStatistics({}, 0, 0)
