"""``liminal groups``."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from liminal_mesh.node.cli import groups
from liminal_mesh.node.config import NodeConfig

from .conftest import Answers, Node, Run
from .live_node import live_nodes


def document(version: str, **members: str) -> dict[str, Any]:
    """Return the groups of a node: names to the names of the nodes that have one member each."""
    listed = [
        {"scope": "group", "name": name, "members": [{"pid": f"{at}.1.2", "node": at} for at in nodes]}
        for name, nodes in members.items()
    ]
    return {"node": "a", "version": version, "groups": listed}


def test_groups_are_listed_with_where_their_members_are(run: Run, node: Node) -> None:
    """Each node once, however many members it has."""
    members = [{"pid": f"{at}.1.{n}", "node": at} for n, at in enumerate("bab")]
    listed = {"groups": [{"scope": "channel", "name": "orders", "members": members}]}
    node.answers["/api/v1/groups"] = 200, listed

    assert run("groups", "--http", node.url).out == "channel\torders\t3\ta b\n"
    assert run("groups", "--http", node.url, "--json").document == listed


def test_a_watch_shows_who_is_there_then_who_joins_and_leaves(
    run: Run, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever left comes first: the same name may have gone to another."""
    monkeypatch.setattr(groups, "PAUSE_S", 0.0)
    node.answers = Answers(
        (200, document("7.1", jobs="ab")),
        (200, document("7.1", jobs="ab")),
        (200, document("7.4", jobs="b", work="c")),
    )

    ran = run("groups", "--watch", "--jsonl", "--count", "4", "--http", node.url)

    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["kind"], one["name"], one["pid"], one["node"]) for one in told] == [
        ("joined", "jobs", "a.1.2", "a"),
        ("joined", "jobs", "b.1.2", "b"),
        ("left", "jobs", "a.1.2", "a"),
        ("joined", "work", "c.1.2", "c"),
    ]
    assert all(one["scope"] == "group" and one["at"] > 1_700_000_000 for one in told)
    assert [path.partition("&")[0] for path in node.asked] == ["/api/v1/groups", *["/api/v1/groups?after=7.1"] * 2]


def test_a_watch_ends_in_the_middle_of_an_answer_and_is_fit_for_a_terminal(run: Run, node: Node) -> None:
    """Names are others' choice."""
    node.answers = Answers((200, document("7.1", **{"x\x1b[2J": "ab"})))

    ran = run("groups", "--watch", "--count", "1", "--http", node.url)

    assert ran.code == 0
    assert ran.out.rstrip("\n").split("\t")[1:] == ["joined", "group", "x\\x1b[2J", "a.1.2", "a"]


@pytest.mark.parametrize("words", [("--json", "--watch"), ("--jsonl",), ("-n", "1"), ("--timeout", "1s")])
def test_options_that_do_not_go_together_are_refused(run: Run, words: tuple[str, ...]) -> None:
    """Before anything is asked."""
    assert run("groups", *words).code == 2


def test_a_watch_of_a_node_sees_a_member_come_and_go(run: Run) -> None:
    """As it happens: it waits at the node, and is woken by each change."""
    free: dict[str, Any] = {"listen": "127.0.0.1:0"}
    with live_nodes() as nodes:
        node = nodes.start(NodeConfig.model_validate({"name": "a", "client": free, "http": free}))
        watches = node.running.hub.watches

        def come_and_go() -> None:
            for step in (node.join("jobs"), None):
                nodes.wait(lambda: bool(watches.changed.waiting))
                if step is not None:
                    membership = nodes.run(step)
                else:
                    nodes.run(membership.leave())

        other = threading.Thread(target=come_and_go)
        other.start()
        ran = run("groups", "--watch", "--jsonl", "--count", "2", "--http", str(node.addresses["http"]))
        other.join()

    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [(one["kind"], one["name"]) for one in told] == [("joined", "jobs"), ("left", "jobs")]
