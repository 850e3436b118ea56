"""Every bound that a connection can meet: the one too many is refused by its name, and others notice nothing.

Each test is called after the setting in ``[limits]`` that it is about, or, where there is none, after what is bounded;
the last test sees to it that none is left out. Beside each of them a client publishes and receives all the time.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgpack
import pytest
from msgspec import Raw

from liminal_mesh import LimitExceeded, Message, NoConnection
from liminal_mesh.cluster import (
    GROUP_SCOPE,
    Connect,
    Connected,
    Envelope,
    Join,
    KeepAlive,
    KeepAliveReply,
    Leave,
    MonitorProcess,
    OpenMailbox,
    Reply,
    Request,
    Subscribe,
    Subscribed,
    WatchMembers,
)
from liminal_mesh.cluster.frames import Refusal
from liminal_mesh.node.config import LimitsConfig
from liminal_mesh.node.nesting import NESTING_MAX

from ..live.raw_peer import RawClient, RawPeer, header, hello
from ..nodes import until
from .bounded import (
    CONFIRM,
    PEER_EPOCH,
    bounded,
    goodbye,
    outside,
    peer,
    protocol_error,
    publish,
    raw_client,
    refusal,
)

ITEM: Final = Envelope(0, 0, 0, 0, 0, b"x")
FRAME: Final = 64 << 10


# --- sizes ---


async def test_max_frame() -> None:
    """Of a client from the header alone, of a message before it is sent, of a peer as of a client."""
    async with bounded(max_frame=FRAME) as cluster, cluster.client("a") as client:
        with pytest.raises(LimitExceeded, match=r"limits\.max_frame is 65536"):
            await client.publish("m.x", bytes(FRAME))
        with pytest.raises(LimitExceeded, match=r"limits\.max_frame is 65536"):
            await cluster["a"].publish("m.x", bytes(FRAME))
        async with raw_client(cluster) as raw:
            raw.send_bytes(header(FRAME + 1))
            assert await goodbye(raw) == (
                "protocol", "a frame of 65537 bytes, where 65536 are allowed (limits.max_frame)",
            )  # fmt: skip
        async with peer(cluster) as other:
            other.send_bytes(header(FRAME + 1))
            await other.ended()
        assert "(limits.max_frame)" in protocol_error(cluster)


async def test_preauth_frame() -> None:
    """Before anybody has said who it is, at either port."""
    async with bounded(preauth_frame=2048) as cluster:
        async with raw_client(cluster, "") as raw:
            raw.send_bytes(header(2049))
            assert await goodbye(raw) == (
                "protocol", "a frame of 2049 bytes, where 2048 are allowed (limits.preauth_frame)",
            )  # fmt: skip
        async with RawPeer.to(cluster["a"].addresses["mesh"], outside(cluster)) as stranger:
            stranger.send_bytes(header(2049))
            assert await stranger.ended() == []
        assert "(limits.preauth_frame)" in protocol_error(cluster)


async def test_envelope() -> None:
    """Whatever it is that is beside the body."""
    async with bounded(envelope=2000) as cluster, cluster.client("a") as client:
        for bus in (client, cluster["a"]):
            with pytest.raises(LimitExceeded, match=r"limits\.envelope is 2000"):
                await bus.publish("m.x", b"", headers={"padding": "x" * 2000})


async def test_key() -> None:
    """In bytes, of either kind of bus."""
    async with bounded(key=10) as cluster, cluster.client("a") as client:
        for bus in (client, cluster["a"]):
            with pytest.raises(LimitExceeded, match=r"limits\.key is 10"):
                await bus.publish("m.x", b"", key="\u00fc" * 6)


async def test_channel_name() -> None:
    """256 bytes; a longer one is refused before it is sent, and again where it comes."""
    async with bounded() as cluster, cluster.client("a") as client:
        for bus in (client, cluster["a"]):
            with pytest.raises(ValueError, match="at most 256"):
                await bus.publish("m." + "x" * 255, b"")
        async with raw_client(cluster) as raw:
            raw.send(publish(1, "m." + "x" * 254, ITEM))
            raw.send(publish(2, "m." + "x" * 255, ITEM))
            assert (await goodbye(raw))[0] == "protocol"


@pytest.mark.parametrize(
    ("what", "items"),
    [
        ("array", [[0, 0, 0, 0, 0, b""]] * 1025),
        ("map", [[0, 0, 0, 0, 0, b"", dict.fromkeys(range(257))]]),
        ("ext", [[0, 0, 0, 0, 0, msgpack.ExtType(1, b"x")]]),
        ("depth", [[[[[0]]]]]),
    ],
)
async def test_msgpack(what: str, items: object) -> None:
    """Arrays, maps, texts and types are what the frames' tables allow; the rest ends the connection of its sender."""
    async with bounded() as cluster, raw_client(cluster) as raw:
        body: bytes = msgpack.packb([1, CONFIRM, "m.x", "", 0, items])
        raw.send_bytes(header(len(body) + 1, 0x50) + body)
        code, reason = await goodbye(raw)
        assert (code, "bad ClientPublish frame" in reason) == ("protocol", True), what
    async with bounded() as cluster, raw_client(cluster, "") as raw:
        raw.send(Connect(1, 1, "x" * 257))
        assert "Expected `str` of length <= 256" in (await goodbye(raw))[1]


async def test_msgpack_depth() -> None:
    """16, in what a node passes on without a look."""
    async with bounded() as cluster, raw_client(cluster) as raw:
        for depth in (NESTING_MAX, NESTING_MAX + 1):
            raw.send(publish(1, "m.x", Envelope(0, 0, 0, 0, 0, b"", {77: Raw(b"\x91" * depth + b"\xc0")})))
        kind, facts = await refusal(raw)
        assert (kind, facts["reason"]) == ("ProtocolError", "an option nests deeper than 16 arrays and maps")


# --- connections ---


async def test_connections() -> None:
    """And another one gets in when one has gone."""
    async with bounded(connections=2) as cluster:
        async with cluster.client("a", name="one"):
            with pytest.raises(NoConnection, match=r"limits\.connections is 2"):
                await cluster.client("a", name="other").__aenter__()
            assert cluster["a"].running.server.refusals == {"connections": 1}
        await until(cluster["a"], lambda: len(cluster["a"].connections()) == 1)
        async with cluster.client("a", name="next") as client:
            await client.publish("m.x", 1)


async def test_connections_per_ip() -> None:
    """Others of other addresses get in."""
    async with bounded(connections_per_ip=1) as cluster, raw_client(cluster) as raw:
        raw.send(Request(1, "members"))
        async with raw_client(cluster, "") as second:
            assert await goodbye(second) == (
                "connections_per_ip", "limits.connections_per_ip is 1, and this would pass it",
            )  # fmt: skip
        async with RawClient.to(cluster["a"].addresses["client"], outside(cluster, 2)) as other:
            await other.greet()


async def test_handshakes() -> None:
    """Who is one too many waits in the backlog and is not refused; who has had its time makes room, and hears why."""
    async with (
        bounded(handshakes=1, handshake_timeout=5) as cluster,
        raw_client(cluster, "") as silent,
        raw_client(cluster, "") as waiting,
    ):
        waiting.send(Connect(1, 1, "waiting"))
        began = cluster.now
        await waiting.expect(Connected)
        assert 0.9 < cluster.now - began < 1.1
        code, reason = await goodbye(silent)
        assert (code, "(limits.handshakes)" in reason) == ("crowded", True)


async def test_handshake_timeout() -> None:
    """However much of its greeting has come."""
    async with bounded(handshake_timeout=3) as cluster, raw_client(cluster, "") as slow:
        slow.send_bytes(RawClient.codec.encode(Connect(1, 1, "slow"))[:-1])
        began = cluster.now
        assert await goodbye(slow) == ("handshake", "no greeting came within 3 s (limits.handshake_timeout)")
        assert 2.9 < cluster.now - began < 3.1


async def test_listen_backlog() -> None:
    """So many wait in front of the node; whoever is one too many comes back by itself, as the system's retry does."""
    async with bounded(handshakes=1, listen_backlog=2, handshake_timeout=10) as cluster, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(raw_client(cluster, ""))
        connecting = asyncio.create_task(stack.enter_async_context(raw_client(cluster, "")))
        await asyncio.sleep(1.5)
        assert not connecting.done()
        assert len(cluster["a"].connections()) == 2
        last = await connecting
        assert await last.greet()


async def test_peers() -> None:
    """The one too many hears why, and the others stay."""
    async with bounded(peers=1) as cluster, peer(cluster, "y") as one:
        async with RawPeer.to(cluster["a"].addresses["mesh"], outside(cluster)) as other:
            await other.shake_hands(hello("z", epoch=PEER_EPOCH))
            refused = await other.expect(Refusal)
            assert (refused.code, refused.reason) == ("full", "1 peers are the most (limits.peers)")
        assert one.open


# --- what one connection may have ---


async def test_subscriptions_per_connection() -> None:
    """Those that it has stand."""
    async with bounded(subscriptions_per_connection=2) as cluster, cluster.client("a") as client:
        async with client.subscribe("m.a") as one, client.subscribe("m.b"):
            with pytest.raises(LimitExceeded, match=r"limits\.subscriptions_per_connection is 2"):
                await client.subscribe("m.c").__aenter__()
            await client.publish("m.a", 1)
            assert isinstance(await anext(one), Message)
        async with client.subscribe("m.c"):
            pass


async def test_memberships_per_connection() -> None:
    """Of all its processes together; to join twice is once, and to leave makes room."""
    async with bounded(memberships_per_connection=2) as cluster, raw_client(cluster) as raw:
        raw.send(OpenMailbox(1, 1, 8, True), OpenMailbox(2, 2, 8, True))
        raw.send(Join(3, 1, "x", "", 0), Join(4, 2, "x", "", 0), Join(5, 2, "x", "", 0), Join(6, 1, "y", "", 0))
        assert await refusal(raw) == ("LimitExceeded", {"name": "memberships_per_connection", "limit": 2})
        raw.send(Leave(7, 2, "x"), Join(8, 1, "y", "", 0), KeepAlive(9))
        await raw.expect(KeepAliveReply)
        assert [frame.ref for frame in raw.seen if isinstance(frame, Reply)] == [3, 4, 5, 7, 8]
        groups = cluster["a"].running.registry.groups(GROUP_SCOPE)
        assert {name: len(pids) for name, pids in groups.items()} == {"x": 1, "y": 1}


async def test_watches_per_connection() -> None:
    """Monitors and watches together."""
    async with bounded(watches_per_connection=2) as cluster, raw_client(cluster) as raw:
        raw.send(*(MonitorProcess(ref, ref, "a", cluster["a"].epoch, 1) for ref in (1, 2)), WatchMembers(3, 3))
        assert await refusal(raw) == ("LimitExceeded", {"name": "watches_per_connection", "limit": 2})


async def test_waits_per_connection() -> None:
    """Requests that wait for a peer that does not answer; the others are answered."""
    async with bounded(nodes=2, waits_per_connection=2) as cluster, raw_client(cluster) as raw:
        cluster.partition("a", "b")
        raw.send(*(Subscribe(ref, ref, f"m.{ref}", 8, "cluster", 10_000) for ref in (1, 2, 3)))
        assert await refusal(raw) == ("LimitExceeded", {"name": "waits_per_connection", "limit": 2})
        raw.send(Subscribe(4, 4, "m.4", 8, "", 0))
        assert (await raw.expect(Subscribed)).ref == 4


async def test_write_deadline() -> None:
    """Whoever monitors it hears the name; what waited for it is no more than the transport's high water and a write."""
    async with bounded(write_deadline=3) as cluster, raw_client(cluster) as raw:
        [_, stuck] = cluster["a"].connections()
        raw.send(Subscribe(1, 1, "m.x", 1_000_000, "", 0))
        await raw.expect(Subscribed)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with cluster["a"].monitor(stuck.pid) as monitor:
            for _ in range(200):
                await cluster["a"].publish("m.x", bytes(10_000))
            began = cluster.now
            await asyncio.sleep(1)
            [_, stuck] = cluster["a"].connections()
            assert 0 < stuck.queued_bytes <= (64 + 256) << 10
            down = await monitor.down(timeout=10)
            assert down.reason == "error: write-deadline: nothing was read for 3 s (limits.write_deadline)"
            assert 2.9 < cluster.now - began < 3.2


# --- all of them ---

ELSEWHERE: Final = {
    "causal_messages": "contracts/test_bus_causal.py",
    "causal_wait": "contracts/test_bus_causal.py",
    "channel_lane_bytes": "live/faults/test_broken_links.py",
    "channels": "contracts/test_channels.py",
    "groups": "contracts/test_groups.py",
    "lane_age": "virtual/test_flush.py",
    "process_links": "contracts/test_bus_monitors.py",
    "processes": "contracts/test_bus_monitors.py",
    "slowed_bytes_connection": "virtual/test_pressure.py",
    "slowed_bytes_node": "virtual/test_pressure.py",
}
"""Bounds of other things than connections, and where they are tested."""


def test_no_bound_is_left_out() -> None:
    """Of all that ``[limits]`` has."""
    here = Path(__file__)
    tests = here.read_text() + here.with_name("test_waiting_bounds.py").read_text()
    for name in LimitsConfig.model_fields:
        if name in ELSEWHERE:
            assert re.search(rf"\b{name}\b", (here.parents[1] / ELSEWHERE[name]).read_text()), name
        else:
            assert re.search(rf"^async def test_{name}\(|^(@|    ).*\"{name}\"", tests, re.MULTILINE), name
