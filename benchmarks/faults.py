"""What faults cost: a publisher whose peer is frozen, and a link that was cut and is made again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import struct
import sys
import time
from collections.abc import AsyncIterator

from liminal_mesh.node import Gap, Node

from .liminal_parts import CHANNEL, IN_FLIGHT, READY, config, reach
from .roles import loop_run, now, roles, say

__all__ = ["relink", "stopped_peer"]

PEERS = 3
PHASES = 3
PHASE_S = 1.5
"""Less than the silence after which a session ends: what is measured is a peer that is still linked."""
SETTLE_S = 0.7
TURN_S = 0.001
TURN_PUBLISHES = 5
FROZEN_BODY = bytes(4096)
"""5,000 of these a second fill half a lane of 8 MiB at once, and all of it soon: full lanes are measured too."""

RESETS = 5
RESET_EVERY_S = 0.4
STEADY_S = 0.001
LAST = b"last"


async def stopped_peer() -> tuple[float, dict[str, str]]:
    """Measure the p99 of an awaited publish while one of three peers is stopped, over that without."""
    async with roles() as processes:
        peers = [await processes.python("benchmarks.faults", "peer", "alone")]
        first = (await peers[0].line())["mesh"]
        for _ in range(1, PEERS):
            peers.append(await processes.python("benchmarks.faults", "peer", first))
            await peers[-1].line()
        publisher = await processes.python("benchmarks.faults", "publisher", first, peers[-1].process.pid)
        said = await publisher.line()
    plain, frozen = said["plain"], said["frozen"]
    facts = {name: f"p50 {run[0]:.1f} p99 {run[1]:.1f} us" for name, run in (("none stopped", plain), ("one", frozen))}
    return frozen[1] / plain[1], {**facts, "dropped for it": f"{said['dropped']:,}"}


async def relink() -> tuple[float, dict[str, str]]:
    """Measure the seconds from the reset of a link until both its ends are linked again; the median of some."""
    async with roles() as processes, _proxy() as to_one, _proxy() as to_two:
        one = await processes.python("benchmarks.faults", "linked", "one", "alone", "two", to_two.address)
        to_one.target = (await one.line())["mesh"]
        two = await processes.python("benchmarks.faults", "linked", "two", to_one.address, "one", to_one.address)
        to_two.target = (await two.line())["mesh"]
        await asyncio.gather(one.line(), two.line())
        took = []
        for _ in range(RESETS):
            await asyncio.sleep(RESET_EVERY_S)
            start = now()
            to_one.reset()
            to_two.reset()
            took.append(max(said["linked"] for said in await asyncio.gather(one.line(), two.line())) - start)
        one.process.send_signal(signal.SIGUSR1)
        counted = await two.line()
    facts = {
        "longest": f"{max(took):.3f} s",
        "published": f"{counted['published']:,}",
        "gaps": f"{counted['missed']:,}",
    }
    return statistics.median(took), facts


class _Proxy:
    """A listener that copies bytes to a target and back, until it resets everything."""

    def __init__(self) -> None:
        self.address = ""
        self.target = ""
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, ValueError):
            host, port = self.target.rsplit(":", 1)
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            self._writers.add(far_writer)
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        self._reset(writer)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        self._reset(writer)

    def reset(self) -> None:
        """Reset every connection, as a box that lost its state does."""
        for writer in tuple(self._writers):
            self._reset(writer)

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        if writer in self._writers:
            self._writers.discard(writer)
            # Closing a socket that lingers for no time sends a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


@contextlib.asynccontextmanager
async def _proxy() -> AsyncIterator[_Proxy]:
    proxy = _Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset()


# --- the parts ---


async def _peer(where: str) -> None:
    async with Node(config(where)) as node, node.subscribe(CHANNEL, max_in_flight=IN_FLIGHT, wait="cluster") as items:
        say(mesh=str(node.addresses["mesh"]))
        async for _ in items:
            pass


async def _publisher(where: str, pid: int) -> None:
    async with Node(config(where)) as node:
        mesh = node.running.hub.mesh
        assert mesh is not None
        while len(mesh.links) < PEERS or len((await node.publish(CHANNEL, b"", ack="nodes")).nodes) < PEERS:
            await asyncio.sleep(0.02)
        await _phase(node)
        plain: list[float] = []
        frozen: list[float] = []
        for _ in range(PHASES):
            plain += await _phase(node)
            os.kill(pid, signal.SIGSTOP)
            try:
                frozen += await _phase(node)
            finally:
                os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(SETTLE_S)
        dropped = sum(link.lane.dropped for link in mesh.links.values())
        assert len(mesh.links) == PEERS, "a link ended, which is another measurement"
        say(plain=_percentiles(plain), frozen=_percentiles(frozen), dropped=dropped)


async def _phase(node: Node) -> list[float]:
    """Publish steadily, and return how long each took, in microseconds."""
    took, clock = [], time.perf_counter
    end = clock() + PHASE_S
    while clock() < end:
        for _ in range(TURN_PUBLISHES):
            start = clock()
            await node.publish(CHANNEL, FROZEN_BODY)
            took.append((clock() - start) * 1e6)
        await asyncio.sleep(TURN_S)
    return took


def _percentiles(took: list[float]) -> tuple[float, float]:
    hundred = statistics.quantiles(took, n=100)
    return hundred[49], hundred[98]


async def _linked(name: str, where: str, other: str, address: str) -> None:
    """A node behind a proxy, which says whenever it has a new link; ``one`` publishes, and ``two`` counts."""
    async with Node(config(where, name, overrides={other: address})) as node, asyncio.TaskGroup() as tasks:
        say(mesh=str(node.addresses["mesh"]))
        tasks.create_task(_watch(node, other))
        tasks.create_task(_steady(node) if name == "one" else _account(node))


async def _watch(node: Node, other: str) -> None:
    mesh, former = node.running.hub.mesh, None
    assert mesh is not None
    while True:
        link = mesh.links.get(other)
        if link is not None and link is not former:
            former = link
            say(linked=now())
        await asyncio.sleep(STEADY_S)


async def _steady(node: Node) -> None:
    """Publish all the time, and one last message when told to."""
    last = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, last.set)
    await reach(node)
    while not last.is_set():
        node.publish_nowait(CHANNEL, b"steady")
        await asyncio.sleep(STEADY_S)
    node.publish_nowait(CHANNEL, LAST)


async def _account(node: Node) -> None:
    """Count what comes; what is missing must have been told as gaps."""
    got = missed = 0
    async with node.subscribe(CHANNEL, max_in_flight=IN_FLIGHT) as items, node.subscribe(READY, wait="cluster"):
        async for item in items:
            if isinstance(item, Gap):
                missed += item.count
                continue
            got += 1
            if item.body == LAST:
                assert got + missed == item.sequence, f"{got} + {missed} in gaps, of {item.sequence}"
                say(published=item.sequence, missed=missed)


if __name__ == "__main__":
    role, place, *rest = sys.argv[1:]
    if role == "peer":
        loop_run(_peer(place))
    elif role == "publisher":
        loop_run(_publisher(place, int(rest[0])))
    else:
        loop_run(_linked(place, *rest))
