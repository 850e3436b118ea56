"""What a subscription's features cost when they are used: the CPU time of taking a message, more than without."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import process_time
from typing import Any

from liminal_mesh.node import ChannelConfig, ClientConfig, HttpConfig, InboxConfig, Message, Node, NodeConfig, Reference

from .result import BODY_BYTES

__all__ = ["causal", "predicate"]

CHANNEL = "bench.features"
BODY = bytes(BODY_BYTES)
CREDIT = 4096
BURST = 2000
BURSTS = 50


def wanted(message: Message) -> bool:
    """Want everything."""
    del message
    return True


def last(message: Message) -> bool:
    """Want the last of a burst."""
    return message.sequence % BURST == 0


def decoded(message: Message) -> bool:
    """Look at the payload, as most predicates do."""
    return len(message.payload) == BODY_BYTES


def before(number: int, epoch: int) -> Reference:
    """Return the message before."""
    return Reference(CHANNEL, "bench", epoch, number - 1, number - 1)


async def predicate() -> tuple[float, dict[str, str]]:
    """Take messages with a predicate that wants all of them, in microseconds each, over taking them without one."""
    plain, asked = await _taken(), await _taken(where=wanted)
    more = {"reading the payload": await _taken(where=decoded), "wanting nothing": await _taken(where=last)}
    notes = {name: f"{cost - plain:.2f} us" for name, cost in more.items()}
    return asked - plain, {"without": f"{plain:.2f} us", **notes}


async def causal() -> tuple[float, dict[str, str]]:
    """Take messages in causal order, each naming the one before, in microseconds each, over taking them as they are."""
    plain, ordered = await _taken(parent=before), await _taken(causal=True, parent=before)
    free = await _taken(causal=True) - await _taken()
    return ordered - plain, {"without": f"{plain:.2f} us", "where nobody names a parent": f"{free:.2f} us"}


async def _taken(parent: Callable[[int, int], Reference] | None = None, **features: Any) -> float:
    """Return what taking one message costs, of many that wait."""
    config = NodeConfig(
        name="bench",
        client=ClientConfig(listen="127.0.0.1:0"),
        http=HttpConfig(listen="127.0.0.1:0"),
        channels=[ChannelConfig(name=CHANNEL, inbox=InboxConfig(messages=2 * BURST))],
    )
    async with Node(config) as node, node.subscribe(CHANNEL, max_in_flight=CREDIT, **features) as subscription:
        spent = 0.0
        for burst in range(BURSTS):
            for number in range(burst * BURST + 1, (burst + 1) * BURST + 1):
                node.publish_nowait(CHANNEL, BODY, parent=None if parent is None else parent(number, node.epoch))
            await node.members()
            statistics = subscription.statistics
            gc.collect()
            begun = process_time()
            while statistics.delivered + statistics.filtered < (burst + 1) * BURST:
                for _ in range(BURST if features.get("where") is not last else 1):
                    await anext(subscription)
                statistics = subscription.statistics
            spent += process_time() - begun
    return spent / (BURSTS * BURST) * 1e6
