"""``liminal members``, ``liminal members --links`` and ``liminal members --watch``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from liminal_mesh.cluster import Member, MemberChanged
from liminal_mesh.node.cli.watching import difference
from liminal_mesh.node.config import NodeConfig

from .conftest import Node, Run
from .live_node import LiveNodes, live_nodes

MEMBERS = {
    "members": [
        {
            "name": "a",
            "epoch": "12",
            "incarnation": 0,
            "state": "alive",
            "reachable": True,
            "stalled": False,
            "address": "127.0.0.1:7601",
        },
        {
            "name": "b",
            "epoch": "13",
            "incarnation": 3,
            "state": "suspect",
            "reachable": False,
            "stalled": True,
            "address": "x\x1b[2J",
        },
    ]
}


def test_members_are_one_a_line_for_a_script(run: Run, node: Node) -> None:
    """Divided by tabs, without headings, and fit for a terminal whatever a node called itself."""
    node.answers["/api/v1/members"] = 200, MEMBERS

    ran = run("members", "--http", node.url)

    assert ran.code == 0
    assert ran.out == "a\t12\t0\talive\tyes\tno\t127.0.0.1:7601\nb\t13\t3\tsuspect\tno\tyes\tx\\x1b[2J\n"


def test_json_is_what_the_node_answered(run: Run, node: Node) -> None:
    """One document, whole."""
    node.answers["/api/v1/members"] = 200, MEMBERS

    assert run("members", "--http", node.url, "--json").document == MEMBERS


def test_links_are_shown_on_request_and_those_that_are_missing_anywhere(run: Run, node: Node) -> None:
    """Each edge once, from the node that misses it; one to a node that nobody sees is only down."""
    up = {"peer": "b", "epoch": "13", "up": True, "rtt_ms": 0.3, "queued_bytes": 0}
    down = {"epoch": "14", "up": False, "rtt_ms": None, "queued_bytes": 0}
    missing = [{"from": "a", "to": "c"}, {"from": "b", "to": "c"}, {"from": "c", "to": "a"}]
    document = {
        "node": "a",
        "links": [up, {**down, "peer": "c"}, {**down, "peer": "d"}],
        "missing": missing,
    }
    node.answers["/api/v1/links"] = 200, document

    assert run("members", "--links", "--http", node.url).out.splitlines() == [
        "a\tb\tup\t13\t0.3\t0",
        "a\tc\tmissing\t14\t\t0",
        "a\td\tdown\t14\t\t0",
        "b\tc\tmissing\t\t\t",
        "c\ta\tmissing\t\t\t",
    ]
    assert run("members", "--links", "--http", node.url, "--json").document == document


def test_another_server_there_is_told_apart(run: Run, node: Node) -> None:
    """Something listens, and it is no node."""
    ran = run("members", "--http", node.url)

    assert ran.code == 1
    assert "status 404" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--watch", "--links"), "--links does not go with --watch"),
        (("--watch", "--json"), "--jsonl does"),
        (("--watch", "--http", "127.0.0.1:1"), "--server, not --http"),
        (("--jsonl",), "go with --watch"),
        (("-n", "1"), "go with --watch"),
        (("--watch", "--timeout", "soon"), "--timeout"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(run: Run, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, and what to do instead."""
    ran = run("members", *words)

    assert ran.code == 2
    assert said in ran.err


# --- --watch, against real nodes ---


def config(name: str, *seeds: str) -> NodeConfig:
    """Return the configuration of a node of a mesh on free ports."""
    free: dict[str, Any] = {"listen": "127.0.0.1:0"}
    return NodeConfig(name=name, client=free, http=free, cluster={**free, "seeds": seeds})  # type: ignore[arg-type]


@pytest.fixture
def nodes() -> Iterator[LiveNodes]:
    """Nodes in a thread."""
    with live_nodes() as running:
        yield running


@pytest.fixture
def growing(nodes: LiveNodes) -> Iterator[Callable[[], str]]:
    """Start a node, and another one as soon as somebody watches it; return the URL of the first."""
    threads: list[threading.Thread] = []

    def start() -> str:
        first = nodes.start(config("a"))

        def join() -> None:
            watchers = first.running.hub.member_watches
            nodes.wait(lambda: None in watchers)
            nodes.start(config("b", str(first.addresses["mesh"])))

        threads.append(threading.Thread(target=join))
        threads[0].start()
        return f"liminal://{first.addresses['client']}"

    yield start
    for thread in threads:
        thread.join(10)


def test_a_watch_writes_each_member_and_then_each_change(run: Run, growing: Callable[[], str]) -> None:
    """A line each: when, who, and what."""
    ran = run("members", "--watch", "-s", growing(), "-n", "2", "--timeout", "10s")

    assert ran.code == 0, ran.err
    first, second = (line.split("\t") for line in ran.out.splitlines())
    assert (first[1], first[2].split(", ")[:2]) == ("a", ["alive", "reachable"])
    assert (second[1], second[2].split(", ")[0]) == ("b", "alive")  # gossip may know of it before there is a session
    assert "as node a sees it" in ran.err


def test_a_watch_as_json_is_a_document_a_line(run: Run, growing: Callable[[], str]) -> None:
    """The snapshot whole, and both sides of each change, with epochs as text."""
    ran = run("members", "--watch", "-s", growing(), "-n", "2", "--timeout", "10s", "--jsonl")

    assert ran.code == 0, ran.err
    snapshot, change = map(json.loads, ran.out.splitlines())
    assert (snapshot["kind"], [one["name"] for one in snapshot["members"]]) == ("snapshot", ["a"])
    assert (change["kind"], change["before"], change["after"]["name"]) == ("changed", None, "b")
    assert {one["epoch"].isdigit() for one in (snapshot["members"][0], change["after"])} == {True}
    assert change["at"] >= snapshot["at"] > 1e9
    assert snapshot["members"][0].keys() == MEMBERS["members"][0].keys()


def test_time_is_up_before_the_count_is_reached(run: Run, nodes: LiveNodes) -> None:
    """Exit code 4; without a count it is what was asked for."""
    url = f"liminal://{nodes.start(config('a')).addresses['client']}"

    assert run("members", "--watch", "-s", url, "-n", "2", "--timeout", "50ms").code == 4
    assert run("members", "--watch", "-s", url, "--timeout", "50ms").code == 0


def test_a_change_is_told_in_words() -> None:
    """Each field that can change, and only those that did."""
    b = Member("b", 12, 0, "alive", True, False, "x:1")
    gone = replace(b, state="dead", reachable=False)
    cases = {
        "alive, reachable, x:1": (None, b),
        "dead, unreachable, stalled, no address": (None, replace(gone, stalled=True, address="")),
        "alive -> dead, unreachable": (b, gone),
        "dead -> alive, reachable, incarnation 0 -> 2": (gone, replace(b, incarnation=2)),
        "stalled": (b, replace(b, stalled=True)),
        "no longer stalled": (replace(b, stalled=True), b),
        "epoch 12 -> 13, x:1 -> no address": (b, replace(b, epoch=13, address="")),
        "forgotten": (gone, None),
    }
    assert {text: difference(MemberChanged(*sides)) for text, sides in cases.items()} == {text: text for text in cases}
