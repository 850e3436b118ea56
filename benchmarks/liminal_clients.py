"""Liminal with a client on either side: client, node, node, client; four processes, as with NATS.

The verbs are those of :mod:`.liminal_embedded`: the bus is the same, only farther away.
"""

from __future__ import annotations

from .liminal_embedded import WINDOW_DEFAULT, timed
from .result import SUBSCRIBERS, WINDOW, Result
from .roles import roles

__all__ = ["fanout", "fanout_windowed", "unconfirmed", "windowed", "windowed_default"]

NAME = "liminal clients"


async def unconfirmed(messages: int) -> Result:
    """Publish to subscribe across the two nodes."""
    return await _run(NAME, "nowait", messages, 1)


async def windowed(messages: int) -> Result:
    """The same with receipts of the subscriber's node, as many in flight as the others have."""
    return await _run(NAME, "windowed", messages, 1, WINDOW)


async def windowed_default(messages: int) -> Result:
    """The same with the window that a publisher has unless it asks for another."""
    return await _run(f"{NAME} {WINDOW_DEFAULT}", "windowed", messages, 1, WINDOW_DEFAULT)


async def fanout(messages: int) -> Result:
    """One publisher, 1,000 subscriptions of a client of the other node; counts deliveries."""
    return await _run(NAME, "nowait", messages, SUBSCRIBERS)


async def fanout_windowed(messages: int) -> Result:
    """The same with receipts."""
    return await _run(NAME, "windowed", messages, SUBSCRIBERS, WINDOW)


async def _run(name: str, verb: str, messages: int, subscribers: int, window: int = 0) -> Result:
    part = "benchmarks.liminal_parts"
    async with roles() as processes:
        near = await (await processes.python(part, "node", "alone")).line()
        far = await (await processes.python(part, "node", near["mesh"])).line()
        subscriber = await processes.python(part, "subscribe", far["client"], messages, subscribers)
        await subscriber.line()
        publisher = await processes.python(part, "publish", near["client"], verb, messages, window)
        return await timed(name, processes, publisher, subscriber, messages, subscribers)
