"""A sample of the table of states and frames (``tests/hostile``) over sockets, with the thread of membership."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import CLIENT_CODEC, Confirm, TcpNetwork
from liminal_mesh.node.node import Node

from ...hostile.allowed import BEFORE, OVER
from ...hostile.places import PLACES, Outside, says
from ...nodes import node_config
from ..raw_peer import header

pytestmark = pytest.mark.live


@pytest.mark.parametrize("place", sorted(PLACES.keys() - {"client, while the node drains"}))
async def test_an_unknown_frame_is_skipped_and_a_wrong_one_ends_the_connection(place: str) -> None:
    """Before the other side has proved itself either ends it, and on one that is over neither counts."""
    async with Node(node_config("m", channels=[{"name": ">"}])) as node:
        run = node.running
        async with PLACES[place](node, Outside(TcpNetwork(), "127.0.0.1"), "x") as stand:
            raw = stand.raw
            wrong = Confirm(1, 1) if raw.codec is CLIENT_CODEC else says("z", control=False)
            raw.send_bytes(stand.before + header(3, 0x7F) + b"\xc1\xc1" + raw.codec.encode(wrong))
            await raw.ended()
        assert run.hub.mesh is not None
        assert run.control is not None
        skipped = run.server.unknown_frames + run.hub.mesh.unknown_frames + run.control.unknown_frames
        assert skipped == (place not in BEFORE | OVER)
        assert run.hub.failure is None
