"""A whole node of ours as a process under test: ``python -m benchmarks.detection.liminal_node JSON``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from liminal_mesh.cluster import Member, MemberChanged
from liminal_mesh.node import ClientConfig, ClusterConfig, HttpConfig, Node, NodeConfig

from ..roles import loop_run, now
from .said import listening, sighting, stand_until_told

__all__ = ["changed", "tell"]


def tell(members: Iterable[Member]) -> None:
    """Say what is held of members."""
    for member in members:
        sighting(member.name, member.epoch, member.incarnation, member.state, member.reachable)


def changed(change: MemberChanged) -> None:
    """Say what is held of a member from now on."""
    if change.after is not None:
        tell([change.after])
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
    import_module("liminal_mesh.node.http")  # a node does so as it starts; starts are counted without imports
    begun = now()
    await node.start()
    listening(node.epoch, begun)
    assert node.running.peering is not None
    membership = node.running.peering.membership
    membership.watch(changed)
    tell(membership.members())
    await stand_until_told(node.stop)


if __name__ == "__main__":
    loop_run(_main(json.loads(sys.argv[1])))
