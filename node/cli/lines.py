"""Lines of an input, as they come: whoever writes them may be slow, and there may never be another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from typing import Final

__all__ = ["read_lines"]

CHUNK_BYTES: Final = 64 * 1024

AHEAD: Final = 16
"""How many chunks are read before the first of them is taken."""


async def read_lines(descriptor: int) -> AsyncIterator[bytes]:
    """Yield the lines of a file without their ends, the last one also when it has none.

    They are read in a thread that nobody waits for: a program that ends need not have all of its input.

    Raises:
        OSError: the file cannot be read.
    """
    parts: list[bytes] = []
    async for chunk in _chunks(descriptor):
        end, *others = chunk.split(b"\n")
        parts.append(end)
        for part in others:
            yield b"".join(parts).rstrip(b"\r")
            parts = [part]
    if last := b"".join(parts):
        yield last.rstrip(b"\r")


async def _chunks(descriptor: int) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    read: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)

    def chunk() -> bytes | OSError:
        try:
            # Not by sys.stdin, whose lock the interpreter wants when it exits.
            return os.read(descriptor, CHUNK_BYTES)
        except OSError as error:
            return error

    def work() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while room.acquire():
                data = chunk()
                loop.call_soon_threadsafe(read.put_nowait, data)
                if not data or isinstance(data, OSError):
                    return

    threading.Thread(target=work, name="input", daemon=True).start()
    while data := await read.get():
        if isinstance(data, OSError):
            raise data
        room.release()
        yield data
