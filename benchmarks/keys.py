"""What a key costs when it is used: the CPU time of an awaited publish, more than without one."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from time import process_time
from uuid import UUID

from liminal_mesh.node import ChannelConfig, ClientConfig, HttpConfig, InboxConfig, Node, NodeConfig
from liminal_mesh.node.dedup import Claim, Dedup

from .result import BODY_BYTES

__all__ = ["once"]

CHANNEL = "bench.keys"
BODY = bytes(BODY_BYTES)
PUBLISHES = 40_000
BURST = 2000


def key_of(number: int) -> str:
    """Return a key as many producers make them."""
    return str(UUID(int=number))


async def once() -> tuple[float, dict[str, str]]:
    """Publish with a key each, in microseconds each, over publishing with receipts and without keys."""
    config = NodeConfig(
        name="bench",
        client=ClientConfig(listen="127.0.0.1:0"),
        http=HttpConfig(listen="127.0.0.1:0"),
        channels=[ChannelConfig(name=CHANNEL, inbox=InboxConfig(messages=2 * BURST))],
    )
    async with Node(config) as node:
        plain, _ = await _published(node, lambda _: None)
        fresh, duplicates = await _published(node, key_of)
        assert not duplicates, "each key is new"
        again, duplicates = await _published(node, key_of)
        assert duplicates == PUBLISHES, "and then none of them is"
    memory = f"{_remembered_bytes():.0f} bytes"
    return fresh - plain, {"without": f"{plain:.2f} us", "a duplicate": f"{again:.2f} us", "a key remembered": memory}


async def _published(node: Node, key: Callable[[int], str | None]) -> tuple[float, int]:
    """Return what one publish costs that a local subscriber takes, and how many were duplicates."""
    spent, duplicates = 0.0, 0
    async with node.subscribe(CHANNEL, max_in_flight=2 * BURST) as subscription:
        for first in range(0, PUBLISHES, BURST):
            keys = [key(number) for number in range(first, first + BURST)]
            gc.collect()
            begun = process_time()
            outcomes = [await node.publish(CHANNEL, BODY, key=one, ack="nodes") for one in keys]
            spent += process_time() - begun
            duplicates += sum(outcome.duplicate for outcome in outcomes)
            while subscription.statistics.waiting:
                await anext(subscription)
    return spent / PUBLISHES * 1e6, duplicates


def _remembered_bytes() -> float:
    """Return the memory that one key takes, itself included."""
    dedup, digest = Dedup(PUBLISHES, PUBLISHES), bytes(16)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(PUBLISHES):
        claim = dedup.claim(CHANNEL, key_of(number), bytes(bytearray(digest)), number, 600.0)
        assert isinstance(claim, Claim)
        dedup.complete(claim, (1 << 60) + number, number + 0.5)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / PUBLISHES
