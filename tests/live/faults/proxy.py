"""A TCP proxy in front of a node, with faults.

It resets connections, swallows one direction or both while they stay open, goes away and comes back, and is slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["Proxy"]

HELD_CHUNKS = 1024
"""What may wait in a slow proxy, in reads, before it stops reading."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: on, no time: the close is a reset."""


class Proxy:
    """Forwards every connection to ``target``, which may be set later; without one it refuses.

    Attributes:
        inbound: set while bytes towards the target pass.
        outbound: set while bytes from the target pass.
        connected: connections that were forwarded so far.
        latency: gives the seconds for which bytes that arrive now are held back; None: none.
    """

    def __init__(self) -> None:
        self.target: tuple[str, int] | None = None
        self.inbound = asyncio.Event()
        self.outbound = asyncio.Event()
        self.connected = 0
        self.latency: Callable[[], float] | None = None
        self._inbound_bytes = 0
        self._moved = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self.heal()

    async def __aenter__(self) -> Self:
        await self.enable()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self.disable()
        async with asyncio.timeout(10):
            await self._idle.wait()

    @property
    def address(self) -> str:
        """Where it listens, or did before it was disabled."""
        assert self._port, "was never enabled"
        return f"127.0.0.1:{self._port}"

    async def enable(self) -> None:
        """Listen; after :meth:`disable` where it did before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def disable(self) -> None:
        """End every connection, and refuse new ones: what a process behind a port looks like when it is gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    def point(self, address: str) -> None:
        """Forward to ``address`` from now on."""
        host, _, port = address.rpartition(":")
        self.target = (host, int(port))

    def reset(self) -> int:
        """Reset every connection, on both sides; returns how many ends that were."""
        writers = tuple(self._writers)
        for writer in writers:
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # closed already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        return len(writers)

    async def connection(self, number: int) -> None:
        """Wait for the connection of that number, from 1 on."""
        while self.connected < number:
            self._moved.clear()
            await self._moved.wait()

    async def carried(self, more: int) -> None:
        """Wait until so many bytes more have gone to the target."""
        until = self._inbound_bytes + more
        while self._inbound_bytes < until:
            self._moved.clear()
            await self._moved.wait()

    def swallow(self, *, inbound: bool = True, outbound: bool = True) -> None:
        """Let no more bytes through; connections stay open, and new ones are taken and lead nowhere."""
        if inbound:
            self.inbound.clear()
        if outbound:
            self.outbound.clear()

    def heal(self) -> None:
        """Let everything through again."""
        self.inbound.set()
        self.outbound.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._idle.clear()
        far: asyncio.StreamWriter | None = None
        try:
            assert self.target is not None, "pointed nowhere"
            far_reader, far = await asyncio.open_connection(*self.target)
            self._writers.add(far)
            if self._server is None:
                raise ConnectionResetError("accepted just before the proxy was disabled")
            self.connected += 1
            self._moved.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, far, self.inbound))
                tasks.create_task(self._pass(far_reader, writer, self.outbound))
        except* (OSError, AssertionError):
            pass  # the other side is told by the end of its connection
        finally:
            for one in (writer, far):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()
            if not self._writers:
                self._idle.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD_CHUNKS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deliver(late, writer, gate))
            due = 0.0
            while data := await reader.read(1 << 16):
                # What arrives later is not delivered sooner.
                due = max(due, loop.time() + (self.latency() if self.latency is not None else 0.0))
                await late.put((due, data))
            await late.join()  # what was sent before the end comes before the end
            raise ConnectionResetError("the end: the other direction ends with it")

    async def _deliver(
        self, late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await late.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            await gate.wait()
            writer.write(data)
            if gate is self.inbound:
                self._inbound_bytes += len(data)
                self._moved.set()
            await writer.drain()
            late.task_done()
