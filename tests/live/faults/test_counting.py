"""At full speed, with inboxes that are too small: delivered plus gaps equals published, for every subscription."""

from __future__ import annotations

import asyncio
import os

import pytest

from .fleet import Fleet

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

PROVE = bool(os.environ.get("LIMINAL_PROVE"))
MESSAGES = 1_000_000 if PROVE else 200_000
WAYS = [(how, loop) for how in ("flood", "window") for loop in ("uvloop", "asyncio")]
PATTERNS = ("t.x", "t.*", "t.>")


@pytest.mark.parametrize(("how", "loop"), WAYS if PROVE else [("flood", "uvloop"), ("window", "asyncio")])
async def test_nothing_is_lost_in_silence_at_full_speed(fleet: Fleet, how: str, loop: str) -> None:
    """A node and a client publish at once, and four nodes and clients, with six subscriptions, count."""
    a, b, c = await fleet.mesh("a", "b", "c", inbox={"messages": 500, "bytes": "1MiB"}, uvloop=loop == "uvloop")
    publisher, *clients = await asyncio.gather(fleet.client(a), fleet.client(b), fleet.client(c))
    readers = [(one, pattern) for one in (b, c) for pattern in PATTERNS[:2]] + [(one, "t.x") for one in clients]
    for one, pattern in readers:
        await one.call("subscribe", key=pattern, pattern=pattern, max_in_flight=64, wait="cluster")

    count = MESSAGES // 2
    done = await asyncio.gather(*(one.call(how, channel="t.x", count=count, size=100) for one in (a, publisher)))

    if how == "window":
        assert [one["acknowledged"] for one in done] == [count, count]
    assert (await a.call("statistics"))["published"] == MESSAGES
    books = await asyncio.gather(*(one.until(pattern, MESSAGES) for one, pattern in readers))
    assert any(one["missed"] for one in books), "the inboxes were too small"
    assert all(one["delivered"] for one in books)
