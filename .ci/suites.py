"""Runs the suites of ``make test`` in order, all of them whatever fails, and prints the seconds of each.

Usage: ``python .ci/suites.py [SUITE ...]``; without a name, every suite but the long proofs.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOTAL_S = 20 * 60
PROVE_S = 60 * 60
LIMITS_S = {"containers": 3 * 60}
"""Suites that have less time than all together."""
CLEANING_S = 30.0
"""How long what has to stop may take to put away what it has made, such as containers."""
PYTEST = ["pytest", "-q", "--durations=5", "--durations-min=1"]

SPREAD = [*PYTEST, "--numprocesses=auto", "--dist=worksteal"]
"""For suites whose tests need nothing but a processor each."""

PROOFS = {"LIMINAL_FUZZ_FRAMES": "1000000", "LIMINAL_SIM_SEEDS": "5000", "LIMINAL_PROVE": "1"}
"""What the long proofs set: every file of tests that reads one of them has a long form, so that none is forgotten."""

LONG = [
    str(path.relative_to(ROOT))
    for path in sorted(ROOT.glob("tests/**/test_*.py"))
    if any(name in path.read_text(encoding="utf-8") for name in PROOFS)
]

# Every test that is in neither of the two large folders is a unit test, so that none is forgotten.
SUITES: dict[str, list[list[str]]] = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
    "types": [["mypy"]],
    "unit": [
        [
            *SPREAD,
            "tests",
            "--ignore=tests/sim",
            "--ignore=tests/swim_sim",
            "--ignore=tests/live",
            "--ignore=tests/containers",
        ]
    ],
    "sim": [[*SPREAD, "tests/sim", "tests/swim_sim"]],
    "live": [[*PYTEST, "tests/live"]],
    "containers": [[*PYTEST, "tests/containers"]],
    "prove": [
        [*SPREAD, *(file for file in LONG if not file.startswith("tests/live/"))],
        [*PYTEST, *(file for file in LONG if file.startswith("tests/live/"))],
    ],
}


def _present(command: list[str]) -> bool:
    """Whether there is something to run: a folder without tests is not listed."""
    return all(any(ROOT.glob(f"{part}/**/test_*.py")) for part in command if part in {"tests/sim", "tests/live"})


def _run(command: list[str], patience_s: float, extra: dict[str, str]) -> bool:
    """Run one command in a process group of its own, which is ended as a whole if it takes too long."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", *command], cwd=ROOT, env={**os.environ, **extra}, start_new_session=True
    ) as process:
        try:
            return process.wait(patience_s) == 0
        except subprocess.TimeoutExpired:
            print(f"{command[0]} took more than the {patience_s:.0f} s that were left", flush=True)
            return False
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process group of a command that still runs: first as Ctrl-C does, then by force."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(CLEANING_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main(names: list[str]) -> int:
    """Run the suites; return the exit code."""
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"unknown suite {', '.join(unknown)}: there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    deadline = time.monotonic() + (PROVE_S if "prove" in names else TOTAL_S)
    table: list[tuple[str, float, bool]] = []
    for name in names or [name for name in SUITES if name != "prove"]:
        commands = [command for command in SUITES[name] if _present(command)]
        extra = PROOFS if name == "prove" else {}
        start, passed = time.monotonic(), True
        ends = min(deadline, start + LIMITS_S.get(name, math.inf))
        for command in commands:
            print(f"\n--- {name}: {' '.join(command)}", flush=True)
            passed = _run(command, max(1.0, ends - time.monotonic()), extra) and passed
        if commands:
            table.append((name, time.monotonic() - start, passed))
    print("\nsuite      seconds")
    for name, seconds, passed in table:
        print(f"{name:<10} {seconds:7.1f}  {'passed' if passed else 'FAILED'}")
    return 0 if all(passed for _, _, passed in table) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
