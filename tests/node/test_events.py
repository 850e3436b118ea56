"""What happened at a node: what is kept, what a reader is told of, and that each event is one line of the log."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liminal_mesh.cluster import MemberState, Pid
from liminal_mesh.node.events import EVENTS_MAX, TEXT_MAX, Events

ROOT = Path(__file__).parents[2]


def clock() -> int:
    """Return the time of every event."""
    return 1_700_000_000_500_000_000


def ring(count: int = 0, epoch: int = 7) -> Events:
    """Return events of which so many have happened."""
    events = Events(epoch, clock)
    for number in range(1, count + 1):
        events.note("link_up", number=number)
    return events


def numbers(events: Events, after: str = "") -> tuple[list[int], int]:
    """Return which events a reader gets, and how many it is told that it has missed."""
    tail = events.after(after)
    return [event["number"] for event in tail.events], tail.missed


def test_an_event_is_kept_and_its_line_is_logged_by_one_call(caplog: pytest.LogCaptureFixture) -> None:
    """The same facts in both; the fields of every event beside them."""
    caplog.set_level("INFO")
    events = Events(7, clock)
    events.note("link_up", peer="b", epoch="12")
    events.note("channel_failed", "warning", channel="orders")

    assert list(events) == [
        {"id": "7.1", "at": 1_700_000_000.5, "kind": "link_up", "level": "info", "peer": "b", "epoch": "12"},
        {"id": "7.2", "at": 1_700_000_000.5, "kind": "channel_failed", "level": "warning", "channel": "orders"},
    ]
    assert [(one.levelname, one.getMessage(), one.fields) for one in caplog.records] == [  # type: ignore[attr-defined]
        ("INFO", "link_up peer=b epoch=12", {"event": "link_up", "peer": "b", "epoch": "12"}),
        ("WARNING", "channel_failed channel=orders", {"event": "channel_failed", "channel": "orders"}),
    ]


def test_what_broke_has_its_traceback_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """An event is for who asks over the network."""
    events = Events(7, clock)
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        events.broke("connection_crashed", error, pid="a.7.1")

    (kept,) = events
    assert (kept["level"], kept["pid"], set(kept)) == ("error", "a.7.1", {"id", "at", "kind", "level", "pid"})
    assert "ZeroDivisionError" in caplog.text


def test_what_is_for_debugging_is_a_line_and_no_event(caplog: pytest.LogCaptureFixture) -> None:
    """It may happen as often as it likes."""
    caplog.set_level(logging.DEBUG, "liminal")
    events = Events(7, clock)
    events.note("dial_failed", "debug", target="b:1")

    assert (list(events), events.last, caplog.messages) == ([], "7.0", ["dial_failed target=b:1"])


def test_whoever_waits_is_told_of_each_event() -> None:
    """And of nothing else."""
    told: list[str] = []
    events = Events(7, clock, lambda: told.append(events.last))
    events.note("link_up")
    events.note("dial_failed", "debug")
    events.broke("connection_crashed", ValueError())

    assert told == ["7.1", "7.2"]


def test_a_reader_gets_what_it_has_not_seen_and_is_told_what_it_has_missed() -> None:
    """The first answer is what is kept; after that nothing is missing in silence."""
    events = ring(3)
    assert numbers(events) == ([1, 2, 3], 0)
    assert numbers(events, "7.1") == ([2, 3], 0)
    assert numbers(events, events.last) == ([], 0)

    full = ring(EVENTS_MAX + 10)
    assert numbers(full) == (list(range(11, EVENTS_MAX + 11)), 0)
    assert numbers(full, "7.10") == (list(range(11, EVENTS_MAX + 11)), 0)
    assert numbers(full, "7.4") == (list(range(11, EVENTS_MAX + 11)), 6)


def test_a_reader_of_a_former_run_begins_with_this_one() -> None:
    """Whatever number it has seen there; what this run has already forgotten is missed."""
    assert numbers(ring(3), "6.100") == ([1, 2, 3], 0)
    assert numbers(ring(EVENTS_MAX + 2), "6.1")[1] == 2


def test_an_event_that_has_not_happened_yet_has_nothing_after_it() -> None:
    """It is no event of this node, and no error either."""
    assert numbers(ring(3), "7.99") == ([], 0)
    assert numbers(ring(3), f"7.{'9' * 50}") == ([], 0)


@pytest.mark.parametrize("text", ["x", "7", "7.", ".7", "7.1.2", "-7.1", "7.-1", " 7.1", "7.1 ", "\u0667.1", "9" * 100])
def test_what_is_no_id_is_refused(text: str) -> None:
    """By name."""
    with pytest.raises(ValueError, match="is no event's id"):
        ring(1).after(text)


@given(st.lists(st.integers(0, EVENTS_MAX * 2), max_size=6))
def test_what_readers_get_and_miss_is_all_that_happened(bursts: list[int]) -> None:
    """However much happens between two of their questions: each event once, in order, or counted as missed."""
    events, happened, seen, last = Events(7, clock), 0, 0, "7.0"
    for burst in bursts:
        for _ in range(burst):
            happened += 1
            events.note("link_up", number=happened)
        tail = events.after(last)
        got = [event["number"] for event in tail.events]
        assert got == list(range(seen + tail.missed + 1, happened + 1))
        assert len(got) <= EVENTS_MAX
        seen, last = happened, tail.last


_TEXT = st.text(st.characters(exclude_categories=()))
_FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.binary() | st.builds(object),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.integers() | _TEXT, inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["peer", "reason", "x"]), _FACTS))
@example({"x": "\ud800", "reason": {"\ud800": 1}})
def test_whatever_a_fact_is_json_can_hold_the_event(facts: dict[str, object]) -> None:
    """A careless caller must not break whoever asks."""
    events = Events(7, clock)
    events.note("link_up", **facts)  # type: ignore[arg-type]

    (kept,) = json.loads(msgspec.json.encode(list(events)))
    assert set(kept) == {"id", "at", "kind", "level", *facts}


def test_texts_are_kept_no_longer_than_they_may_be(caplog: pytest.LogCaptureFixture) -> None:
    """Others choose some of them; the log has all of it."""
    caplog.set_level("INFO")
    events = Events(7, clock)
    events.note("link_down", reason="x" * 10_000, pid=Pid("a", 7, 1))

    (kept,) = events
    assert (len(kept["reason"]), kept["pid"]) == (TEXT_MAX + 3, "a.7.1")
    assert len(caplog.records[0].fields["reason"]) == 10_000  # type: ignore[attr-defined]


def test_no_fact_has_the_name_of_what_every_event_has() -> None:
    """It would replace it."""
    with pytest.raises(AssertionError, match="has a fact called at"):
        Events(7, clock).note("link_up", at=3)


# --- the page ---

COMPUTED = {
    *(f"member_{state}" for state in get_args(MemberState)),
    "control_refused",
    "control_refused_by_peer",
    "peer_refused",
    "refused_by_peer",
}
"""Kinds that do not stand in the call that notes them."""


PROGRAMS = {"predicate"}
"""Modules that work in clients' programs too, where there are no events: what they notice is for the log alone."""


def _noted(path: Path) -> Iterator[str]:
    """Yield the kinds of the events that a module notes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            words = [one.value if isinstance(one, ast.Constant) else None for one in node.args]
            match re.split(r"[._]", ast.unparse(node.func))[-1], words:
                case "note" | "broke", [str(kind), *_]:
                    yield kind
                case "notice" | "take", ["info" | "warning" | "error", str(kind), *_]:
                    yield kind


def test_the_page_of_events_names_every_kind_that_is_noted() -> None:
    """Whoever notes another kind, says in ``docs/events.md`` what it means."""
    sources = [
        path for room in ("node", "cluster") for path in (ROOT / room).rglob("*.py") if path.stem not in PROGRAMS
    ]
    noted = {kind for path in sources for kind in _noted(path)}
    rows = re.findall(r"^\| `(\w+)`", (ROOT / "docs/events.md").read_text(), re.MULTILINE)

    assert {"link_up", "peer_drains", "client_refused", "connection_crashed"} <= noted, "the calls are not found"
    assert len(rows) == len(set(rows))
    assert set(rows) == noted | COMPUTED
