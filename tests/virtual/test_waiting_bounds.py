"""Bounds of what waits for others, and of what is remembered for them; see ``test_connection_bounds``."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh import Gap, LimitExceeded, Message, Reference, Subscription
from liminal_mesh.cluster.frames import SnapBegin

from .bounded import PEER_EPOCH, bounded, peer, protocol_error


@pytest.mark.parametrize(
    ("limits", "name", "limit", "size"),
    [({"inbox_messages": 5}, "inbox_messages", 5, 1), ({"inbox_bytes": 5000}, "inbox_bytes", 5000, 1000)],
)
@pytest.mark.parametrize("kind", ["client", "node"])
async def test_inbox(kind: str, limits: dict[str, int], name: str, limit: int, size: int) -> None:
    """A subscription that is ended for it hears which bound it was; others get what they have, and how much is lost."""
    async with bounded(**limits) as cluster, cluster.client("a") as client:
        bus = client if kind == "client" else cluster["a"]
        async with (
            bus.subscribe("disconnect", max_in_flight=1) as ended,
            bus.subscribe("drop-oldest", max_in_flight=1) as gapped,
            bus.subscribe("disconnect", max_in_flight=100) as reading,
        ):
            for number in range(20):
                for channel in ("disconnect", "drop-oldest"):
                    await cluster["a"].publish(channel, bytes(size))
                assert isinstance(await anext(reading), Message), number
            with pytest.raises(LimitExceeded) as error:
                await taken(ended)
            assert (error.value.name, error.value.limit) == (name, limit)
            assert f"limits.{name} (or {name.replace('_', '.')} of the channel) is {limit}" in str(error.value)
            messages, lost = await taken(gapped, 20)
            assert messages + lost == 20
            assert 3 < messages < 10


@pytest.mark.parametrize("scope", ["inbox_bytes_connection", "inbox_bytes_node"])
async def test_inbox_bytes_together(scope: str) -> None:
    """The largest inbox is emptied into a gap, whosever it is of those that share the bound; the smaller one is not."""
    limits = {"inbox_bytes": 60_000, "inbox_bytes_connection": 100_000, "inbox_bytes_node": 100_000}
    if scope == "inbox_bytes_connection":
        limits["inbox_bytes_node"] = 1_000_000
    async with bounded(**limits) as cluster, cluster.client("a") as client, cluster.client("a", name="other") as other:
        second = client if scope == "inbox_bytes_connection" else other
        async with (
            client.subscribe("m.large", max_in_flight=1) as large,
            client.subscribe("m.small", max_in_flight=1) as small,
            second.subscribe("m.last", max_in_flight=1) as last,
        ):
            for channel, count in (("m.large", 51), ("m.small", 11), ("m.last", 41)):
                for _ in range(count):
                    await cluster["a"].publish(channel, bytes(1000 - 160))
                    await asyncio.sleep(0.01)
            # Each client has one in hand. One more of the last made the sum too large, of 50, 10 and 40 thousand.
            await cluster["a"].publish("m.last", bytes(1000 - 160))
            assert await taken(small, 11) == (11, 0)
            assert await taken(last, 42) == (42, 0)
            assert await taken(large, 51) == (1, 50)


async def taken(subscription: Subscription, most: int = 1000) -> tuple[int, int]:
    """Return how many messages a subscription gives, and how many it tells as lost, of so many."""
    messages = lost = 0
    while messages + lost < most:
        item = await anext(subscription)
        messages, lost = (messages, lost + item.count) if isinstance(item, Gap) else (messages + 1, lost)
    return messages, lost


async def test_causal_bytes() -> None:
    """What waits for its parent is let go when it is too much, the oldest first, and long before its time is up."""
    async with bounded(causal_bytes=2000, causal_wait=100) as cluster, cluster.client("a") as client:
        for bus in (client, cluster["a"]):
            async with bus.subscribe("m.>", causal=True) as subscription:
                for number in range(3):
                    parent = Reference("m.parent", "a", cluster["a"].epoch, 1000 + number, 1000 + number)
                    await cluster["a"].publish("m.child", bytes([number]) * 700, parent=parent)
                async with asyncio.timeout(1):
                    first = await anext(subscription)
                assert isinstance(first, Message)
                assert (first.body[:1], first.orphaned) == (b"\0", True)
                assert subscription.statistics.waiting == 2


# --- what a node remembers for others ---


async def test_dedup_keys() -> None:
    """Of one channel, and of all; what has no key is published."""
    async with (
        bounded(dedup_keys=2, dedup_keys_node=3) as cluster,
        cluster.client("a") as client,
        cluster["a"].subscribe("m.>"),
    ):
        for channel, keys, name in (("m.x", "ab", "dedup_keys"), ("m.y", "a", "dedup_keys_node")):
            for key in keys:
                await client.publish(channel, 1, key=key)
            with pytest.raises(LimitExceeded) as error:
                await client.publish(channel, 1, key="c")
            assert error.value.name == name
            assert (await client.publish(channel, 1)).local == 1


async def test_registry_entries() -> None:
    """Of this node as a typed error; a peer that announces more ends its session, and the log names the bound."""
    async with bounded(registry_entries=4) as cluster, cluster.client("a") as client, peer(cluster) as other:
        async with client.subscribe("m.a"), client.subscribe("m.b"):
            with pytest.raises(LimitExceeded, match=r"limits\.registry_entries is 4"):
                await client.subscribe("m.c").__aenter__()
        other.send(SnapBegin(0, PEER_EPOCH, 1, 5, 0))
        await other.ended()
        assert (
            protocol_error(cluster)
            == "a snapshot of 5 entries in scope 0, where 4 are allowed (limits.registry_entries)"
        )
