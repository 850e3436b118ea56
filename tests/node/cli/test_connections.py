"""``liminal connections``."""

import pytest

from .conftest import Node, Run

PID = "a.1767225600000.7"
ONE = {"pid": PID, "client": "app", "address": "127.0.0.1:9", "since": 1767225600.25, "state": "open"}
DOCUMENT = {"connections": [{**ONE, "subscriptions": 2, "queued_bytes": 0, "bytes_in": 1}]}


def test_the_clients_of_a_node_are_listed(run: Run, node: Node) -> None:
    """A line each, with the time in words; as JSON all that the node says."""
    node.answers["/api/v1/connections"] = 200, DOCUMENT

    line = f"{PID}\tapp\t127.0.0.1:9\t2026-01-01T00:00:00+00:00\topen\t2\t0\n"
    assert run("connections", "--http", node.url).out == line
    assert run("connections", "--http", node.url, "--json").document == DOCUMENT


def test_a_connection_is_closed_by_its_pid(run: Run, node: Node) -> None:
    """With a reason that may hold anything."""
    path = f"DELETE /api/v1/connections/{PID}"
    node.answers[path] = node.answers[f"{path}?reason=too+slow+%26+sorry"] = 200, {"closed": PID}

    assert run("connections", "--http", node.url, "--close", PID).out == f"{PID}\n"
    told = run("connections", "--http", node.url, "--close", PID, "--reason", "too slow & sorry", "--json")
    assert told.document == {"closed": PID}
    assert node.asked == [path, f"{path}?reason=too+slow+%26+sorry"]


def test_a_client_that_is_not_there_is_named(run: Run, node: Node) -> None:
    """As the node says it."""
    said = {"error": "unknown_connection", "message": f"no client is connected as {PID}"}
    node.answers[f"DELETE /api/v1/connections/{PID}"] = 404, said

    ran = run("connections", "--http", node.url, "--close", PID)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: no client is connected as {PID}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--close", "seven"), "no pid"), (("--reason", "why"), "--reason goes with --close")],
    ids=["pid", "reason"],
)
def test_words_that_make_no_sense_ask_nobody(run: Run, node: Node, words: tuple[str, ...], said: str) -> None:
    """A usage error."""
    ran = run("connections", "--http", node.url, *words)
    assert ran.code == 2
    assert said in ran.err
    assert node.asked == []
