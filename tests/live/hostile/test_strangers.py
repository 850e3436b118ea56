"""Whoever connects without being a peer or a client: cut off early, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from liminal_mesh.cluster import Connect, Connected, Disconnect
from liminal_mesh.cluster.frames import Welcome
from liminal_mesh.node import NoConnection, connect
from liminal_mesh.node.node import Node

from ...nodes import DEADLINE_S, linked, node_config
from ..raw_peer import NOWHERE, RawClient, RawConnection, RawPeer, header, hello
from .conftest import logged

pytestmark = pytest.mark.live

PREAUTH = 4096
SEED = secrets.randbits(32)
KINDS: dict[str, type[RawConnection]] = {"mesh": RawPeer, "client": RawClient}
ports = pytest.mark.parametrize("port", KINDS)


def tls_hello() -> bytes:
    """Return what a TLS client says first."""
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="liminal").do_handshake()
    return outgoing.read()


GARBAGE = {
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "a TLS hello": tls_hello(),
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "zeros": bytes(64),
    "all ones": b"\xff" * 64,
    "an empty frame": header(0),
    "an unknown type": header(3, 0x3F) + b"\x91\x01",
    "a frame of no content": header(1, 0x01),
}


@asynccontextmanager
async def node(**limits: object) -> AsyncIterator[Node]:
    """Run a node ``a`` with these limits."""
    async with Node(node_config("a", limits=limits, drain_timeout=0.1)) as a:
        yield a


async def still_serves(a: Node) -> None:
    """Let a new peer and a new client in, and let them use the node."""
    async with Node(node_config("b", [str(a.addresses["mesh"])], drain_timeout=0.1)) as b:
        await linked([a, b])
        async with connect(f"liminal://{a.addresses['client']}") as client, b.subscribe("ticks", wait="cluster"):
            assert (await client.publish("ticks", 1, ack="nodes")).nodes == {"b": "delivered"}


@ports
@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_before_the_handshake_ends_the_connection_at_once(port: str, what: str) -> None:
    """A client is told why; what came is not kept."""
    async with node() as a, KINDS[port].to(a.addresses[port]) as stranger:
        stranger.send_bytes(GARBAGE[what])
        said = await stranger.ended()

        assert [frame.code for frame in said if isinstance(frame, Disconnect)] == ["protocol"] * (port == "client")
        assert a.running.server.refusals == ({"protocol": 1} if port == "client" else {})
        assert not a.running.server.connections


@ports
async def test_after_much_garbage_peers_and_clients_get_in(port: str) -> None:
    """Random bytes, on 100 connections at once."""
    rng = random.Random(SEED)
    async with node(handshake_timeout=2) as a, AsyncExitStack() as stack:
        strangers = [await stack.enter_async_context(KINDS[port].to(a.addresses[port])) for _ in range(100)]
        for stranger in strangers:
            stranger.send_bytes(rng.randbytes(rng.randint(1, 10_000)))
        serving = asyncio.create_task(still_serves(a))
        for stranger in strangers:
            await raw_end(stranger)
        await serving
        assert not a.running.server.connections, f"seed {SEED}"


async def raw_end(stranger: RawConnection) -> None:
    """Wait until the node has closed, whatever it says."""
    async with asyncio.timeout(DEADLINE_S):
        try:
            while await stranger.reader.read(65536):
                pass
        except ConnectionError:
            pass


@ports
async def test_a_frame_that_claims_more_than_is_read_before_authentication_is_refused_by_its_length(port: str) -> None:
    """Four bytes are enough to know it; the largest that is allowed is awaited."""
    async with (
        node() as a,
        KINDS[port].to(a.addresses[port]) as stranger,
        KINDS[port].to(a.addresses[port]) as patient,
    ):
        patient.send_bytes(header(PREAUTH))
        stranger.send_bytes(header(PREAUTH + 1))
        await stranger.ended()
        assert patient.open
        patient.send_bytes(b"\x3f" + bytes(PREAUTH - 1))
        await patient.ended()


@ports
async def test_slow_handshakes_are_cut_at_their_deadline_while_others_get_in(port: str) -> None:
    """Neither the bytes that trickle in nor a good beginning buy time."""
    first = KINDS[port].codec.encode(hello("z") if port == "mesh" else Connect(1, 1, "raw"))
    async with node(handshake_timeout=1.5) as a, AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        began = loop.time()
        slow = [await stack.enter_async_context(KINDS[port].to(a.addresses[port])) for _ in range(3)]
        _, trickling, half = slow
        half.send_bytes(first if port == "mesh" else first[:-1])
        sending = asyncio.create_task(trickle(trickling, first))
        await still_serves(a)
        assert all(one.open for one in slow)
        said = [await one.ended() for one in slow]
        sending.cancel()

        assert 1.4 < loop.time() - began < 15
        if port == "client":
            assert [[frame.code for frame in one if isinstance(frame, Disconnect)] for one in said] == [
                ["handshake"]
            ] * 3
            assert a.running.server.refusals == {"handshake": 3}
        else:
            assert [[type(frame) for frame in one] for one in said] == [[], [], [Welcome]]


async def trickle(slow: RawConnection, data: bytes) -> None:
    """Send one byte at a time, so slowly that it takes much longer than anyone waits."""
    for index in range(len(data)):
        slow.send_bytes(data[index : index + 1])
        await asyncio.sleep(0.25)


@ports
async def test_newcomers_beyond_the_limit_wait_in_the_backlog_and_are_not_refused(port: str) -> None:
    """Each is served as soon as one before it has proved itself, or is gone."""
    async with (
        node(handshakes=2, handshake_timeout=30) as a,
        connect(f"liminal://{a.addresses['client']}") as client,
        AsyncExitStack() as stack,
    ):
        silent = [await stack.enter_async_context(KINDS[port].to(a.addresses[port])) for _ in range(2)]
        waiting = [await stack.enter_async_context(KINDS[port].to(a.addresses[port])) for _ in range(3)]
        for number, one in enumerate(waiting):
            one.send(hello(f"z{number}") if port == "mesh" else Connect(1, 1, f"raw-{number}"))
        for _ in range(10):  # the node's loop turns meanwhile, and takes nobody else
            await client.publish("ticks", 1)
        assert all(one.open and not one.heard for one in waiting)

        await silent[0].close()
        for one in waiting:
            await one.expect(Welcome if port == "mesh" else Connected)
            if port == "mesh":
                await one.close()
        assert silent[1].open


@ports
async def test_newcomers_that_dawdle_make_room_for_those_that_wait(port: str) -> None:
    """One place for each that waits, the oldest first, and long before their own time is over."""
    async with node(handshakes=2, handshake_timeout=5) as a, AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        began = loop.time()
        silent = [await stack.enter_async_context(KINDS[port].to(a.addresses[port])) for _ in range(2)]
        async with KINDS[port].to(a.addresses[port]) as one:
            one.send(hello("z") if port == "mesh" else Connect(1, 1, "raw"))
            await one.expect(Welcome if port == "mesh" else Connected)
            assert 0.9 < loop.time() - began < 4
            await silent[0].ended()
            assert silent[1].open


async def test_the_two_ports_do_not_speak_each_others_language() -> None:
    """A client's first frame on the mesh port is garbage there, and the other way round."""
    async with node() as a:
        async with RawPeer.to(a.addresses["mesh"]) as stranger:
            stranger.send_bytes(RawClient.codec.encode(Connect(1, 1, "raw")))
            assert await stranger.ended() == []
        async with RawClient.to(a.addresses["client"]) as stranger_client:
            stranger_client.send_bytes(RawPeer.codec.encode(hello("z")))
            (said,) = await stranger_client.ended()
            assert isinstance(said, Disconnect)
            assert said.code == "protocol"


@pytest.mark.parametrize(
    ("sent", "says"),
    [(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP"), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "TLS")],
    ids=["http", "tls"],
)
async def test_what_is_meant_for_another_port_is_named_in_the_log(
    sent: bytes, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And to the client, which is told in its own protocol."""
    async with node() as a:
        async with RawPeer.to(a.addresses["mesh"]) as stranger:
            stranger.send_bytes(sent)
            assert await stranger.ended() == []
        async with RawClient.to(a.addresses["client"]) as stranger_client:
            stranger_client.send_bytes(sent)
            (said,) = await stranger_client.ended()
        assert isinstance(said, Disconnect)
        assert f"the other side speaks {says}" in said.reason
        for event, key in (("protocol_error", "reason"), ("client_refused", "why")):
            assert f"the other side speaks {says}" in (await logged(caplog, event))[key]


async def test_seeds_that_are_something_else_do_not_keep_a_node_from_the_mesh() -> None:
    """A client port, an HTTP port, and one where nobody listens, named before the right one."""
    async with node() as a:
        wrong = [str(a.addresses["client"]), str(a.addresses["http"]), NOWHERE]
        config = node_config("b", [*wrong, str(a.addresses["mesh"])], drain_timeout=0.1)
        async with Node(config) as b:
            await linked([a, b])


@pytest.mark.parametrize("port", ["mesh", "http"])
async def test_a_client_that_connects_to_another_port_is_told_that_it_is_no_connection(port: str) -> None:
    """At once, or with a right address as the next, not at all."""
    async with node() as a:
        with pytest.raises(NoConnection, match=str(a.addresses[port])) as raised:
            await connect(f"liminal://{a.addresses[port]}").__aenter__()
        assert ("the other side speaks HTTP" in str(raised.value)) is (port == "http")
        async with connect(f"liminal://{a.addresses[port]},{a.addresses['client']}") as client:
            await client.publish("ticks", 1)
