"""Peers that make a node say much, and do not listen."""

from __future__ import annotations

import asyncio

from liminal_mesh.cluster import CHANNEL_SCOPE, NodeId
from liminal_mesh.cluster.digest import EntryDigest
from liminal_mesh.cluster.frames import LinkFrame, Range
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawPeer
from ..nodes import until
from .places import EPOCH, Outside, says


def wavering(node: NodeId, group: str, times: int) -> list[LinkFrame]:
    """Return what a peer says that has a member in a group, and has not, again and again."""
    digest = EntryDigest(node, CHANNEL_SCOPE).of(group, 1)
    entries = [(group, [1])]
    frames: list[LinkFrame] = []
    for number in range(1, 2 * times, 2):
        frames.append(Range(CHANNEL_SCOPE, node.epoch, number, number, entries, [], digest))
        if number == 1:
            frames.append(Range(CHANNEL_SCOPE, node.epoch, 2, 1, [], [], digest))
        frames.append(Range(CHANNEL_SCOPE, node.epoch, number + 1, number + 1, [], entries, 0))
    return frames


async def test_a_peer_that_asks_again_and_again_where_all_channels_stand_is_cut_off_if_it_does_not_read() -> None:
    """Each time costs it forty bytes, and the node half a megabyte, which nobody may let it keep for ever."""
    async with Cluster(["m"], channels=["m.>"]) as cluster:
        node = cluster["m"]
        for number in range(2000):
            await node.publish(f"m.{number}.{'x' * 240}", b"")
        outside = Outside(cluster._network.host("127.0.0.99"), "127.0.0.99")
        async with RawPeer.to(node.addresses["mesh"], outside.network) as raw:
            await raw.join(says("z", control=False))
            mesh = node.running.hub.mesh
            assert mesh is not None
            lane = mesh.links["z"].lane
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            raw.send(*wavering(NodeId("z", EPOCH), ">", 100))
            await until(node, lambda: "z" not in mesh.links)
            assert lane.bytes < lane.bytes_max + (10 << 20)
            (down,) = [event for event in node.running.hub.events if event["kind"] == "link_down"]
            assert down["reason"] == "the peer does not read"
        await asyncio.sleep(0.1)
