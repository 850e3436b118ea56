"""``python -m tests.history FILES...``: check a recorded run; exits 1 when an invariant does not hold."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .check import check
from .history import History
from .reader import BadHistory


def main(names: list[str]) -> int:
    """Print the report of the run that these files, or all files of these folders, record."""
    if not names:
        print("usage: python -m tests.history FILES-OR-FOLDERS...", file=sys.stderr)
        return 2
    paths = [path for name in map(Path, names) for path in (sorted(name.glob("*.jsonl")) if name.is_dir() else [name])]
    begin = time.monotonic()
    try:
        report = check(History.read(paths))
    except (BadHistory, OSError) as error:
        print(f"this is no history: {error}", file=sys.stderr)
        return 2
    print(report)
    print(f"checked in {time.monotonic() - begin:.1f} s")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
