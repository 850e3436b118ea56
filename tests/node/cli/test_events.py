"""``liminal events``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node as RealNode

from .conftest import Answers, Node, Run
from .live_node import LiveNodes, live_nodes


def event(number: int, kind: str = "link_up", **facts: object) -> dict[str, Any]:
    """Return an event as a node tells it."""
    return {"id": f"7.{number}", "at": 1_700_000_000.25, "kind": kind, "level": "info", **facts}


def document(*events: dict[str, Any], missed: int = 0, last: str = "7.3") -> dict[str, Any]:
    """Return what a node answers."""
    return {"node": "a", "events": list(events), "missed": missed, "last": last}


def test_events_are_one_a_line_and_fit_for_a_terminal(run: Run, node: Node) -> None:
    """When, how important, what, and its facts; whatever a peer called itself."""
    node.answers["/api/v1/events"] = 200, document(event(1, peer="x\x1b[2J", addresses=["b:1"]))

    ran = run("events", "--http", node.url)

    at, *rest = ran.out.rstrip("\n").split("\t")
    assert rest == ["info", "link_up", 'peer=x\\x1b[2J addresses=["b:1"]']
    assert at.startswith("2023-11-1")
    assert run("events", "--http", node.url, "--json").document == node.answers["/api/v1/events"][1]
    lines = run("events", "--http", node.url, "--jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == [event(1, peer="x\x1b[2J", addresses=["b:1"])]
    assert run("events", "--http", node.url, "--follow", "--count", "1").out == ran.out


def test_a_follower_asks_for_what_came_after_what_it_has_seen(run: Run, node: Node) -> None:
    """And ends when it has seen as many as it wanted."""
    node.answers = Answers(
        (200, document(event(1), last="7.1")),
        (200, document(last="7.1")),
        (200, document(event(2), event(3), event(4), last="7.4")),
    )

    ran = run("events", "--follow", "--jsonl", "--count", "3", "--http", node.url)

    assert ran.code == 0
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["7.1", "7.2", "7.3"]
    assert [path.partition("&")[0] for path in node.asked] == ["/api/v1/events", *["/api/v1/events?after=7.1"] * 2]
    assert all("&wait=5.000s" in path for path in node.asked[1:])


def test_what_was_missed_is_told(run: Run, node: Node) -> None:
    """To humans and to programs."""
    node.answers = Answers((200, document(event(1))), (200, document(event(9), missed=7, last="7.9")))

    ran = run("events", "--follow", "--jsonl", "--count", "2", "--http", node.url)

    assert [json.loads(line) for line in ran.out.splitlines()] == [event(1), {"missed": 7}, event(9)]
    assert "missed 7 events" in ran.err


def test_a_node_that_is_gone_for_a_while_is_told_and_so_is_its_next_run(run: Run, node: Node) -> None:
    """The follower goes on with whatever answers there."""
    node.answers = Answers(
        (200, document(event(1), last="7.1")),
        (503, None),
        (503, None),
        (200, {**document(event(1), last="8.1"), "events": [{**event(1), "id": "8.1"}]}),
    )

    ran = run("events", "--follow", "--jsonl", "--count", "2", "--http", node.url)

    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["7.1", "8.1"]
    assert ran.err.count("trying again") == 1
    assert "node a answers again" in ran.err
    assert "node a was started again" in ran.err


def test_a_node_that_never_answered_is_a_failure(run: Run, nobody: str) -> None:
    """There is nothing to wait for."""
    ran = run("events", "--follow", "--http", nobody)

    assert ran.code == 1
    assert "liminal serve" in ran.err


def test_the_end_of_its_time_is_an_error_only_for_who_counts(run: Run, node: Node) -> None:
    """Exit code 4 then."""
    node.answers = Answers((200, document(last="7.0")))

    assert run("events", "--follow", "--timeout", "300ms", "--http", node.url).code == 0
    assert len(node.asked) <= 3, "a node that answers at once is not asked all the time"
    assert run("events", "--follow", "--timeout", "20ms", "--count", "1", "--http", node.url).code == 4


@pytest.mark.parametrize(
    "words", [("--json", "--follow"), ("--json", "--jsonl"), ("--count", "1"), ("--timeout", "1s")]
)
def test_options_that_do_not_go_together_are_refused(run: Run, words: tuple[str, ...]) -> None:
    """Before anything is asked."""
    assert run("events", *words).code == 2


@pytest.fixture
def mesh() -> Iterator[LiveNodes]:
    """Nodes in a thread."""
    with live_nodes() as nodes:
        yield nodes


def start(nodes: LiveNodes, name: str, *seeds: str) -> RealNode:
    free: dict[str, Any] = {"listen": "127.0.0.1:0"}
    section = {**free, "seeds": list(seeds)}
    return nodes.start(NodeConfig.model_validate({"name": name, "client": free, "http": free, "cluster": section}))


def test_a_follower_of_a_node_sees_a_peer_come(run: Run, mesh: LiveNodes) -> None:
    """As it happens: it waits at the node, and is woken."""
    a = start(mesh, "a")
    url, hub = str(a.addresses["http"]), a.running.hub

    def come() -> None:
        mesh.wait(lambda: bool(hub.noted.waiting))
        start(mesh, "b", str(a.addresses["mesh"]))

    other = threading.Thread(target=come)
    other.start()
    ran = run("events", "--follow", "--jsonl", "--count", "2", "--http", url)
    other.join()

    assert ran.code == 0
    assert {json.loads(line)["kind"] for line in ran.out.splitlines()} == {"link_up", "member_alive"}
