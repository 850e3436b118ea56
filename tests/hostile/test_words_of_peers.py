"""What peers can make a node say to its clients: its frames stay such as clients can read, whatever the peers said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, Disconnect, GroupNews, NodeId, Offer, WatchGroup
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.cluster.frames import Refusal, Serves
from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient, RawPeer, members
from .places import EPOCH, ITEM, Outside, says

SETTLED_S = 0.05
"""Virtual seconds in which everything is answered."""


@asynccontextmanager
async def alone() -> AsyncIterator[tuple[Cluster, Node, Outside]]:
    """Run a node, and a host from which peers come."""
    async with Cluster(["m"]) as cluster:
        yield cluster, cluster["m"], Outside(cluster._network.host("127.0.0.99"), "127.0.0.99")


@asynccontextmanager
async def peer(node: Node, outside: Outside, name: str) -> AsyncIterator[RawPeer]:
    """Run a raw peer with a session."""
    async with RawPeer.to(node.addresses["mesh"], outside.network) as raw:
        await raw.join(says(name, control=False))
        yield raw


LAST_WORDS: dict[str, Frame] = {
    "a refusal without end": Refusal("\x1b[2J" * 64, "\n" * 4096),
    "an offer that is not due": Offer(EPOCH, "ticks", 9, [("g" * 256, 0)] * 64, False, 0, [ITEM]),
}


@pytest.mark.parametrize("what", LAST_WORDS)
async def test_who_watches_a_group_is_told_in_short_why_a_peer_has_gone(what: str) -> None:
    """It is the peer's words that ended its session, and they are as long and as wild as the peer likes."""
    async with (
        alone() as (_, node, outside),
        RawClient.to(node.addresses["client"], outside.network) as client,
        peer(node, outside, "z") as raw,
    ):
        await client.greet()
        raw.send(*members(NodeId("z", EPOCH), CHANNEL_SCOPE, {"ticks": [1]}))
        client.send(WatchGroup(1, 1, CHANNEL_SCOPE, "ticks"))
        assert [one.node for one in (await client.expect(GroupNews)).changes] == ["z"]
        raw.send(LAST_WORDS[what])
        (change,) = (await client.expect(GroupNews)).changes
        assert not change.joined
        assert change.reason.isprintable()
        assert len(change.reason) < 2048
        assert [event["reason"] for event in node.running.hub.events if event["kind"] == "link_down"] == [change.reason]


async def test_a_node_that_leaves_names_no_more_others_than_a_frame_may_hold() -> None:
    """However many peers there are that serve clients."""
    async with alone() as (cluster, node, outside), AsyncExitStack() as stack:
        for number in range(70):
            raw = await stack.enter_async_context(peer(node, outside, f"z{number}"))
            raw.send(Serves(f"10.0.0.1:{number + 1}"))
        async with RawClient.to(node.addresses["client"], outside.network) as client:
            await client.greet()
            await asyncio.sleep(SETTLED_S)
            assert len({one.clients for one in node.running.peering.sessions().values()}) == 70  # type: ignore[union-attr]
            stopping = asyncio.create_task(cluster.stop("m"))
            told = await client.expect(Disconnect)
            await stopping
        assert told.code == "draining"
        assert len(set(told.others)) == 64


@pytest.mark.parametrize(
    "address", ["", "nowhere", "host:0x50", "host:70000", "a\nb:1", "host:-1", "[::1:5"], ids=ascii
)
async def test_a_peer_that_names_no_address_for_clients_is_cut_off(address: str) -> None:
    """And clients never hear of it."""
    async with alone() as (_, node, outside), peer(node, outside, "z") as raw:
        raw.send(Serves(address))
        await raw.ended()
        assert node.running.peering is not None
        assert node.running.peering.refusals == {"protocol": 1}
        assert node.running.others() == ()
