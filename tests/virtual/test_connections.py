"""A connection from its first byte: who it is at the node, what it is told, and how a refusal shows (CN1, CN2, CN8)."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from liminal_mesh.cluster import CLIENT_PROTO, Connect, Connected, Disconnect, KeepAlive, KeepAliveReply
from liminal_mesh.node.metrics import Metrics
from liminal_mesh.node.node import Node
from liminal_mesh.node.version import VERSION
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient, header
from .bounded import goodbye, outside

ENDS = {
    "leaves": "normal",
    "hangs up": "noconnection",
    "talks nonsense": "error: protocol: an empty frame",
    "is closed": "error: disconnected: out",
    "says nothing": "error: keepalive: nothing was heard for 45 s",
}
"""How a connection can end, and the reason of the end of its process."""


@pytest.mark.parametrize("end", ENDS)
async def test_cn1_a_connection_is_a_process_that_ends_however_it_ends(end: str) -> None:
    """Whoever monitors it hears how; another one, which does the same to the same node, is not concerned."""
    async with Cluster(nodes=2) as cluster:
        node, address = cluster["a"], cluster["a"].addresses["client"]
        async with RawClient.to(address, outside(cluster)) as raw, RawClient.to(address, outside(cluster, 2)) as other:
            for one in (raw, other):
                await one.greet()
            [listed, beside] = node.connections()
            assert listed.pid.node == "a"
            assert node.running.hub.processes.statistics().processes["connection"] == 2
            async with cluster["b"].monitor(listed.pid) as monitor:
                if end == "leaves":
                    raw.send(Disconnect("bye", ""))
                elif end == "hangs up":
                    await raw.close()
                elif end == "talks nonsense":
                    raw.send_bytes(header(0))
                elif end == "is closed":
                    await node.disconnect(listed.pid, "out")
                for _ in range(10):
                    await asyncio.sleep(5)
                    other.send(KeepAlive(1))
                assert (await monitor.down(timeout=1)).reason == ENDS[end]
            assert [one.pid for one in node.connections()] == [beside.pid]
            assert node.running.hub.processes.statistics().processes["connection"] == 1
            assert (await other.expect(KeepAliveReply)).id == 1


async def test_cn1_a_newcomer_is_listed_before_it_has_said_who_it_is() -> None:
    """With its pid, under which it can be closed."""
    async with Cluster(nodes=1) as cluster:
        node = cluster["a"]
        async with RawClient.to(node.addresses["client"], outside(cluster)) as raw:
            await asyncio.sleep(0.1)
            [listed] = node.connections()
            assert (listed.client, listed.state, listed.bytes_in) == ("", "connect", 0)
            assert await node.disconnect(listed.pid, "not you")
            assert await goodbye(raw) == ("closed", "not you")
            assert node.connections() == ()


async def test_cn2_the_answer_to_a_greeting_names_the_version_the_node_and_what_it_can() -> None:
    """The highest version that both speak; what a later version says behind the token is no matter."""
    low, high = CLIENT_PROTO
    async with Cluster(nodes=1) as cluster:
        node = cluster["a"]
        async with RawClient.to(node.addresses["client"], outside(cluster)) as raw:
            raw.send(Connect(0, high + 5, "mine", "a token"))
            answer = await raw.expect(Connected)
            [listed] = node.connections()
            assert (answer.proto, answer.version, answer.capabilities) == (high, VERSION, [])
            assert (answer.node, answer.epoch, answer.number) == listed.pid
            assert (listed.client, listed.state) == ("mine", "open")
            assert answer.limits["max_frame"] == node.config.limits.max_frame
        for range_ in ((high + 1, high + 5), (0, low - 1)):
            async with RawClient.to(node.addresses["client"], outside(cluster)) as raw:
                raw.send(Connect(*range_, "mine"))
                code, reason = await goodbye(raw)
                assert code == "version"
                assert f"speaks versions {range_[0]} to {range_[1]}, this node {low} to {high}" in reason


async def refusals(node: Node) -> dict[str, float]:
    """Return how many clients the metrics of a node say that it has refused, by reason."""
    page, _ = await Metrics(node.running).node()
    families = {family.name: family for family in text_string_to_metric_families(page.decode())}
    samples = families["liminal_client_refusals"].samples
    return {one.labels["reason"]: one.value for one in samples if one.name.endswith("_total")}


async def test_cn8_each_refusal_is_told_with_its_reason_and_counted_by_it() -> None:
    """Version, bounds, nonsense, silence: a word before the close, and a series of the metrics."""
    limits = {"connections": 2, "connections_per_ip": 1, "handshake_timeout": 2}
    async with Cluster(nodes=1, config={"limits": limits}) as cluster:
        node, address = cluster["a"], cluster["a"].addresses["client"]
        said = []
        async with RawClient.to(address, outside(cluster)) as stays:
            await stays.greet()
            for data in (RawClient.codec.encode(Connect(9, 9, "x")), header(0), b""):
                async with RawClient.to(address, outside(cluster, 2)) as raw:
                    raw.send_bytes(data)
                    said.append((await goodbye(raw))[0])
            async with RawClient.to(address, outside(cluster)) as raw:
                said.append((await goodbye(raw))[0])
            async with RawClient.to(address, outside(cluster, 2)), RawClient.to(address, outside(cluster, 3)) as raw:
                said.append((await goodbye(raw))[0])
        assert said == ["version", "protocol", "handshake", "connections_per_ip", "connections"]
        assert await refusals(node) == dict.fromkeys(said, 1)
