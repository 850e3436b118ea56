"""``liminal demo`` as a user runs it: three processes, one mesh, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest

from .processes import Process, gone

pytestmark = pytest.mark.live


def children(pid: int) -> list[int]:
    """The processes that a process has started, and that still run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def left_over() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("liminal-demo-*"))


def test_it_forms_a_mesh_streams_and_leaves_nothing_behind() -> None:
    """Every line that was published is accounted for at both subscribers."""
    before = left_over()
    with Process("demo", "--duration", "2s", "--json") as demo:
        demo.line(lambda text: "one mesh of 3 nodes" in text)
        nodes = children(demo.pid)
        assert demo.wait() == 0, str(demo)
    told = json.loads("\n".join(demo.out))

    assert {node["process"] for node in told["nodes"]} == set(nodes)
    assert all(gone(pid) for pid in nodes)
    assert left_over() <= before
    assert told["ok"]
    assert told["published"] > 10
    assert 0 < told["mesh_seconds_after_listening"] < told["mesh_seconds"]
    for node in told["nodes"][1:]:
        assert (node["received"], node["missed"]) == (told["published"], 0)


def test_it_kills_a_node_when_it_is_asked_to_and_the_monitor_of_its_process_fires() -> None:
    """The group loses that member alone, the others hear every roll call, and the demo ends well."""
    with Process("demo", "--duration", "3s", "--kill", "1s", "--json") as demo:
        demo.line(lambda text: "process group demo.workers, seen from demo-1: 3 members" in text)
        demo.line(lambda text: "monitor at demo-1: process demo-3." in text and "noconnection" in text)
        demo.line(lambda text: "process group demo.workers: demo-3." in text and "left" in text)
        assert demo.wait() == 0, str(demo)
    group = json.loads("\n".join(demo.out))["group"]

    [down] = group["downs"]
    assert down["reason"] == "noconnection"
    assert 0 < down["seconds_after_kill"] < 15
    assert group["sent"] >= 2
    assert group["received"]["demo-1"] == group["received"]["demo-2"] == group["sent"]
    assert group["received"]["demo-3"] < group["sent"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_however_it_is_ended_no_node_stays(number: signal.Signals, code: int) -> None:
    """Even killed: the nodes see the end of their input."""
    with Process("demo", "--nodes", "2") as demo:
        demo.line(lambda text: "liminal sub demo.lines" in text, "out")
        nodes = children(demo.pid)
        assert len(nodes) == 2
        demo.signal(number)
        assert demo.wait() == code, str(demo)
        assert all(gone(pid) for pid in nodes)
        if number != signal.SIGKILL:
            assert any("is accounted for" in line for line in demo.out), str(demo)


def test_a_node_that_is_killed_is_told_with_the_end_of_its_log() -> None:
    """The others go on, and the demo's exit code tells that something happened."""
    with Process("demo", "--duration", "4s") as demo:
        told = demo.line(lambda text: "kill -9" in text, "out")
        victim = int(told.split("kill -9 ")[1].split()[0])
        assert victim in children(demo.pid)
        os.kill(victim, signal.SIGKILL)
        demo.line(lambda text: "was killed by signal 9. The end of its log:" in text, "out")
        assert demo.wait() == 1, str(demo)
        assert any("until it ended" in line for line in demo.out), str(demo)
