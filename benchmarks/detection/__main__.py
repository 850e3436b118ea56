"""``python -m benchmarks.detection``: how soon crashes, stops, cuts and starts are known, beside kinship.

Needs root, ``ip`` and ``nft`` for network namespaces of its own; nothing outside them is touched, and all is gone
afterwards. Prints a table, writes it to a file if it is told to, and returns 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .bench import Bench
from .book import Book
from .contenders import rival
from .places import missing
from .plan import Plan
from .report import missed, page

TURNS = 30
QUIET_S = 120.0


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code: 1 when a target is missed, 2 when nothing can be measured here.

    Args:
        words: the command line; this process's when absent.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS, help="how often the main faults are repeated")
    parser.add_argument("--quiet", type=float, default=QUIET_S, metavar="S", help="seconds of what must go unnoticed")
    parser.add_argument("--only", default="", metavar="WORDS", help="faults with one of these words, by commas")
    parser.add_argument("--sizes", default="", help="sizes of mesh, by commas")
    parser.add_argument("--without-rival", action="store_true", help="measure ourselves alone")
    parser.add_argument("--without-us", action="store_true", help="measure the rival alone")
    parser.add_argument("--minutes", type=float, default=120.0, help="end after so long, whatever is measured by then")
    parser.add_argument("--page", type=Path, help="write the table there, too")
    options = parser.parse_args(words)
    why = missing()
    if why:
        print(f"NOTHING WAS MEASURED: {why}", file=sys.stderr)
        return 2
    beside = None if options.without_rival else rival()
    if beside is None and not options.without_rival:
        print("kinship is not installed (requirements/bench.txt): measured without it", file=sys.stderr)
    plan = Plan(
        turns=options.turns,
        quiet_s=options.quiet,
        only=tuple(word.strip() for word in options.only.split(",") if word.strip()),
        sizes=tuple(int(size) for size in options.sizes.split(",") if size),
        rival=beside,
        without_us=options.without_us,
    )
    book, before = Book(), os.getloadavg()[0]
    whole = False
    try:
        whole = asyncio.run(_bounded(plan, book, options.minutes * 60))
    finally:
        cut = "" if whole else " The run was ended before its end: what is absent was not reached."
        text = page(book, f"Load of the machine: {before:.1f} before, {os.getloadavg()[0]:.1f} at the end.{cut}")
        print(text)
        if options.page is not None:
            options.page.write_text(text + "\n", encoding="utf-8")
    wrong = missed(book) + ([] if whole else ["it took too long, and was ended"])
    for line in wrong:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if wrong else 0


async def _bounded(plan: Plan, book: Book, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds) as bound:
            await Bench(plan, book).run()
    except TimeoutError:
        if not bound.expired():
            raise
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
