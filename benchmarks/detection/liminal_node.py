"""A whole node of ours as a process under test: ``python -m benchmarks.detection.liminal_node JSON``."""

from __future__ import annotations

import json
import sys
from typing import Any

from liminal_mesh.cluster import MemberChanged
from liminal_mesh.node import ClientConfig, ClusterConfig, HttpConfig, Node, NodeConfig

from ..roles import loop_run, now
from .said import listening, sighting, stand_until_told


def _changed(change: MemberChanged) -> None:
    if change.after is not None:
        member = change.after
        sighting(member.name, member.epoch, member.incarnation, member.state, member.reachable)
    elif change.before is not None:
        member = change.before
        sighting(member.name, member.epoch, member.incarnation, "gone", False)


async def _main(told: dict[str, Any]) -> None:
    node = Node(
        NodeConfig(
            name=told["name"],
            client=ClientConfig(listen="127.0.0.1:0"),
            http=HttpConfig(listen="127.0.0.1:0"),
            cluster=ClusterConfig(
                listen=told["address"],
                seeds=tuple(told["seeds"]),
                cookie_file=told["cookie_file"],
                allow_insecure_peers=True,  # nobody else is in the namespaces
                dial_overrides=told["overrides"],
            ),
        )
    )
    begun = now()
    await node.start()
    listening(node.epoch, begun)
    assert node.running.peering is not None
    membership = node.running.peering.membership
    membership.watch(_changed)
    for member in membership.members():
        sighting(member.name, member.epoch, member.incarnation, member.state, member.reachable)
    await stand_until_told(node.stop)


if __name__ == "__main__":
    loop_run(_main(json.loads(sys.argv[1])))
