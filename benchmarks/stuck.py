"""``python -m benchmarks.stuck``: what a consumer that reads nothing costs the node, and the others.

A client publishes 100 MB/s through one node to two consumers. One of them is the same all the time; the other reads for
a while, then not at all for a minute while its keepalives go on, then again. The node's memory is sampled throughout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from liminal_mesh.cluster import CLIENT_CODEC, Address, Connect, KeepAlive, Subscribe, parse_address
from liminal_mesh.node import (
    Busy,
    ChannelConfig,
    ClientConfig,
    Gap,
    HttpConfig,
    LimitsConfig,
    Node,
    NodeConfig,
    connect,
)

from .report import environment
from .roles import Role, loop_run, now, roles, say

__all__ = ["GROWTH_BYTES_MAX", "SHARE_MIN", "Stuck", "measure"]

CHANNEL = "load"
BODY = bytes(64 << 10)
LOAD_BYTES = 100_000_000
"""What is published, in bytes a second."""

GROWTH_BYTES_MAX = 64 << 20
"""What the node may take at most beside what it has with its clients connected and nothing published."""

SHARE_MIN = 0.7
"""What the others must get with a stuck consumer beside them, of what they get with one that reads."""

READING_S, STUCK_S = 20.0, 60.0
SETTLE_S = 0.5
"""What passes between two phases, and counts for neither: buffers fill, and drain."""

SAMPLE_S = 0.02
TELL_S = 0.1
TURN_S = 0.002
KEEPALIVE_S = 10.0
IN_FLIGHT_MAX = 1_000_000


@dataclass(frozen=True)
class Stuck:
    """One measurement. Bytes a second are those of bodies that the other consumer got.

    Attributes:
        base_bytes: the node's memory with its clients connected, before anything was published.
        most_bytes: the most that it had.
        most_reading_bytes: the same, as long as both consumers read.
        reading: what the other one got while both read, before and after.
        stuck: what it got while its neighbour was stuck.
        offered: what the publisher handed over meanwhile.
        missed: messages that the other one was told of as lost while its neighbour was stuck.
        cpu_s: seconds of CPU of the node while the neighbour was stuck, for each second.
    """

    base_bytes: int
    most_bytes: int
    most_reading_bytes: int
    reading: tuple[float, float]
    stuck: float
    offered: float
    missed: int
    cpu_s: float

    @property
    def growth_bytes(self) -> int:
        """What the node took beside its base."""
        return self.most_bytes - self.base_bytes

    @property
    def share(self) -> float:
        """What the other one got with a stuck neighbour, of what it got with one that reads."""
        return self.stuck / (sum(self.reading) / 2)


async def measure(reading_s: float = READING_S, stuck_s: float = STUCK_S) -> Stuck:
    """Let the consumer read, be stuck for so many seconds, and read again."""
    async with roles() as processes:
        part = "benchmarks.stuck"
        node = await processes.python(part, "node")
        address = (await node.line())["client"]
        slow = await processes.python(part, "slow", address)
        other = await processes.python(part, "other", address)
        await slow.line()
        await other.line()
        base = _resident_bytes(node)
        publisher = await processes.python(part, "publisher", address)
        await publisher.line()
        await other.line()
        async with _Watch(node, other, publisher) as watch:
            await asyncio.sleep(SETTLE_S)
            before, _ = await watch.phase(reading_s)
            most_reading = watch.most_bytes
            slow.process.send_signal(signal.SIGUSR1)
            await asyncio.sleep(SETTLE_S)
            cpu = node.cpu
            stuck, rest = await watch.phase(stuck_s)
            cpu = (node.cpu - cpu) / stuck_s
            slow.process.send_signal(signal.SIGUSR1)
            await asyncio.sleep(SETTLE_S)
            after, _ = await watch.phase(reading_s)
            return Stuck(base, watch.most_bytes, most_reading, (before, after), stuck, *rest, cpu)


class _Watch:
    """Follows what the parts say, and the node's memory."""

    def __init__(self, node: Role, other: Role, publisher: Role) -> None:
        self.most_bytes = 0
        self._node = node
        self._got: dict[str, int] = {"bytes": 0, "missed": 0}
        self._sent: dict[str, int] = {"sent": 0}
        self._parts = ((other, self._got), (publisher, self._sent))
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> _Watch:
        self._tasks = [asyncio.create_task(self._follow(role, facts)) for role, facts in self._parts]
        self._tasks.append(asyncio.create_task(self._sample()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def phase(self, seconds: float) -> tuple[float, tuple[float, int]]:
        """Return what the other consumer got each second, what was published, and how many it missed."""
        start, got, sent, missed = now(), self._got["bytes"], self._sent["sent"], self._got["missed"]
        done, _ = await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        took = now() - start
        offered = (self._sent["sent"] - sent) / took
        return (self._got["bytes"] - got) / took, (offered, self._got["missed"] - missed)

    async def _follow(self, role: Role, facts: dict[str, int]) -> None:
        while True:
            facts.update(await role.line())

    async def _sample(self) -> None:
        while True:
            self.most_bytes = max(self.most_bytes, _resident_bytes(self._node))
            await asyncio.sleep(SAMPLE_S)


def _resident_bytes(role: Role) -> int:
    pages = Path(f"/proc/{role.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# --- the parts ---


async def _node() -> None:
    """A node as it comes, but that it does not part with who leaves its bytes unread: it bears with it to the end."""
    config = NodeConfig(
        name="stuck",
        client=ClientConfig(listen="127.0.0.1:0"),
        http=HttpConfig(listen="127.0.0.1:0"),
        channels=[ChannelConfig(name=CHANNEL)],
        limits=LimitsConfig(write_deadline=3600.0),
    )
    async with Node(config) as node:
        say(client=str(node.addresses["client"]))
        await asyncio.Event().wait()


async def _publisher(address: str) -> None:
    """Publish so many bytes a second, as far as the node takes them."""
    sent, told = 0, 0.0
    async with connect(f"liminal://{address}") as client:
        start = now()
        while True:
            due = int((now() - start) * LOAD_BYTES)
            while sent + len(BODY) <= due:
                try:
                    client.publish_nowait(CHANNEL, BODY)
                except Busy:
                    await client.writable(CHANNEL)
                    due, start = sent, now() - sent / LOAD_BYTES  # what there was no room for is not made up for
                else:
                    sent += len(BODY)
            if now() > told + TELL_S:
                told = now()
                say(sent=sent)
            await asyncio.sleep(TURN_S)


async def _other(address: str) -> None:
    """Read, and count."""
    got = missed = 0
    told = 0.0
    async with connect(f"liminal://{address}") as client, client.subscribe(CHANNEL) as items:
        say()
        async for item in items:
            if isinstance(item, Gap):
                missed += item.count
            else:
                got += len(item.body)
            if now() > told + TELL_S:
                told = now()
                say(bytes=got, missed=missed)


async def _slow(address: str) -> None:
    """Read what comes and drop it; SIGUSR1 stops that, and begins it again. No credit is needed for so long."""
    loop, reading = asyncio.get_running_loop(), asyncio.Event()
    reading.set()
    loop.add_signal_handler(signal.SIGUSR1, lambda: reading.clear() if reading.is_set() else reading.set())
    async with _socket(parse_address(address)) as sock:
        hello = [Connect(1, 1, "slow"), Subscribe(1, 1, CHANNEL, IN_FLIGHT_MAX, "", 0)]
        await loop.sock_sendall(sock, b"".join(map(CLIENT_CODEC.encode, hello)))
        buffer = bytearray(1 << 18)
        await loop.sock_recv_into(sock, buffer)
        say()
        keeping = loop.create_task(_keep(sock))
        while not keeping.done():
            await reading.wait()
            if not await loop.sock_recv_into(sock, buffer):
                sys.exit("the node has closed")
        keeping.result()


async def _keep(sock: socket.socket) -> None:
    for number in itertools.count(1):
        await asyncio.get_running_loop().sock_sendall(sock, CLIENT_CODEC.encode(KeepAlive(number)))
        await asyncio.sleep(KEEPALIVE_S)


@contextlib.asynccontextmanager
async def _socket(address: Address) -> AsyncIterator[socket.socket]:
    with socket.create_connection(address) as sock:
        sock.setblocking(False)
        yield sock


# --- the command ---


def main(words: Sequence[str]) -> int:
    """Measure, print, and return 1 if a bound was passed and ``--strict`` was given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stuck", description=__doc__)
    parser.add_argument("--reading", type=float, default=READING_S, metavar="S", help="seconds before, and after")
    parser.add_argument("--stuck", type=float, default=STUCK_S, metavar="S", help="seconds without reading")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="fail if a bound is passed")
    options = parser.parse_args(words)
    found = asyncio.run(measure(options.reading, options.stuck))
    about = environment(1)
    if options.json:
        facts = {**asdict(found), "growth_bytes": found.growth_bytes, "share": found.share}
        print(json.dumps({**about, **facts}, indent=2))
    else:
        print("\n".join([*_rows(found), "", *(f"{name}: {fact}" for name, fact in about.items())]))
    missed = found.growth_bytes > GROWTH_BYTES_MAX or found.share < SHARE_MIN
    return 1 if options.strict and missed else 0


def _rows(found: Stuck) -> list[str]:
    mebibyte, megabyte = 1 << 20, 1e6
    grown = found.growth_bytes > GROWTH_BYTES_MAX
    return [
        f"memory of the node over its base   {found.growth_bytes / mebibyte:8.1f} MiB   "
        f"aim at most {GROWTH_BYTES_MAX / mebibyte:g} MiB{', missed' if grown else ''}",
        f"    base {found.base_bytes / mebibyte:.1f} MiB; while both read "
        f"{(found.most_reading_bytes - found.base_bytes) / mebibyte:.1f} MiB over it",
        f"the other consumer's share         {found.share:8.2f} x     "
        f"aim at least {SHARE_MIN:g} x{', missed' if found.share < SHARE_MIN else ''}",
        f"    {found.stuck / megabyte:.1f} MB/s of {found.offered / megabyte:.1f} MB/s that were published, "
        f"{found.missed} messages told as lost; {found.reading[0] / megabyte:.1f} MB/s before and "
        f"{found.reading[1] / megabyte:.1f} MB/s after; CPU of the node {found.cpu_s:.2f} s a second",
    ]


PARTS = {"publisher": _publisher, "other": _other, "slow": _slow}

if __name__ == "__main__":
    role, *where = sys.argv[1:] or [""]
    if role == "node":
        loop_run(_node())
    elif role in PARTS:
        loop_run(PARTS[role](*where))
    else:
        sys.exit(main(sys.argv[1:]))
