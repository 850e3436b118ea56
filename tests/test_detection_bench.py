"""What the benchmark of detection makes of what processes said, and of a book of figures."""

from __future__ import annotations

import math

from benchmarks.detection.book import Book, Key
from benchmarks.detection.report import missed, page
from benchmarks.detection.said import Sighting
from benchmarks.detection.targets import ROWS
from benchmarks.detection.views import Views
from benchmarks.detection.watching import is_dead


def _views(*lines: tuple[float, str, str, str]) -> Views:
    views = Views()
    for at, observer, name, state in lines:
        views.add(observer, Sighting(at, name, 1, 0, state, state in {"alive", "suspect"}))
    return views


def test_all_have_seen_it_when_the_last_has() -> None:
    """Each observer counts by its first sighting after the fault; one who has not seen it is waited for."""
    views = _views((1.0, "a", "c", "dead"), (5.0, "a", "c", "dead"), (6.0, "a", "c", "dead"))

    assert views.all_saw(["a"], ["c"], 2.0, is_dead(1)) == 5.0
    assert views.all_saw(["a", "b"], ["c"], 2.0, is_dead(1)) is None
    views.add("b", Sighting(7.0, "c", 1, 0, "dead", False))
    assert views.all_saw(["a", "b"], ["c"], 2.0, is_dead(1)) == 7.0
    assert views.all_saw(["a", "b"], ["c"], 2.0, is_dead(2)) is None, "another run of it"


def test_a_mesh_is_whole_when_all_hold_the_present_runs_for_alive() -> None:
    """Somebody who holds an earlier run, or nobody at all, is waited for."""
    views = _views((1.0, "a", "b", "alive"), (2.0, "b", "a", "alive"))

    assert views.whole({"a": 1, "b": 1}, 0.5) == 2.0
    assert views.whole({"a": 1, "b": 2}, 0.5) is None
    views.begin("b")
    assert views.whole({"a": 1, "b": 1}, 0.5) is None, "a new run of b knows nobody yet"


def test_deaths_of_bystanders_are_found_and_how_long_they_stood() -> None:
    """Whoever was done something to is excused."""
    views = _views(
        (1.0, "a", "c", "dead"), (1.5, "a", "b", "dead"), (2.0, "c", "b", "alive"), (2.25, "a", "b", "alive")
    )

    (wrong,) = views.wrong(0.0, {"dead"}, ["c"])
    assert (wrong.observer, wrong.sighting.name) == ("a", "b")
    assert views.refuted(wrong) == 0.75
    assert [seen.sighting.name for seen in views.wrong(0.0, {"dead"})] == ["c", "b"]


def test_the_page_says_which_targets_were_met() -> None:
    """What never happened misses every bound, and a death too many misses a bound of none."""
    book = Book()
    for value in (0.2, 0.25, 0.9):
        book.add(Key("kill dead", 3, "liminal"), value)
        book.add(Key("kill dead", 3, "kinship"), value * 20)
    book.add(Key("stop alive", 5, "liminal"), None)
    book.add(Key("kill false", 3, "liminal"), 0)

    lines = {line.split("|")[1].strip(): line for line in page(book, "").splitlines() if line.startswith("| ")}
    assert "| 0.25 | 0.9 | p50 0.3, max 0.6 | **missed** | 5 | 18 | 3 |" in lines["kill -9: dead at all, s"]
    assert "| never | never | max 0.05 | **missed** |" in lines["SIGCONT after 6 or 12 s: alive at all, s"]
    assert "| 0 in all | all 0 | met |" in lines["kill -9: deaths of others"]
    assert len(missed(book)) == 2
    assert math.isinf(max(book.series(Key("stop alive", 5, "liminal")).values))  # type: ignore[union-attr]


def test_rows_are_named_once() -> None:
    """A second row of one name would hide a target."""
    names = [row.measure for row in ROWS]
    assert len(set(names)) == len(names)
