"""What a subscription's features cost when they are used: the CPU time of a message, more than without."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import process_time
from typing import Any

from liminal_mesh.node import (
    ChannelConfig,
    ClientConfig,
    ClusterConfig,
    HttpConfig,
    InboxConfig,
    Message,
    Node,
    NodeConfig,
    Reference,
    Subscription,
)

from .result import BODY_BYTES

__all__ = ["causal", "predicate", "sharing"]

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


async def sharing() -> tuple[float, dict[str, str]]:
    """Publish at one node for a group with members at two others, in microseconds each, over one plain subscriber.

    From the publish to the taking, at all three nodes, which are in this one process.
    """
    plain, shared = await _crossed(("b",), None), await _crossed(("b", "c"), "g")
    one = await _crossed(("b",), "g")
    alone = await _crossed(("b", "c"), "g", awaited=True) - await _crossed(("b",), None, awaited=True)
    notes = {"without": f"{plain:.2f} us", "one member": f"{one - plain:.2f} us", "one at a time": f"{alone:.2f} us"}
    return shared - plain, notes


async def _crossed(nodes: tuple[str, ...], group: str | None, *, awaited: bool = False) -> float:
    """Return what one message costs from its publish at node ``a`` to its taking at others."""
    async with _three() as mesh, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        subscriptions = [
            mesh[name].subscribe(CHANNEL, group=group, max_in_flight=CREDIT, wait="cluster") for name in nodes
        ]
        reading = [
            tasks.create_task(_read(await stack.enter_async_context(subscription))) for subscription in subscriptions
        ]
        spent, messages = 0.0, 0
        for _ in range(BURSTS):
            gc.collect()
            begun = process_time()
            for _ in range(BURST // 10 if awaited else BURST):
                if awaited:
                    await mesh["a"].publish(CHANNEL, BODY)
                else:
                    mesh["a"].publish_nowait(CHANNEL, BODY)
                messages += 1
            while sum(one.statistics.delivered for one in subscriptions) < messages:
                await asyncio.sleep(0.001)
            spent += process_time() - begun
        for task in reading:
            task.cancel()
    return spent / messages * 1e6


async def _read(subscription: Subscription) -> None:
    async for _ in subscription:
        pass


@asynccontextmanager
async def _three() -> AsyncIterator[dict[str, Node]]:
    """Run three nodes that are linked."""
    free = "127.0.0.1:0"
    async with AsyncExitStack() as stack:
        nodes: dict[str, Node] = {}
        for name in "abc":
            seeds = [str(nodes["a"].addresses["mesh"])] if nodes else []
            config = NodeConfig(
                name=name,
                client=ClientConfig(listen=free),
                http=HttpConfig(listen=free),
                cluster=ClusterConfig(seeds=seeds, listen=free),
                channels=[ChannelConfig(name=CHANNEL, inbox=InboxConfig(messages=2 * BURST))],
            )
            nodes[name] = await stack.enter_async_context(Node(config))
        for node in nodes.values():
            while sum(one.reachable for one in await node.members()) < len(nodes):
                await asyncio.sleep(0.01)
        yield nodes


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
