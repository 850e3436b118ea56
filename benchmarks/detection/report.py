"""The table of a run: every measure by the size of the mesh, beside its target and the rival."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from .book import Book, Key, Series
from .targets import ROWS, Bound, Row

__all__ = ["missed", "page"]

_HEAD = """\
# Detection of failures, measured

Made by `make detection` (`python -m benchmarks.detection`, as root, with `ip` and `nft`): real processes, each in a
network namespace of its own, on a bridge whose wires can be cut. Nothing outside these namespaces is touched. Every
process says what it holds of the others and since when, by the machine's one monotonic clock; *at all* is the last of
them to know. Meshes of 3 to 6 are of whole nodes, those of 20 have membership and links alone. Beside ours stands a
cluster of [kinship](https://pypi.org/project/kinship/), SWIM with Lifeguard in Rust over UDP, with its `Config.lan()`
and encrypted; both get the same faults in the same minutes.

Seconds unless it says otherwise. Faults come at a random moment. Starts count from the call that starts a node, without
the imports. *All see all* is stricter for us: alive, and linked for data. Counts are over all runs and all observers.
Who was stopped or cut off doubts itself, and probes slowly for a while: the next fault comes after that. What was not
seen within a minute is *never*. Proxies cut TCP alone, and so only us.
"""

WORDS = {"median": "p50", "most": "max", "total": "all"}


def missed(book: Book) -> list[str]:
    """Return which targets were missed, and series that broke off."""
    lines = [
        f"{row.title}, {size} nodes: {WORDS[bound.statistic]} {_number(getattr(ours, bound.statistic))} {row.unit}, "
        f"at most {_number(bound.most)}"
        for row, size, ours, _ in _measured(book)
        for bound in (row.bounds.get(size, ()) if ours is not None else ())
        if ours is not None and not bound.met(ours)
    ]
    broken = book.broken["liminal"]
    return lines + ([f"{broken} meshes did not start, or did not come back from a fault"] if broken else [])


def page(book: Book, load: str) -> str:
    """Lay out everything that was measured, as Markdown."""
    lines = [
        "| fault | nodes | runs | liminal p50 | max | target | | kinship p50 | max | runs |",
        "|---|---:|---:|---:|---:|---|---|---:|---:|---:|",
    ]
    for row, size, ours, theirs in _measured(book):
        bounds = row.bounds.get(size, ())
        target = ", ".join(f"{WORDS[bound.statistic]} {_number(bound.most)}" for bound in bounds)
        verdict = _verdict(bounds, ours)
        unit = f", {row.unit}" if row.unit else ""
        cells = [row.title + unit, str(size), _count(ours), *_cells(row, ours), target, verdict]
        lines.append(f"| {' | '.join([*cells, *_cells(row, theirs), _count(theirs)])} |")
    facts = [
        f"{datetime.now(UTC):%Y-%m-%d}; {platform.system()} {platform.release()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}; "
        + ", ".join(f"{name} {_version(name)}" for name in ("liminal-mesh", "kinship", "uvloop")),
        load,
        *(
            f"Meshes of {name} that did not start, or did not come back: {count}."
            for name, count in book.broken.items()
        ),
    ]
    return "\n".join([_HEAD, *lines, "", *facts])


def _measured(book: Book) -> Iterator[tuple[Row, int, Series | None, Series | None]]:
    for row in ROWS:
        for size in sorted({key.size for key in book.keys if key.measure == row.measure}):
            ours, theirs = (book.series(Key(row.measure, size, name)) for name in ("liminal", "kinship"))
            yield row, size, ours, theirs


def _cells(row: Row, series: Series | None) -> list[str]:
    if series is None:
        return ["", ""]
    if not row.unit:
        return ["", f"{series.total:.0f} in all"]
    return [_number(series.median), _number(series.most)]


def _count(series: Series | None) -> str:
    return "" if series is None else str(len(series.values))


def _verdict(bounds: tuple[Bound, ...], series: Series | None) -> str:
    if not bounds or series is None:
        return ""
    return "met" if all(bound.met(series) for bound in bounds) else "**missed**"


def _number(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
