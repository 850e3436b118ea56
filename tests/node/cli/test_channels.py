"""``liminal channels``."""

from __future__ import annotations

from typing import Any

from liminal_mesh.node.config import NodeConfig

from .conftest import Node, Run
from .live_node import live_nodes

DOCUMENT: dict[str, Any] = {
    "channels": [
        {
            "name": "m.x",
            "durable": False,
            "schema": None,
            "subscribers": 4,
            "published": 7,
            "state": "open",
            "groups": [{"name": "g", "members": 2, "nodes": ["a", "b"]}, {"name": "h", "members": 1, "nodes": ["a"]}],
        },
        {"name": "orders", "durable": True, "schema": "v2", "subscribers": 0, "published": 0, "state": "failed"},
    ],
    "families": [{"name": "m.*", "durable": False, "schema": None}],
}


def test_channels_are_one_a_line_and_families_stand_behind_them(run: Run, node: Node) -> None:
    """A script finds the fixed fields at fixed places."""
    node.answers["/api/v1/channels"] = 200, DOCUMENT

    assert run("channels", "--http", node.url).out == (
        "m.x\tno\t\t4\t7\topen\tg(2) h(1)\norders\tyes\tv2\t0\t0\tfailed\t\nm.*\tno\t\t\t\tfamily\t\n"
    )
    assert run("channels", "--http", node.url, "--json").document == DOCUMENT


def test_a_node_tells_of_its_channels(run: Run) -> None:
    """A real one, as it was configured."""
    free: dict[str, Any] = {"listen": "127.0.0.1:0"}
    channels = [{"name": "orders"}, {"name": "t.>"}]
    config = NodeConfig.model_validate({"name": "a", "client": free, "http": free, "channels": channels})
    with live_nodes() as nodes:
        url = str(nodes.start(config).addresses["http"])
        document = run("channels", "--http", url, "--json").document
        lines = run("channels", "--http", url).out.splitlines()

    assert document["channels"][0] | DOCUMENT["channels"][0] | {"name": "orders"} == {
        **document["channels"][0],
        **DOCUMENT["channels"][0],
        "name": "orders",
    }
    assert [line.split("\t")[0] for line in lines] == ["orders", "t.>"]
    assert {"name", "durable", "schema", "subscribers", "published"} <= document["channels"][0].keys()
