"""Monitors: who watches is told once and lives on, here and across nodes, whatever a peer sends."""

from __future__ import annotations

from random import Random
from typing import cast

import pytest

from liminal_mesh.cluster import (
    NodeId,
    Pid,
    ProcessDemonitor,
    ProcessDown,
    ProcessExit,
    ProcessFrame,
    ProcessLink,
    ProcessMonitor,
    ProcessUnlink,
)
from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.node.errors import LimitExceeded
from liminal_mesh.node.processes import NO_CONNECTION, NORMAL, ProcessStatistics

from .process_tables import A, B, Side, Two

CRASH = "error: crash"
C = NodeId("c", 1)


def test_a_watcher_is_told_once_whatever_the_reason() -> None:
    """A normal exit too; and every watch is told, in the order in which they began."""
    side = Side()
    pid = side.spawn("pid")
    refs = [side.monitor("first", pid), side.monitor("second", pid)]

    side.table.exit(pid, NORMAL)
    side.table.exit(pid, CRASH)

    assert side.told == [("pid", NORMAL), ("first", NORMAL), ("second", NORMAL)]
    assert len(set(refs)) == 2
    assert side.table.statistics().monitors == 0


def test_a_watch_of_one_that_is_over_is_told_before_it_returns() -> None:
    """With its reason."""
    side = Side()
    pid = side.spawn("pid")
    side.table.exit(pid, CRASH)

    side.monitor("late", pid)

    assert side.told[-1] == ("late", CRASH)
    assert side.table.statistics().monitors == 0


def test_after_a_demonitor_nothing_is_told() -> None:
    """Here, abroad, and with the news on their way; ending it twice is once."""
    two = Two()
    here, there = two.a.spawn("here"), two.b.spawn("there")
    refs = [two.a.monitor(name, pid) for name, pid in (("one", here), ("two", there), ("three", there))]
    two.a.table.demonitor(refs[0])
    two.a.table.demonitor(refs[1])
    two.settle()
    two.b.table.exit(there, CRASH)
    two.a.table.demonitor(refs[2])
    two.a.table.demonitor(refs[2])
    two.a.table.exit(here, CRASH)

    two.settle()

    assert two.a.told == [("here", CRASH)]
    assert two.a.table.statistics().monitors == 0


def test_a_watch_abroad_is_told_the_reason() -> None:
    """Of one that lives, and of one that was over before."""
    two = Two()
    living, gone = two.b.spawn("living"), two.b.spawn("gone")
    two.b.table.exit(gone, CRASH)
    two.a.monitor("watch", living)
    two.a.monitor("late", gone)
    two.settle()
    assert two.a.told == [("late", CRASH)]

    two.b.table.exit(living, NORMAL)
    two.settle()

    assert two.a.told[1:] == [("watch", NORMAL)]


def test_the_end_of_the_session_is_told_to_all_watches_there() -> None:
    """In one call, in the order of their making; a later exit is told to nobody."""
    two = Two()
    there, here = two.b.spawn("there"), two.a.spawn("here")
    two.a.monitor("first", there)
    two.a.monitor("local", here)
    two.a.monitor("second", there)
    two.b.monitor("back", here)
    two.settle()

    two.down()
    two.b.table.exit(there, CRASH)
    two.up()
    two.a.table.exit(here, CRASH)
    two.settle()

    assert two.a.told == [
        ("first", NO_CONNECTION),
        ("second", NO_CONNECTION),
        ("here", CRASH),
        ("local", CRASH),
    ]
    assert two.b.told == [("back", NO_CONNECTION), ("there", CRASH)]


def test_who_gives_up_a_watch_while_a_node_is_lost_is_not_told() -> None:
    """The first to be told ends the second's watch."""
    two = Two()
    there = two.b.spawn("there")
    two.a.monitor("first", there, lambda: two.a.table.demonitor(second))
    second = two.a.monitor("second", there)

    two.down()

    assert two.a.told == [("first", NO_CONNECTION)]


def test_a_failing_watcher_keeps_nobody_from_being_told() -> None:
    """Here and when a node is lost: its failure is reported, with the process, and the others are told."""
    two = Two()
    error = RuntimeError("of the watcher")

    def fail() -> None:
        raise error

    here, there = two.a.spawn("here"), two.b.spawn("there")
    for pid in (here, there):
        two.a.monitor("failing", pid, fail)
        two.a.monitor("other", pid)
    two.b.monitor("abroad", here)
    two.settle()

    two.a.table.exit(here, CRASH)
    two.settle()
    two.down()
    two.a.monitor("late", here, fail)

    assert [name for name, _ in two.a.told] == ["here", "failing", "other", "failing", "other", "late"]
    assert two.b.told == [("abroad", CRASH)]
    assert two.a.failed == [(here, error), (there, error), (here, error)]
    two.check()


def test_a_watcher_may_watch_anew_from_within() -> None:
    """The process is over, so it is told again, once; a lost node is one that is not linked."""
    two = Two()
    there = two.b.spawn("there")
    two.a.monitor("first", there, lambda: two.a.monitor("again", there))

    two.down()

    assert two.a.told == [("first", NO_CONNECTION), ("again", NO_CONNECTION)]


def test_a_user_who_asks_for_one_watch_too_many_is_refused() -> None:
    """With the limit's name: links and watches are counted together."""
    side = Side(entries_max=2)
    pid = side.spawn("pid")
    side.monitor("first", pid)

    with pytest.raises(LimitExceeded) as refused:
        side.monitor("second", pid)

    assert (refused.value.name, refused.value.limit) == ("process_links", 2)
    side.table.exit(pid, NORMAL)
    assert side.told == [("pid", NORMAL), ("first", NORMAL)]


@pytest.mark.parametrize("of", ["here", "elsewhere"])
def test_a_peer_ends_only_watches_of_its_own_processes(of: str) -> None:
    """Nobody speaks for another node: a number of somebody else's watch is not heard."""
    two = Two()
    two.a.table.node_up(C)
    ref = two.a.monitor("watch", two.a.spawn("here") if of == "here" else Pid("c", 1, 1))

    two.a.table.receive(B, ProcessDown(ref, "error: a lie"))

    assert two.a.told == []
    assert two.a.table.statistics().monitors == 1


def test_a_peer_that_uses_a_number_twice_has_one_watch() -> None:
    """The number stands for the last one, and nothing stays behind of the first."""
    two = Two()
    first, second = two.a.spawn("first"), two.a.spawn("second")
    two.a.table.receive(B, ProcessMonitor(9, first.number))
    two.a.table.receive(B, ProcessMonitor(9, second.number))

    two.a.table.exit(first, CRASH)
    two.a.table.exit(second, NORMAL)

    assert two.a.frames() == [ProcessDown(9, NORMAL)]
    two.check()


def _frame(rng: Random) -> ProcessFrame:
    """Draw any frame about processes, with numbers that often meet something."""

    def number() -> int:
        return rng.choice((rng.randrange(6), rng.randrange(40), rng.randrange(2**64)))

    reason = rng.choice((NORMAL, CRASH, "", "\x00" * 4096))
    return rng.choice(
        (
            ProcessLink(number(), number(), number()),
            ProcessUnlink(number(), number(), number(), number()),
            ProcessExit(number(), number(), reason),
            ProcessMonitor(number(), number()),
            ProcessDemonitor(number()),
            ProcessDown(number(), reason),
        )
    )


@pytest.mark.parametrize("entries_max", [1_000_000, 8])
def test_no_frame_of_a_peer_does_harm(entries_max: int) -> None:
    """Any frames, in any order: nothing raises, every table is sound, and with the session all traces are gone."""
    for seed in range(60):
        rng = Random(seed)
        side = Side(A, entries_max)
        side.table.node_up(B)
        side.table.node_up(C)
        own = [side.spawn("own", traps=rng.random() < 0.7) for _ in range(5)]
        watched = side.spawn("watched", traps=True)
        side.monitor("local", watched)
        side.monitor("third", Pid("c", 1, 1))
        for _ in range(120):
            try:
                match rng.randrange(6):
                    case 0:
                        side.table.link(rng.choice(own), Pid(*B, rng.randrange(6)))
                    case 1:
                        side.monitor("peer", Pid(*B, rng.randrange(6)))
            except LimitExceeded:
                assert entries_max == 8
            ((kind, body),) = FrameBuffer(64 * 1024).feed(LINK_CODEC.encode(_frame(rng)))
            side.table.receive(B, cast("ProcessFrame", LINK_CODEC.decode(kind, body)))
            side.table.validate()
        side.table.node_down(B)
        side.table.validate()

        assert not side.failed
        assert {name for name, _ in side.told} <= {"own", "peer"}, seed
        kinds = {"test": sum(side.table.alive(pid) for pid in (*own, watched))}
        assert side.table.statistics() == ProcessStatistics(kinds, 0, 2), seed
