"""``liminal members`` and ``liminal members --links``."""

from .conftest import Node, Run

MEMBERS = {
    "members": [
        {
            "name": "a",
            "epoch": "12",
            "incarnation": 0,
            "state": "alive",
            "reachable": True,
            "address": "127.0.0.1:7601",
        },
        {"name": "b", "epoch": "13", "incarnation": 0, "state": "dead", "reachable": False, "address": "x\x1b[2J"},
    ]
}


def test_members_are_one_a_line_for_a_script(run: Run, node: Node) -> None:
    """Divided by tabs, without headings, and fit for a terminal whatever a node called itself."""
    node.answers["/api/v1/members"] = 200, MEMBERS

    ran = run("members", "--http", node.url)

    assert ran.code == 0
    assert ran.out == "a\t12\talive\t127.0.0.1:7601\nb\t13\tdead\tx\\x1b[2J\n"


def test_json_is_what_the_node_answered(run: Run, node: Node) -> None:
    """One document, whole."""
    node.answers["/api/v1/members"] = 200, MEMBERS

    assert run("members", "--http", node.url, "--json").document == MEMBERS


def test_links_are_shown_on_request(run: Run, node: Node) -> None:
    """The links of the node that was asked."""
    link = {"peer": "b", "epoch": "13", "up": True, "rtt_ms": 0.3, "queued_bytes": 0}
    node.answers["/api/v1/links"] = 200, {"links": [link], "missing": []}

    assert run("members", "--links", "--http", node.url).out == "b\t13\tTrue\t0.3\t0\n"


def test_another_server_there_is_told_apart(run: Run, node: Node) -> None:
    """Something listens, and it is no node."""
    ran = run("members", "--http", node.url)

    assert ran.code == 1
    assert "status 404" in ran.err
