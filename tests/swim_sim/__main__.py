"""Simulations of gossip membership from the command line.

``python -m tests.swim_sim report [SCALE] [LARGEST]`` makes the page ``docs/membership-simulation.md``; ``SCALE`` is the
seeds of each cell, ``LARGEST`` the most members at rest, up to 10,000.

``python -m tests.swim_sim chaos [SEEDS] [FIRST]`` simulates meshes in which everything goes wrong.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .chaos import shrunk
from .report import sections

PAGE = Path(__file__).parent.parent.parent / "docs" / "membership-simulation.md"


def _outcome(seed: int) -> str | int:
    """Return the events of a seed, or how it failed."""
    try:
        return shrunk(seed).mesh.clock.events
    except AssertionError as error:
        return str(error)


def _hunt(seeds: int = 1000, first: int = 0) -> int:
    """Simulate that many seeds on all cores, and print those that fail; returns how many did."""
    begin, events, failed = time.monotonic(), 0, 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(_outcome, range(first, first + seeds), chunksize=10):
            if isinstance(result, int):
                events += result
            else:
                failed += 1
                print(result, flush=True)
    print(f"{seeds} seeds, {events} events, {failed} failed, {time.monotonic() - begin:.0f} s")
    return failed


def main(command: str = "", *numbers: str) -> int:
    """Do what was asked for; returns the exit code."""
    if command == "report":
        lines: list[str] = []
        begin = time.monotonic()
        for section in sections(*map(int, numbers)):
            lines += section
            PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
            print(f"{PAGE.name}: {len(lines)} lines after {time.monotonic() - begin:.0f} s", flush=True)
        return 0
    if command == "chaos":
        return bool(_hunt(*map(int, numbers)))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
