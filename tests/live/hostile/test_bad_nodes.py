"""Nodes that break the protocol: a client lets what it has closed go by, and comes back from what nobody can say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from liminal_mesh.cluster import (
    Anchored,
    ClientGap,
    ClientOutcome,
    Confirm,
    Connect,
    Connected,
    Deliver,
    Ended,
    Envelope,
    Failure,
    Reply,
    Request,
    Subscribed,
)
from liminal_mesh.cluster.client_member_frames import MemberNews
from liminal_mesh.cluster.client_process_frames import ExitProcess, GroupNews, ProcessGone
from liminal_mesh.cluster.codec import HEADER_BYTES
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.node import Client, connect

from ...nodes import DEADLINE_S
from ..raw_peer import RawClient, header

pytestmark = pytest.mark.live

NOBODY = 4711
"""The number of nothing."""


class RawNode:
    """What a client takes for a node; its connections come in order."""

    def __init__(self) -> None:
        self.url = ""
        self._came: asyncio.Queue[RawClient] = asyncio.Queue()
        self.connections: list[RawClient] = []

    def met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep a connection."""
        self.connections.append(RawClient(reader, writer))
        self._came.put_nowait(self.connections[-1])

    async def greeted(self) -> RawClient:
        """Let the next connection in."""
        async with asyncio.timeout(DEADLINE_S):
            raw = await self._came.get()
        await raw.expect(Connect)
        raw.send(Connected(1, "0.1.0", "n", 1, 1, {}))
        return raw


@asynccontextmanager
async def served() -> AsyncIterator[tuple[RawNode, RawClient, Client]]:
    """Run a client with a connection."""
    node = RawNode()
    server = await asyncio.start_server(node.met, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        client = connect(f"liminal://{host}:{port}")
        entering = asyncio.create_task(client.__aenter__())
        raw = await node.greeted()
        await entering
        yield node, raw, client
        await asyncio.gather(client.close(), *(one.ended() for one in node.connections))
    finally:
        server.close()
        for one in node.connections:
            await one.close()


async def answered(raw: RawClient, client: Client) -> None:
    """See that the client goes on with this connection."""
    assert await client.connected(DEADLINE_S)
    asking = asyncio.create_task(client.members())
    raw.send(Reply((await raw.expect(Request)).ref, msgspec.msgpack.encode([])))
    assert await asking == ()


CLOSED: list[Frame] = [
    Deliver(NOBODY, 1, "x", "n", 1, [Envelope(1, 1, 1, 1, 0, b"")]),
    ClientGap(NOBODY, 1, "x", "n", 1, 1, 1, "overflow", 1),
    Anchored(NOBODY, "n", 1, [("x", 1)]),
    Ended(NOBODY),
    ExitProcess(NOBODY, "over"),
    GroupNews(NOBODY, 2, []),
    MemberNews(NOBODY, 2, []),
    ProcessGone(NOBODY, "over"),
    Failure(NOBODY, "Busy", b"\x80", 1024),
]


async def test_cn3_what_comes_for_something_that_was_closed_is_let_go() -> None:
    """It may have been on its way; so may the refusal of what nobody waits for any more."""
    async with served() as (_, raw, client):
        for frame in CLOSED:
            raw.send(frame)
            await answered(raw, client)


UNASKED: list[Frame] = [
    Confirm(NOBODY, 1),
    Confirm(0, 1 << 62),
    ClientOutcome(NOBODY, 1, True, 1, {}, ("accept", 0, 1, 0, 1)),
    Subscribed(NOBODY, 1, 1),
    Reply(NOBODY, b"\xc0"),
]


@pytest.mark.parametrize("frame", UNASKED, ids=lambda frame: type(frame).__name__)
async def test_cn3_an_answer_to_what_nobody_asked_ends_the_connection_and_the_client_comes_back(frame: Frame) -> None:
    """With whatever it had there."""
    async with served() as (node, raw, client):
        raw.send(frame)
        await raw.ended()
        await answered(await node.greeted(), client)


async def test_a_failure_of_more_than_a_frame_can_ask_is_no_failure() -> None:
    """Who would count to the end of it would never come back."""
    body = msgspec.msgpack.encode([0, "Busy", b"\x80", 1 << 62])
    async with served() as (node, raw, client):
        raw.send_bytes(header(len(body) + HEADER_BYTES - 4, 0x53) + body)
        await raw.ended()
        await answered(await node.greeted(), client)
