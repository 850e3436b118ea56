"""Nodes on a loop of their own in another thread, so that commands of this process can talk to them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node

from ...contracts.holders import eventually

T = TypeVar("T")


class LiveNodes:
    """Runs nodes in a thread until it is left; ``start`` adds one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._stack = AsyncExitStack()
        self._thread.start()

    def start(self, config: NodeConfig) -> Node:
        """Start a node and return it."""
        return asyncio.run_coroutine_threadsafe(self._stack.enter_async_context(Node(config)), self._loop).result(10)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something about the nodes holds."""
        asyncio.run_coroutine_threadsafe(eventually(condition), self._loop).result(10)

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        """Have the nodes do something, and return what came of it."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    def close(self) -> None:
        """Stop all of them."""
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextmanager
def live_nodes() -> Iterator[LiveNodes]:
    """Run nodes in a thread."""
    nodes = LiveNodes()
    try:
        yield nodes
    finally:
        nodes.close()


@contextmanager
def live_node() -> Iterator[str]:
    """Run a node with the channels ``t.>``; return the URL for its clients."""
    free: dict[str, Any] = {"listen": "127.0.0.1:0"}
    config = NodeConfig.model_validate({"name": "a", "client": free, "http": free, "channels": [{"name": "t.>"}]})
    with live_nodes() as nodes:
        yield f"liminal://{nodes.start(config).addresses['client']}"
