"""The one owner of partial input: bytes in, whole frames out.

The length of a frame is checked as soon as its four bytes are there, so that nobody can make us keep more
than ``limit`` bytes by promising a large frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .codec import HEADER_BYTES
from .errors import ProtocolError

__all__ = ["FrameBuffer"]


class FrameBuffer:
    """Cuts a stream of bytes into frames.

    Args:
        limit: the most bytes a frame may have after its length, until :meth:`let_in`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._setting = "limits.preauth_frame"
        self._pending = bytearray()

    def __len__(self) -> int:
        """Return how many bytes wait for the rest of their frame."""
        return len(self._pending)

    def let_in(self, limit: int) -> None:
        """Take frames up to this limit from the next one on: it is known who sends them."""
        self._limit, self._setting = limit, "limits.max_frame"

    def feed(self, data: bytes) -> Iterator[tuple[int, memoryview]]:
        """Yield the type and the body of each frame that ``data`` completes.

        Must be read to its end, unless the connection is given up. A body is valid until the next frame is asked for.

        Raises:
            ProtocolError: a frame is empty, or longer than the limit.
        """
        if self._pending:
            self._pending += data
            if not self._complete():
                return
            data = bytes(self._pending)
            self._pending.clear()
        view, start, end = memoryview(data), 0, len(data)
        while end - start >= HEADER_BYTES - 1:
            size = int.from_bytes(view[start : start + 4], "big")
            self._check(size)
            stop = start + 4 + size
            if stop > end:
                break
            yield view[start + 4], view[start + HEADER_BYTES : stop]
            start = stop
        self._pending += view[start:]

    def _complete(self) -> bool:
        """Whether the first pending frame is whole, so that one in many pieces is put together once."""
        if len(self._pending) < HEADER_BYTES - 1:
            return False
        size = int.from_bytes(self._pending[:4], "big")
        self._check(size)
        return len(self._pending) >= 4 + size

    def _check(self, size: int) -> None:
        if size == 0:
            raise ProtocolError("an empty frame")
        if size > self._limit:
            other = _other_protocol(size.to_bytes(4, "big"))
            says = f": the other side speaks {other}" if other else ""
            raise ProtocolError(f"a frame of {size} bytes, where {self._limit} are allowed ({self._setting}){says}")


_HTTP: Final = {b"HTTP", b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"PRI "}
"""How requests and answers begin."""


def _other_protocol(start: bytes) -> str:
    """Return what begins with these four bytes, if it is what comes to a wrong port; else ""."""
    if start in _HTTP:
        return "HTTP"
    return "TLS" if start.startswith(b"\x16\x03") else ""
