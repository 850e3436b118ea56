"""A node on a loop of its own in another thread, so that commands of this process can talk to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node


@contextmanager
def live_node() -> Iterator[str]:
    """Run a node with the channels ``t.>``; return the URL for its clients."""
    ready = threading.Event()
    ended: list[asyncio.Event] = []
    loops: list[asyncio.AbstractEventLoop] = []
    url: list[str] = []

    async def run() -> None:
        ended.append(asyncio.Event())
        loops.append(asyncio.get_running_loop())
        free = {"listen": "127.0.0.1:0"}
        config = NodeConfig.model_validate({"name": "a", "client": free, "http": free, "channels": [{"name": "t.>"}]})
        async with Node(config) as node:
            url.append(f"liminal://{node.addresses['client']}")
            ready.set()
            await ended[0].wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert ready.wait(10)
        yield url[0]
    finally:
        loops[0].call_soon_threadsafe(ended[0].set)
        thread.join(10)
