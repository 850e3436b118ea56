"""``python -m benchmarks``: every contender five times, in turn, so that a slow minute hits all alike; medians."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from .contenders import CONTENDERS
from .report import as_json, environment, lines, page
from .result import Contender, Result

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


def main() -> int:
    """Measure, print, and return 1 if an aim was missed and ``--strict`` was given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--core", action="store_true", help="the one-minute version: fewer, shorter runs")
    parser.add_argument("--only", default="", metavar="TEXT", help="only contenders whose name contains this")
    parser.add_argument("--rounds", type=int, default=0, help="how often each runs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="fail if an aim is missed")
    options = parser.parse_args()
    rounds = options.rounds or (ROUNDS_CORE if options.core else ROUNDS)
    chosen = [one for one in CONTENDERS if options.only in one.name and (one.core or not options.core)]
    results = asyncio.run(_rounds(chosen, rounds, CORE_SHARE if options.core else 1))
    made, about = lines(chosen, results), environment(rounds)
    print(json.dumps(as_json(made, about), indent=2) if options.json else page(made, about))
    return 1 if options.strict and any(line.missed for line in made) else 0


if __name__ == "__main__":
    sys.exit(main())
