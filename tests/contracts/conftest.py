"""Every way to hold the bus, on every loop that it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from liminal_mesh.node.config import ChannelConfig, InboxConfig, PressureConfig
from liminal_mesh.node.node import Node

from ..nodes import mesh, node_config
from .holders import POLICIES, Held, Pair, holder

try:
    import uvloop
except ImportError:  # it is an extra of the package
    uvloop = None  # type: ignore[assignment]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test on the loop of the standard library, and on uvloop where it is present."""
    del config, item
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


LIMITS: Final = {"causal_wait": 0.3, "causal_messages": 8}
"""What the suite's nodes have less of than others, so that it is soon over."""


ORDER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "currency": {"type": "string", "default": "EUR"}},
    "required": ["id", "currency"],
}
"""A schema of the suite's."""


def channels() -> tuple[ChannelConfig, ...]:
    """Return the channels that the suite uses; those of four messages are named after their overflow policy."""
    small = (ChannelConfig(name=policy, inbox=InboxConfig(messages=4, overflow=policy)) for policy in POLICIES)
    bytewise = ChannelConfig(name="bytewise", inbox=InboxConfig(bytes=4096))
    return (
        ChannelConfig(name="ticks"),
        ChannelConfig(name="m.*"),
        ChannelConfig(name="receipts", ack="nodes"),
        bytewise,
        ChannelConfig(name="orders", schema=ORDER),
        ChannelConfig(name="typed.*", schema=ORDER),
        ChannelConfig(name="full-orders", schema=ORDER, inbox=InboxConfig(messages=4, overflow="reject")),
        ChannelConfig(
            name="shed",
            inbox=InboxConfig(messages=6),
            pressure=[PressureConfig(at=0.5, shed_below=5, signal="scale-out"), PressureConfig(at=0.9, shed_below=8)],
        ),
        ChannelConfig(name="brake", inbox=InboxConfig(messages=996), pressure=[PressureConfig(at=0.02, slow=4.0)]),
        *small,
    )


def lone_node() -> Node:
    """Return a node of its own, not started yet."""
    return Node(node_config("a", channels=channels(), limits=LIMITS))


@pytest.fixture(params=["node", "client"])
async def held(request: pytest.FixtureRequest) -> AsyncIterator[Held]:
    """A lone node, held in each way."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(lone_node())
        yield Held(await stack.enter_async_context(holder(request.param, node)), node)


@pytest.fixture(params=["node-node", "client-client", "node-client", "client-node"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Two linked nodes, each held in some way."""
    async with AsyncExitStack() as stack:
        a, b = await stack.enter_async_context(mesh(2, channels=channels(), limits=LIMITS))
        here, there = request.param.split("-")
        yield Pair(
            await stack.enter_async_context(holder(here, a)), await stack.enter_async_context(holder(there, b)), a, b
        )
