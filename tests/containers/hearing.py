"""What clients on the host publish into a cluster, and what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from liminal_mesh import Client, Gap, Message, PublishOutcome, Subscription

from .project import PATIENCE_S

__all__ = ["account", "everywhere", "hear", "numbers"]

PACE_S = 0.02
"""Fifty messages a second: far from any bound, so that only a fault can cost one."""


@asynccontextmanager
async def numbers(bus: Client, channel: str) -> AsyncIterator[None]:
    """Publish 0, 1, 2, ... until the block ends, and never fail meanwhile."""
    over = asyncio.Event()

    async def publish() -> None:
        number = 0
        while not over.is_set():
            await bus.publish(channel, number)
            number += 1
            try:
                await asyncio.wait_for(over.wait(), PACE_S)
            except TimeoutError:
                continue

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish())
        try:
            yield
        finally:
            over.set()


async def everywhere(bus: Client, channel: str, payload: str, nodes: set[str]) -> PublishOutcome:
    """Publish until one message of this payload was taken at exactly these other nodes; return its outcome."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            outcome = await bus.publish(channel, payload, ack="nodes")
            if outcome.nodes == dict.fromkeys(nodes, "delivered"):
                return outcome
            await asyncio.sleep(PACE_S)


async def hear(subscription: Subscription, last: int) -> list[Message | Gap]:
    """Take everything up to the message with this id."""
    heard: list[Message | Gap] = []
    async with asyncio.timeout(PATIENCE_S):
        async for item in subscription:
            heard.append(item)
            if isinstance(item, Message) and item.id == last:
                break
    return heard


def account(heard: Sequence[Message | Gap], origin: str) -> list[Gap]:
    """Check that messages and gaps of one origin leave nothing out and repeat nothing; return the gaps."""
    gaps: list[Gap] = []
    expected: int | None = None
    for item in heard:
        if item.origin != origin:
            continue
        if isinstance(item, Gap):
            gaps.append(item)
            first, last = item.first, item.last
            assert item.count == last - first + 1, item
        else:
            first = last = item.sequence
        assert expected in (None, first), f"{expected} was to come, and not {item}; gaps: {gaps}"
        expected = last + 1
    return gaps
