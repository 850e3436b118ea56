"""What is less important is shed at the node of its consumers, whatever was written into it, in virtual time."""

from __future__ import annotations

from contextlib import AsyncExitStack

import msgspec
import pytest

from liminal_mesh.cluster import ClientOutcome, ClientPublish, Encoding, Envelope, Failure, OptionKey
from liminal_mesh.node.config import ChannelConfig, InboxConfig, PressureConfig
from liminal_mesh.node.message import Message, encode_headers
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient

SHED = ChannelConfig(name="shed", inbox=InboxConfig(messages=6), pressure=[PressureConfig(at=0.5, shed_below=5)])
OUTCOME = 2


async def raw(cluster: Cluster, stack: AsyncExitStack, name: str = "a") -> RawClient:
    """Be a client of a node that sends what it likes."""
    outside = cluster._network.host("127.0.0.99")
    one = await stack.enter_async_context(RawClient.to(cluster[name].addresses["client"], outside))
    await one.greet("raw")
    return one


@pytest.mark.parametrize("headers", [b"\x81\xb0liminal-priority\xa1\xff", b"\x81\xa1\xff\xa10", b"\xc0"])
async def test_a_priority_that_cannot_be_read_harms_nobody(headers: bytes) -> None:
    """PR3: it is that of a publish without one, here and at another node, and the link between them stays."""
    async with Cluster(nodes=2, channels=[SHED]) as cluster, AsyncExitStack() as stack:
        client = await raw(cluster, stack)
        async with cluster["b"].subscribe("shed", max_in_flight=4, wait="cluster") as subscription:
            for number in range(5):
                await cluster["a"].publish("shed", number, ack="nodes")
            item = Envelope(0, 0, 0, 0, 0, b"x", {OptionKey.HEADERS: msgspec.Raw(headers)})
            client.send(ClientPublish(1, OUTCOME, "shed", "nodes", 5000, [item]))
            outcome = await client.expect(ClientOutcome)
            assert outcome.nodes == {"b": "delivered"}
            assert len([await anext(subscription) for _ in range(6)]) == 6
        assert not [event for event in cluster["b"].running.hub.events if event["kind"] == "link_down"]


async def test_what_is_awaited_is_shed_from_the_threshold_on() -> None:
    """PR3: also in the middle of what a client has sent at once; each hears of itself, and what passed has passed."""
    async with Cluster(nodes=2, channels=[SHED]) as cluster, AsyncExitStack() as stack:
        client = await raw(cluster, stack)
        here = cluster["a"].subscribe("shed", max_in_flight=4)
        async with here as subscription, cluster["b"].subscribe("shed", wait="cluster"):
            items = [
                Envelope(0, 0, 0, 0, Encoding.TEXT, str(number).encode(), encode_headers({"liminal-priority": "4"}))
                for number in range(10)
            ]
            client.send(ClientPublish(1, OUTCOME, "shed", "nodes", 5000, items))
            outcomes = [await client.expect(ClientOutcome) for _ in range(5)]
            refused = [frame for frame in client.seen if isinstance(frame, Failure)]
            got = [await anext(subscription) for _ in range(5)]

    assert [(one.ref, one.delivered, one.nodes) for one in outcomes] == [
        (ref, True, {"b": "delivered"}) for ref in range(1, 6)
    ]
    assert [(one.ref, one.count, one.error) for one in refused] == [(ref, 1, "Rejected") for ref in range(6, 11)]
    assert [item.payload for item in got if isinstance(item, Message)] == list("01234")
