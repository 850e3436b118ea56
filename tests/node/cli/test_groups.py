"""``liminal groups``."""

from .conftest import Node, Run


def test_groups_are_listed_with_where_their_members_are(run: Run, node: Node) -> None:
    """Each node once, however many members it has."""
    members = [{"pid": f"{at}.1.{n}", "node": at} for n, at in enumerate("bab")]
    document = {"groups": [{"scope": "channel", "name": "orders", "members": members}]}
    node.answers["/api/v1/groups"] = 200, document

    assert run("groups", "--http", node.url).out == "channel\torders\t3\ta b\n"
    assert run("groups", "--http", node.url, "--json").document == document
