"""What strangers and wrong peers do with a connection that is to be a control link, to real nodes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from liminal_mesh.cluster.codec import HEADER_BYTES
from liminal_mesh.cluster.control_frames import CONTROL_CODEC, CONTROL_HELLO
from liminal_mesh.cluster.handshake import CONTROL
from liminal_mesh.node.node import Node

from ...nodes import DEADLINE_S, mesh
from ..raw_peer import header, hello


@pytest.mark.parametrize("body", [b"\xc1", b"", b"\x90", b"\x93\x01\x01", b"\xff" * 64], ids=repr)
async def test_a_first_frame_that_is_no_hello_ends_its_connection_alone(body: bytes) -> None:
    """The connection is on its way to another thread when that is found out; nobody has proved anything yet."""
    async with mesh(2) as (a, _b):
        reader, writer = await asyncio.open_connection(*a.addresses["mesh"])
        writer.write(header(1 + len(body), CONTROL_HELLO) + body)
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.read() == b""
        writer.close()

        await welcomed(a)
        assert a.running.hub.failure is None
        # Told from that thread to the node's own, in whose events it then is.
        hub, deadline = a.running.hub, asyncio.get_running_loop().time() + DEADLINE_S
        assert await hub.noted.until(lambda: "protocol_error" in {event["kind"] for event in hub.events}, deadline)


async def welcomed(node: Node) -> None:
    """Assert that a node's membership takes connections still."""
    reader, writer = await asyncio.open_connection(*node.addresses["mesh"])
    writer.write(CONTROL_CODEC.encode(msgspec.structs.replace(hello("z"), capabilities=[CONTROL])))
    async with asyncio.timeout(DEADLINE_S):
        assert (await reader.readexactly(HEADER_BYTES))[-1] == CONTROL_HELLO + 1, "a Welcome"
    writer.close()
