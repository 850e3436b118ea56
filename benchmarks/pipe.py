"""The pipe: two processes and nothing but the cost of a message in Python, as the ceiling for everything else.

One process sends length-prefixed msgpack frames, written once per turn of the loop; the other cuts and decodes them
with msgpack's C unpacker (the length is written as a msgpack number, so that no Python code runs per frame), counts
them and drops them.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import cast

import msgpack

from .result import BODY_BYTES, Result, measured, spent
from .roles import free_ports, loop_run, now, roles, say

__all__ = ["run"]

TURN = 256
_LENGTH = struct.Struct(">BI")
_UINT32 = 0xCE


async def run(messages: int) -> Result:
    """Send ``messages`` through the pipe; from the first call until the last one is counted."""
    (port,) = free_ports(1)
    async with roles() as processes:
        reader = await processes.python("benchmarks.pipe", "reader", port, messages)
        await reader.line()
        writer = await processes.python("benchmarks.pipe", "writer", port, messages)
        start, before = (await writer.line())["start"], processes.cpu()
        end = (await reader.line())["end"]
        return measured("pipe", messages, start, end, spent(before, processes.cpu(), messages))


class _Reader(asyncio.Protocol):
    def __init__(self, messages: int, done: asyncio.Future[float]) -> None:
        self._awaited = 2 * messages
        self._done = done
        self._unpacker = msgpack.Unpacker(max_buffer_size=64 * 1024 * 1024)

    def data_received(self, data: bytes) -> None:
        self._unpacker.feed(data)
        self._awaited -= sum(1 for _ in self._unpacker)
        if self._awaited == 0:
            self._done.set_result(now())


class _Writer(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._pack = msgpack.Packer().pack
        self.room = asyncio.Event()
        self.room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def send(self, number: int, channel: str, body: bytes) -> None:
        frame = self._pack((number, channel, body))
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(_LENGTH.pack(_UINT32, len(frame)))
        self._pending.append(frame)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._pending))
        self._pending.clear()


async def _read(port: int, messages: int) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[float] = loop.create_future()
    server = await loop.create_server(lambda: _Reader(messages, done), "127.0.0.1", port)
    say(ready=True)
    say(end=await done)
    server.close()


async def _write(port: int, messages: int) -> None:
    _, writer = await asyncio.get_running_loop().create_connection(_Writer, "127.0.0.1", port)
    body = bytes(BODY_BYTES)
    say(start=now())
    for number in range(messages):
        writer.send(number, "bench.pipe", body)
        if number % TURN == 0:
            await asyncio.sleep(0)
            await writer.room.wait()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    role, port, messages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    loop_run(_read(port, messages) if role == "reader" else _write(port, messages))
