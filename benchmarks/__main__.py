"""``python -m benchmarks``: every contender five times, in turn, so that a slow minute hits all alike; medians."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

from .contenders import CONTENDERS, FIGURES
from .report import as_json, environment, figure_lines, lines, page
from .result import Contender, Figure, Result

ROUNDS = 5
ROUNDS_CORE = 3
CORE_SHARE = 3
RUN_S = 120.0


async def _rounds(contenders: list[Contender], rounds: int, share: int) -> dict[tuple[str, str], list[Result]]:
    results: dict[tuple[str, str], list[Result]] = {(one.scenario, one.name): [] for one in contenders}
    for number in range(1, rounds + 1):
        for one in contenders:
            async with asyncio.timeout(RUN_S):
                result = await one.run(one.messages // share)
            results[one.scenario, one.name].append(result)
            print(f"{number}/{rounds} {one.scenario:<16} {one.name:<22} {result.rate:>12,.0f}/s", file=sys.stderr)
    return results


async def _figures(figures: list[Figure], rounds: int) -> dict[str, list[tuple[float, dict[str, str]]]]:
    values: dict[str, list[tuple[float, dict[str, str]]]] = {one.name: [] for one in figures}
    for number in range(1, rounds + 1):
        for one in figures:
            async with asyncio.timeout(RUN_S):
                values[one.name].append(await one.run())
            print(f"{number}/{rounds} {one.name:<52} {values[one.name][-1][0]:.3g} {one.unit}", file=sys.stderr)
    return values


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if an aim was missed and ``--strict`` was given.

    Args:
        words: the command line; this process's when absent.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--core", action="store_true", help="the one-minute version: fewer, shorter runs")
    parser.add_argument("--only", default="", metavar="TEXT", help="only contenders whose name contains this")
    parser.add_argument("--share", type=int, default=0, metavar="N", help="an Nth of the messages")
    parser.add_argument("--rounds", type=int, default=0, help="how often each runs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="fail if an aim is missed")
    options = parser.parse_args(words)
    rounds = options.rounds or (ROUNDS_CORE if options.core else ROUNDS)
    chosen = [one for one in CONTENDERS if options.only in one.name and (one.core or not options.core)]
    share = options.share or (CORE_SHARE if options.core else 1)
    bounded = [one for one in FIGURES if options.only in one.name and (one.core or not options.core)]
    made = lines(chosen, asyncio.run(_rounds(chosen, rounds, share)))
    figures = figure_lines(bounded, asyncio.run(_figures(bounded, rounds)))
    about = environment(rounds)
    print(json.dumps(as_json(made, figures, about), indent=2) if options.json else page(made, figures, about))
    missed = any(line.missed for line in made) or any(line.missed for line in figures)
    return 1 if options.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
