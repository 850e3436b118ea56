"""The benchmark of detection runs: whole nodes in namespaces, one of which is killed."""

import pytest

from benchmarks.detection.__main__ import main
from benchmarks.detection.places import missing

pytestmark = pytest.mark.live
pytest.importorskip("uvloop")


def test_a_kill_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Whether the target was met is for a machine that does nothing else; that all know of it is not."""
    why = missing()
    if why:
        pytest.skip(f"NOTHING OF THE BENCHMARK WAS RUN: {why}")

    assert main(["--turns", "1", "--sizes", "3", "--only", "kill", "--without-rival"]) in {0, 1}

    lines = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if line[:2] == "| "}
    assert "| 3 | 1 |" in lines["kill -9: dead at all, s"]
    assert "never" not in lines["kill -9: dead at all, s"]
    assert "| 0 in all |" in lines["kill -9: deaths of others"]
