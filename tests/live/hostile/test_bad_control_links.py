"""What strangers and wrong peers do with a connection that is to be a control link, to real nodes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os

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


async def test_cn5_a_control_link_for_which_there_is_no_descriptor_ends_and_can_be_dialled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It needs a second descriptor on its way to the other thread; nothing breaks for want of it."""

    def exhausted(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with mesh(2) as (a, _b):
        with monkeypatch.context() as patch:
            patch.setattr(os, "dup", exhausted)
            with pytest.raises(asyncio.IncompleteReadError):
                await welcomed(a)
        await welcomed(a)
        assert a.running.hub.failure is None


async def welcomed(node: Node) -> None:
    """Assert that a node's membership takes connections still."""
    reader, writer = await asyncio.open_connection(*node.addresses["mesh"])
    writer.write(CONTROL_CODEC.encode(msgspec.structs.replace(hello("z"), capabilities=[CONTROL])))
    with contextlib.closing(writer):
        async with asyncio.timeout(DEADLINE_S):
            assert (await reader.readexactly(HEADER_BYTES))[-1] == CONTROL_HELLO + 1, "a Welcome"
