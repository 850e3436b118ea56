"""``liminal health``."""

import subprocess
import sys
from typing import Any

from liminal_mesh.node.config import NodeConfig

from .conftest import Answers, Node, Run
from .live_node import live_nodes


def test_a_node_that_answers_is_alive(run: Run, node: Node) -> None:
    """Exit code 0, one word."""
    node.answers["/health"] = 200, {"status": "ok"}

    ran = run("health", "--http", node.url)

    assert (ran.code, ran.out, ran.err) == (0, "alive\n", "")


def test_a_node_that_is_not_ready_names_its_unmet_conditions(run: Run, node: Node) -> None:
    """Exit code 3, and the names for a human; as JSON for a program."""
    node.answers["/ready"] = 503, {"ready": False, "unmet": ["membership", "draining"]}

    ran = run("health", "--ready", "--http", node.url)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "not ready: membership, draining\n"

    ran = run("health", "--ready", "--http", node.url, "--json")
    assert ran.code == 3
    assert ran.document == {"ok": False, "status": 503, "answer": {"ready": False, "unmet": ["membership", "draining"]}}


def test_what_is_wanting_is_said_with_each_condition(run: Run, node: Node) -> None:
    """Whom a node misses, and why its seeds do not help; a name of others cannot move the cursor."""
    conditions = [
        {"name": "starting", "met": True},
        {"name": "listeners", "met": False, "closed": ["client", "mesh"]},
        {
            "name": "membership",
            "met": False,
            "demand": "majority",
            "linked": 1,
            "needed": 2,
            "missing": ["b", "c\x1b[2J"],
            "unresolved": {"dns://mesh.test:7601": "nxdomain"},
            "unreached": {"10.0.0.2:7601": "timeout"},
        },
        {"name": "failed", "met": False, "error": "another node has this name"},
    ]
    unmet = ["listeners", "membership", "failed"]
    node.answers["/ready"] = 503, {"ready": False, "unmet": unmet, "conditions": conditions}

    ran = run("health", "--ready", "--http", node.url)

    assert ran.code == 3
    assert ran.err == (
        "not ready: listeners (closed: client, mesh), membership (1 of 2 nodes; misses b, c\\x1b[2J; "
        "dns://mesh.test:7601: nxdomain; 10.0.0.2:7601: timeout), failed (another node has this name)\n"
    )


def test_a_node_that_waits_for_its_mesh_is_not_ready(run: Run) -> None:
    """A real one, which demands a first peer: exit code 3 until there is one."""
    free: dict[str, Any] = {"listen": "127.0.0.1:0"}

    def config(name: str, *seeds: str) -> NodeConfig:
        section = {**free, "ready": "joined", "seeds": list(seeds)}
        return NodeConfig.model_validate({"name": name, "client": free, "http": free, "cluster": section})

    with live_nodes() as nodes:
        first = nodes.start(config("a"))
        url = str(first.addresses["http"])
        alone = run("health", "--ready", "--http", url)
        assert (alone.code, alone.err) == (3, "not ready: membership (1 of 2 nodes)\n")
        nodes.start(config("b", str(first.addresses["mesh"])))
        assert run("health", "--ready", "--wait", "10s", "--http", url).code == 0


def test_no_answer_is_a_failure_with_advice(run: Run, nobody: str) -> None:
    """Exit code 1, what was asked, and what to try."""
    ran = run("health", "--http", nobody)

    assert (ran.code, ran.out) == (1, "")
    assert nobody in ran.err
    assert "liminal serve" in ran.err


def test_waiting_ends_with_the_first_yes(run: Run, node: Node) -> None:
    """A node that becomes ready in time is ready."""
    not_yet = 503, {"unmet": ["listeners"]}
    node.answers = Answers(not_yet, not_yet, (200, {"ready": True}))

    assert run("health", "--ready", "--wait", "10s", "--http", node.url).code == 0
    assert node.asked == ["/ready"] * 3


def test_waiting_in_vain_is_a_timeout(run: Run, node: Node) -> None:
    """Exit code 4, whether the node said no or nothing."""
    node.answers["/ready"] = 503, {"unmet": ["membership"]}
    ran = run("health", "--ready", "--wait", "1ms", "--http", node.url)
    assert ran.code == 4
    assert "membership" in ran.err

    ran = run("health", "--wait", "1ms", "--http", "http://127.0.0.1:1")
    assert ran.code == 4
    assert "in vain" in ran.err


def test_it_is_the_same_verb_behind_other_words(run: Run, node: Node) -> None:
    """The short way to it is not another way."""
    node.answers["/health"] = 503, None

    assert run("--", "health", "--http", node.url).code == 3


def test_a_wrong_duration_is_a_usage_error(run: Run) -> None:
    """With the text of every other duration."""
    ran = run("health", "--wait", "1y")

    assert ran.code == 2
    assert "250ms" in ran.err


def test_it_is_light() -> None:
    """It runs every five seconds beside every node: none of what makes a process slow to start is imported."""
    heavy = "aiohttp pydantic typer rich asyncio structlog"
    code = (
        "import sys; from liminal_mesh.__main__ import main; main(['health', '--http', 'http://127.0.0.1:1']); "
        f"print(*(name for name in {heavy.split()!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.split() == []
