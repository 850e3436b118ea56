"""``python -m tests.sim [SEEDS] [FIRST]``: simulate that many seeds, and print those that fail."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .simulation import simulate


def outcome(seed: int) -> str | int:
    """Return the steps that a seed took, or how it failed."""
    try:
        return simulate(seed).checker.steps
    except AssertionError as error:
        return str(error)


def main(seeds: int = 1000, first: int = 0) -> int:
    """Simulate ``seeds`` seeds from ``first`` on, on all cores; returns how many failed."""
    begin, steps, failed = time.monotonic(), 0, 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(outcome, range(first, first + seeds), chunksize=10):
            if isinstance(result, int):
                steps += result
            else:
                failed += 1
                print(result, flush=True)
    print(f"{seeds} seeds, {steps} checked steps, {failed} failed, {time.monotonic() - begin:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
