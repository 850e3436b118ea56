"""Real nodes in one process, on free ports of loopback, for whatever is tested with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node

DEADLINE_S = 10.0
"""How long anything may take that should take milliseconds."""

CHANNELS = ("ticks", "m.*")


def node_config(
    name: str, seeds: Iterable[str] = (), *, cluster: dict[str, Any] | None = None, **more: Any
) -> NodeConfig:
    """Return the configuration of a node with free ports and the channels ``ticks`` and ``m.*``.

    ``cluster`` adds keys to that section; ``more`` sets others.
    """
    free = {"listen": "127.0.0.1:0"}
    section = {**free, "seeds": list(seeds), **(cluster or {})}
    channels = [{"name": channel} for channel in CHANNELS]
    return NodeConfig(**{"name": name, "client": free, "http": free, "cluster": section, "channels": channels, **more})


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    """Return the lines of an event that were logged so far."""
    return [record for record in caplog.records if record.__dict__.get("fields", {}).get("event") == event]


async def until(node: Node, condition: Callable[[], bool]) -> None:
    """Wait until a condition on what a node knows of the mesh holds."""
    met = await node.running.hub.until(condition, asyncio.get_running_loop().time() + DEADLINE_S)
    assert met, f"node {node.name} waited {DEADLINE_S} s in vain"


async def linked(nodes: Sequence[Node]) -> None:
    """Wait until each of the nodes is linked with all others, and knows their groups."""
    for node in nodes:
        mesh, registry = node.running.hub.mesh, node.running.registry
        assert mesh is not None
        others = {other.name for other in nodes} - {node.name}
        await until(node, lambda: others <= set(mesh.links) and not registry.unsynced(0))  # noqa: B023 - awaited here


@asynccontextmanager
async def mesh(count: int, **more: Any) -> AsyncIterator[tuple[Node, ...]]:
    """Run nodes ``a``, ``b``, ... that are all linked; all but the first have it as their seed."""
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for name in "abcdefgh"[:count]:
            seeds = [str(nodes[0].addresses["mesh"])] if nodes else []
            nodes.append(await stack.enter_async_context(Node(node_config(name, seeds, **more))))
        await linked(nodes)
        yield tuple(nodes)
