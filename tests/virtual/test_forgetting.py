"""What a node remembers of others that are gone, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

from ..contracts.holders import message

FORGET_S = 60.0
"""How long the dead are remembered in this profile."""


def remembered(node: Node) -> set[str]:
    """Return the names of all nodes of which anything is kept beside what gossip knows."""
    hub = node.running.hub
    exchanges = (hub.exchange, hub.groups)
    tables = [exchange.channels for exchange in exchanges]
    runs = [run for table in tables for channel in table.channels.values() for run in channel.heads]
    runs += [run for table in tables for group in table.groups.values() for run in group.anchored]
    runs += [run for table in tables for passed in table._passed.values() for run in passed]
    return {run.name for run in runs if run != hub.me}.union(
        *(exchange._runs for exchange in exchanges), hub.member_news._met, hub.declarations._noted, hub._routes
    )


@pytest.mark.parametrize("again", [False, True])
async def test_what_is_kept_of_a_node_goes_with_it(again: bool) -> None:
    """Though its last run was never met: others told of it, and then of its end."""
    async with Cluster(nodes=3, config={"cluster": {"profile": "local"}}) as cluster:
        a, b = cluster["a"], cluster["b"]
        epoch = b.epoch
        async with a.subscribe("x", wait="cluster") as subscription, a.subscribe("y.*", wait="cluster"):
            await b.publish("x", 1)
            await b.publish("y.1", 1)
            await message(subscription)
            assert remembered(a) == {"b", "c"}
            await cluster.kill("b")
            if again:
                cluster.partition("a", "b")
                await cluster.restart("b")
                await asyncio.sleep(5)
                [member] = [one for one in await a.members() if one.name == "b"]
                assert member.epoch > epoch
                await cluster.kill("b")
            await asyncio.sleep(FORGET_S / 2)
            assert remembered(a) == {"b", "c"}
            await asyncio.sleep(FORGET_S * 1.5)
            assert [one.name for one in await a.members()] == ["a", "c"]
            assert remembered(a) == {"c"}
