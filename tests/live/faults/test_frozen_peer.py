"""A peer that is stopped costs nobody but itself, and learns what it missed; nor does one that floods."""

from __future__ import annotations

import pytest

from .fleet import Fleet

pytestmark = pytest.mark.live

MESSAGES = 30_000
BYTES = 1000
"""Together far more than the kernel's buffers and a lane hold."""


async def test_no_publish_waits_for_a_peer_that_does_not_read(fleet: Fleet) -> None:
    """S7: the third node gets everything meanwhile, and the stopped one is told of what it did not get."""
    a, b, c = await fleet.mesh("a", "b", "c", inbox={"messages": MESSAGES, "bytes": "256MiB"})
    for node in (b, c):
        await node.call("subscribe", key="all", pattern="t.x", wait="cluster")
    await a.call("publish", channel="t.x", count=10)
    await b.until("all", 10)

    b.freeze()
    flooded = await a.call("flood", channel="t.x", count=MESSAGES, size=BYTES)
    awaited = await a.call("publish", channel="t.x", count=200, size=BYTES)
    total = MESSAGES + 210

    assert flooded["longest"] < 1.5, "a lane counts as stalled after half a second"
    assert awaited["longest"] < 0.25
    books = await c.until("all", total)
    assert (books["delivered"], books["missed"]) == (total, 0)

    b.thaw()
    books = await b.until("all", total)
    assert set(books["reasons"]) == {"link"}
    assert books["delivered"] > 10, "what was in the kernel's buffers, and what waited in the lane"
    statistics = await a.call("statistics")
    assert statistics["lane_dropped"] >= books["missed"]


async def test_a_short_stop_costs_nothing(fleet: Fleet) -> None:
    """What fits into the lane waits in it."""
    a, b = await fleet.mesh("a", "b", inbox={"messages": MESSAGES, "bytes": "256MiB"})
    await b.call("subscribe", key="all", pattern="t.x", wait="cluster")

    b.freeze()
    await a.call("flood", channel="t.x", count=5000, size=BYTES, pace=0.012)  # about a second in all
    b.thaw()

    books = await b.until("all", 5000)
    assert (books["delivered"], books["missed"]) == (5000, 0)


async def test_a_peer_that_is_silent_for_long_is_purged_and_comes_back(fleet: Fleet) -> None:
    """Its session ends after 5 s; when it goes on, it is linked again, and what it missed is a gap."""
    a, b, c = await fleet.mesh("a", "b", "c")
    await b.call("subscribe", key="all", pattern="t.x", wait="cluster")
    await c.call("subscribe", key="all", pattern="t.x", wait="cluster")
    await a.call("publish", channel="t.x", count=10)
    await b.until("all", 10)

    b.freeze()
    await a.linked("c", within=60)
    await c.linked("a", within=60)
    assert [pid.partition(".")[0] for pid in (await a.call("groups"))["t.x"]] == ["c"]
    await a.call("publish", channel="t.x", count=100)
    books = await c.until("all", 110)
    assert (books["delivered"], books["missed"]) == (110, 0)

    b.thaw()
    await a.linked("b", "c")
    await a.call("publish", channel="t.x", count=1)
    books = await b.until("all", 111)
    assert (books["delivered"], books["reasons"]) == (11, {"link": 100})


async def test_me8_a_peer_that_floods_delays_neither_another_peer_nor_a_local_publisher(fleet: Fleet) -> None:
    """While all of its flood comes in, what another node publishes is accepted, and acknowledged by a third one."""
    a, b, c = await fleet.mesh("a", "b", "c", inbox={"messages": 50_000})
    for node in (a, c):
        await node.call("subscribe", key="flood", pattern="t.flood", wait="cluster", whole=False)
        await node.call("subscribe", key="x", pattern="t.x", wait="cluster")
    flooding = b.begin("flood", channel="t.flood", count=10_000_000)
    for node in (a, c):
        await node.call("until", key="flood", total=1000, timeout=30)

    accepted = await a.call("publish", channel="t.x", count=200)
    acknowledged = await a.call("publish", channel="t.x", count=20, ack="nodes")

    assert not flooding.done(), "it was over before: this shows nothing"
    assert accepted["longest"] < 2.5
    assert acknowledged["longest"] < 5.0
    books = await c.until("x", 220)
    assert (books["delivered"], books["missed"]) == (220, 0)
    await b.kill()
