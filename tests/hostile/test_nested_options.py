"""Options that nest too deep, from a client that was let in: they cost it a message, and others nothing.

A node lets options through that it does not know. Whoever reads the frame behind it needs a part of its stack for each
level: what one node can just read, its peer may not, and would take the node for broken.
"""

from __future__ import annotations

from typing import Final

import msgpack
import pytest
from msgspec import Raw

from liminal_mesh.cluster import ClientPublish, Confirm, Disconnect, Envelope, Failure
from liminal_mesh.node import Message
from liminal_mesh.node.nesting import NESTING_MAX
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient

CONFIRM: Final = 1


def nested(ref: int, depth: int) -> ClientPublish:
    """Return a publish with an option in which so many arrays are within one another."""
    item = Envelope(0, 0, 0, 0, 0, b"", {77: Raw(b"\x91" * depth + b"\xc0")})
    return ClientPublish(ref, CONFIRM, "ticks", "", 0, [item])


@pytest.mark.parametrize("depth", [NESTING_MAX + 1, 500, *range(900, 1000, 7), 60_000])
async def test_an_option_that_nests_too_deep_is_refused_where_it_enters(depth: int) -> None:
    """By itself, or with its sender if not even this node can read it; the link stands, and so does a subscription."""
    async with Cluster(nodes=2) as cluster, cluster["b"].subscribe("ticks", wait="cluster") as ticks:
        node, outside = cluster["a"], cluster._network.host("127.0.0.99")
        mesh = node.running.hub.mesh
        assert mesh is not None
        before = mesh.links["b"].g
        async with RawClient.to(node.addresses["client"], outside) as raw:
            await raw.greet()
            raw.send(nested(1, NESTING_MAX))
            assert (await raw.expect(Confirm)).ref == 1
            raw.send(nested(2, depth))
            said = await raw.receive()
            if isinstance(said, Disconnect):
                assert (said.code, depth > 900) == ("protocol", True)
            else:
                assert isinstance(said, Failure)
                assert (said.ref, said.error) == (2, "ProtocolError")
                assert f"deeper than {NESTING_MAX}" in str(msgpack.unpackb(said.fields))
        await node.publish("ticks", "good", ack="nodes")
        for body in (b"", b"good"):
            message = await anext(ticks)
            assert isinstance(message, Message)
            assert message.body == body
        assert mesh.links["b"].g == before
