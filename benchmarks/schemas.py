"""What a schema costs when it is used: the CPU time of a publish, more than on a channel without one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping
from time import process_time
from typing import Any, Final

from liminal_mesh.node import ChannelConfig, ClientConfig, HttpConfig, InboxConfig, Node, NodeConfig, SchemaRejected

__all__ = ["checked"]

BURST = 2000
BURSTS = 25

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "customer": {"type": "string", "maxLength": 64},
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "default": "EUR"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string"}, "count": {"type": "integer", "default": 1}},
                "required": ["sku", "count"],
            },
        },
    },
    "required": ["id", "customer", "currency", "items"],
    "additionalProperties": False,
}
"""What an order may look like."""

WHOLE: Final = {
    "id": 7,
    "customer": "customer-0000000000000000000000000000000",
    "currency": "EUR",
    "items": [{"sku": "a-0000000001", "count": 2}, {"sku": "b-0000000002", "count": 1}],
}
"""128 bytes of msgpack, as the bodies of the other rows are."""

LACKING: Final = {**WHOLE, "items": [{"sku": "a-0000000001"}, {"sku": "b-0000000002", "count": 1}]}
WRONG: Final = {**WHOLE, "items": [{"sku": "a-0000000001", "count": 2}, {"sku": "b-0000000002", "count": "1"}]}


async def checked() -> tuple[float, dict[str, str]]:
    """Publish what a schema accepts as it is, in microseconds each, over publishing it without a schema."""
    inbox = InboxConfig(messages=2 * BURST)
    config = NodeConfig(
        name="bench",
        client=ClientConfig(listen="127.0.0.1:0"),
        http=HttpConfig(listen="127.0.0.1:0"),
        channels=[
            ChannelConfig(name="plain", inbox=inbox),
            ChannelConfig(name="orders", inbox=inbox, schema=SCHEMA),
        ],
    )
    async with Node(config) as node:
        plain = await _published(node, "plain", WHOLE)
        whole = await _published(node, "orders", WHOLE)
        told = {
            "without": plain,
            "putting in a default": await _published(node, "orders", LACKING),
            "refusing one": _refused(node, "orders", WRONG),
        }
    return whole - plain, {name: f"{cost:.2f} us" for name, cost in told.items()}


async def _published(node: Node, channel: str, payload: Mapping[str, Any]) -> float:
    """Return what one publish costs that is not waited for, and that a local subscriber gets."""
    spent = 0.0
    async with node.subscribe(channel, max_in_flight=2 * BURST) as subscription:
        for _ in range(BURSTS):
            gc.collect()
            begun = process_time()
            for _ in range(BURST):
                node.publish_nowait(channel, payload)
            await asyncio.sleep(0)  # what is left of a batch is handed over
            spent += process_time() - begun
            for _ in range(BURST):
                await anext(subscription)
    return spent / BURSTS / BURST * 1e6


def _refused(node: Node, channel: str, payload: Mapping[str, Any]) -> float:
    """Return what one publish costs that is refused."""
    begun = process_time()
    for _ in range(BURST):
        try:
            node.publish_nowait(channel, payload)
        except SchemaRejected:
            continue
        raise AssertionError("it was accepted")
    return (process_time() - begun) / BURST * 1e6
