"""Histories that look odd and are well: the checker accepts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .check import check
from .events import Fault
from .history import History
from .reader import BadHistory, read_files, read_lines
from .recorder import Recorder
from .stories import GOOD, Tell
from .story import Story


@pytest.mark.parametrize("tell", GOOD, ids=[tell.__name__ for tell in GOOD])
def test_a_good_history_is_accepted(tell: Tell) -> None:
    """Nothing is reported of what the promises allow."""
    story = Story()
    tell(story)
    report = check(story.history)
    assert not report.violations, str(report)


def test_unknown_publishes_that_appear_are_counted_as_recovered() -> None:
    """And those that do not are not counted as lost."""
    story = Story()
    a = story.node("a")
    one = a.subscribe()
    one.got(a.publish("info"))
    a.publish("info", numbered=False)
    report = check(story.history)
    assert (report.attempted, report.acknowledged, report.recovered, report.count("lost")) == (2, 0, 1, 0)


def test_a_torn_last_line_is_accepted_and_a_torn_one_before_it_is_not(tmp_path: Path) -> None:
    """A kill tears the end of a file; anything else means that the record cannot be trusted."""
    with Recorder(tmp_path, "a.1") as recorder:
        for number in range(3):
            recorder.write(Fault(t_mono_ns=recorder.now(), proc="a.1", what=str(number)))
    whole = recorder.path.read_bytes()
    recorder.path.write_bytes(whole[:-5])
    assert [event.what for event in read_files([recorder.path]) if isinstance(event, Fault)] == ["0", "1"]

    lines = whole.split(b"\n")
    with pytest.raises(BadHistory, match="2"):
        read_lines(b"\n".join([lines[0], lines[1][:-5], lines[2], b""]))
    with pytest.raises(BadHistory, match="backwards"):
        read_lines(b"\n".join([lines[1], lines[0], b""]))


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    """Processes of one machine share the clock."""
    with Recorder(tmp_path, "a.1") as a, Recorder(tmp_path, "b.1") as b:
        for number in range(6):
            recorder = (a, b)[number % 2]
            recorder.write(Fault(t_mono_ns=recorder.now(), proc=recorder.proc, what=str(number)))
    events = read_files([a.path, b.path])
    assert [event.what for event in events if isinstance(event, Fault)] == list("012345")


def test_an_operation_ends_once_and_after_it_began() -> None:
    """A record that says otherwise proves nothing about the bus."""
    story = Story()
    a = story.node("a")
    a.publish()
    with pytest.raises(BadHistory):
        History([*story.events, story.events[-1]])
    with pytest.raises(BadHistory):
        History([one for one in story.events if one.type != "invoke"])
