"""Subscribers that do not keep up, over a link: their loss is theirs alone, told in full, and memory is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from .fleet import Fleet, Refused, Worker

pytestmark = pytest.mark.live

POLICIES = ("drop-oldest", "drop-newest", "reject", "disconnect")
CHANNELS = [{"name": f"p.{policy}", "inbox": {"messages": 100, "overflow": policy}} for policy in POLICIES]
MESSAGES = 20_000


async def test_a_subscriber_that_never_reads_costs_nobody_anything(fleet: Fleet) -> None:
    """Embedded and as a client: 200 MB are published, and the node keeps a few of them."""
    a, b = await fleet.mesh("a", "b", inbox={"messages": 1000})
    client = await fleet.client(b)
    await b.call("subscribe", key="idle", pattern="t.x", hold=True, wait="cluster")
    await client.call("subscribe", key="idle", pattern="t.x", hold=True, wait="cluster")
    await b.call("subscribe", key="busy", pattern="t.>", max_in_flight=10_000, wait="cluster")
    await a.call("flood", channel="t.x", count=2000, size=10_000, pace=0.01)
    await b.until("busy", 2000)
    before = [await one.call("memory") for one in (b, client)]

    await a.call("flood", channel="t.x", count=MESSAGES, size=10_000)
    await b.until("busy", MESSAGES + 2000)

    after = [await one.call("memory") for one in (b, client)]
    assert max(late - early for early, late in zip(before, after, strict=True)) < 40 << 20
    for one in (b, client):
        await one.call("release", key="idle")
        books = await one.until("idle", MESSAGES + 2000)
        assert books["reasons"].keys() <= {"overflow", "link"}
        assert books["missed"] > MESSAGES / 2


async def test_a_client_that_is_stopped_is_cut_off_and_comes_back(fleet: Fleet) -> None:
    """It costs its node no more than its inbox, and the node's other client nothing; it hears of all it missed."""
    inbox, limits = {"messages": 1000, "bytes": "2MiB"}, {"write_deadline": "1s"}
    a, b = await fleet.mesh("a", "b", inbox=inbox, limits=limits)
    stopped, other = await fleet.client(b), await fleet.client(b)
    for one in (stopped, other):
        await one.call("subscribe", key="x", pattern="t.x", max_in_flight=10_000, wait="cluster")
    await a.call("flood", channel="t.x", count=1000, size=1000)
    await stopped.until("x", 1000)
    await other.until("x", 1000)
    before = await b.call("memory")

    stopped.freeze()
    await a.call("flood", channel="t.x", count=30_000, size=1000, pace=0.002)
    await other.until("x", 31_000)
    assert await b.call("memory") - before < 40 << 20
    await b.call("clients", count=1, timeout=60)
    await a.call("publish", channel="t.x", count=10)

    stopped.thaw()
    books = await stopped.until("x", 31_010)
    assert books["missed"]
    assert books["delivered"] > 1000
    assert (await other.until("x", 31_010))["delivered"] > 1000


async def test_each_policy_over_a_link(fleet: Fleet) -> None:
    """Of 1000 messages, a credit of 16 and a buffer of 100 keep 116: the first or the last ones."""
    a, b = await fleet.mesh("a", "b", channels=CHANNELS)
    client = await fleet.client(b)
    for policy in POLICIES:
        for one in (b, client):
            fields = {"key": policy, "pattern": f"p.{policy}", "hold": True, "max_in_flight": 16, "wait": "cluster"}
            await one.call("subscribe", **fields)
        await a.call("window", channel=f"p.{policy}", count=1000, ack="nodes")
        for one in (b, client):
            await one.call("release", key=policy)
            books = await settled(one, policy)
            kept = 116 if one is b else 16 + 116  # a client holds its credit, and what it finished makes room
            assert 0 < books["delivered"] <= kept
            if policy == "disconnect":
                assert books["error"] == "LimitExceeded"
                continue
            assert books["reasons"] == {"overflow": 1000 - books["delivered"]}
            assert books["delivered"] >= 100
            assert (books["last"] == [1000]) == (policy == "drop-oldest")


async def settled(one: Worker, policy: str) -> dict[str, Any]:
    """Wait for all that the subscription will ever see."""
    if policy != "disconnect":
        return await one.until(policy, 1000)
    with pytest.raises(Refused, match="LimitExceeded"):
        await one.until(policy, 1000)
    books: dict[str, Any] = await one.call("books", key=policy)
    return books
