"""Publishing as fast as it goes."""

from __future__ import annotations

import asyncio
import time

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.errors import Busy

__all__ = ["flood"]


async def flood(
    bus: Bus, channel: str, count: int, size: int = 16, pace: float = 0.0, stop: asyncio.Event | None = None
) -> dict[str, float]:
    """Publish without waiting, but for room when there is none; return how long the pauses were.

    Args:
        bus: where.
        channel: on what.
        count: how many.
        size: of each, in bytes.
        pace: a pause after each 64, in seconds; at 0 the loop gets one turn.
        stop: ends it before the count is reached.
    """
    busy, longest, begin, body, published = 0, 0.0, time.monotonic(), b"x" * size, 0
    for number in range(count):
        while True:
            try:
                bus.publish_nowait(channel, body)
                published += 1
                break
            except Busy:
                before = time.monotonic()
                busy += 1
                await bus.writable(channel)
                longest = max(longest, time.monotonic() - before)
        if number % 64 == 63:
            await asyncio.sleep(pace)
            if stop is not None and stop.is_set():
                break
    return {"published": published, "busy": busy, "longest": longest, "seconds": time.monotonic() - begin}
