"""A connection in memory that behaves as one of TCP does, on the loop's own clock.

Bytes arrive in order, after a while, in chunks of no meaning. What the other side does not read fills a window, and
then the writer's buffer. A close is heard after what was written before it; a reset breaks both ends. What travels
while the way is cut is lost and sent again by the kernel: it is held, and arrives after the way was healed.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from .identity import Address

__all__ = ["Flow", "PipeTransport", "Way"]

WINDOW_BYTES: Final = 256 * 1024
"""What one direction holds outside of the programs: the buffers of both kernels."""

READ_BYTES: Final = 64 * 1024
"""The largest chunk that a protocol gets."""

HIGH_WATER_BYTES: Final = 64 * 1024
"""What a transport buffers by default before it pauses its protocol."""


class _End(Enum):
    FIN = "the other side closed"
    RESET = "the other side is gone"


class Way(Protocol):
    """The way from one host to another, as a flow sees it."""

    @property
    def cut(self) -> bool:
        """Whether nothing gets through."""

    def latency(self) -> float:
        """Return how long the next thing travels, in seconds."""


class Flow:
    """One direction of a connection: what is on its way, in the order in which it was sent.

    Args:
        loop: whose clock it is.
        way: from the sender to the receiver.
        back: the way of the acknowledgements.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, way: Way, back: Way) -> None:
        self._loop = loop
        self._way = way
        self._back = back
        self._moving: deque[tuple[float, bytes | _End]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._read = 0
        self._window = WINDOW_BYTES
        self.arrived: Callable[[bytes | _End], None] = lambda _item: None
        self.opened: Callable[[], None] = lambda: None

    @property
    def room(self) -> int:
        """How many bytes may be sent now."""
        return self._window

    def send(self, item: bytes | _End) -> None:
        """Put something on its way. It overtakes nothing: what is sent before it arrives before it."""
        if isinstance(item, bytes):
            self._window -= len(item)
        self._moving.append((self._loop.time() + self._way.latency(), item))
        self._schedule()

    def read(self, count: int) -> None:
        """The receiver has read so many bytes, and tells the sender as soon as the way back is open."""
        self._read += count
        self._acknowledge()

    def healed(self) -> None:
        """Some way was healed: what was held goes on."""
        self._acknowledge()
        if self._moving and self._timer is None and not self._way.cut:
            when = self._loop.time() + self._way.latency()
            self._timer = self._loop.call_at(when, self._arrive, when)

    def end(self) -> None:
        """Forget what is on its way."""
        self._moving.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._moving and self._timer is None and not self._way.cut:
            when = self._moving[0][0]
            self._timer = self._loop.call_at(when, self._arrive, when)

    def _arrive(self, when: float) -> None:
        self._timer = None
        while self._moving and self._moving[0][0] <= when and not self._way.cut:
            self.arrived(self._moving.popleft()[1])
        self._schedule()

    def _acknowledge(self) -> None:
        if self._read and not self._back.cut:
            self._window += self._read
            self._read = 0
            self._loop.call_soon(self.opened)


class PipeTransport(asyncio.Transport):
    """One end of a connection.

    Args:
        loop: runs its protocol.
        inward: what comes.
        outward: what goes.
        local: this end's address.
        remote: the other end's.
        gone: called once, when the program has heard of the end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        inward: Flow,
        outward: Flow,
        local: Address,
        remote: Address,
        gone: Callable[[], None],
    ) -> None:
        super().__init__({"sockname": tuple(local), "peername": tuple(remote)})
        self._loop = loop
        self._inward = inward
        self._outward = outward
        self._gone = gone
        self._protocol: asyncio.Protocol | None = None
        self._unread: deque[bytes | _End] = deque()
        self._buffer = bytearray()
        self._limits = (HIGH_WATER_BYTES // 4, HIGH_WATER_BYTES)
        self._reading = True
        self._writing = True
        self._eof = False
        self._fin_sent = False
        self._closing = False
        self._unheard = False
        self._broken = False
        self._finished = False
        self._over = False
        inward.arrived = self._arrived
        outward.opened = self._pump

    def start(self, protocol: asyncio.Protocol) -> None:
        """Give the end to a protocol; until then what comes waits."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._loop.call_soon(self._deliver)

    # --- reading ---

    def is_reading(self) -> bool:
        """Whether the protocol gets what comes."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Let what comes wait."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand it over again."""
        self._reading = True
        self._loop.call_soon(self._deliver)

    def _arrived(self, item: bytes | _End) -> None:
        if self._over:
            if isinstance(item, bytes):  # TCP answers bytes for a program that is gone with a reset
                self._outward.send(_End.RESET)
            return
        self._broken = self._broken or item is _End.RESET
        if self._closing:
            self._unheard = self._unheard or isinstance(item, bytes)
        else:
            self._unread.append(item)
        if self._broken and (self._closing or self._buffer):
            self._finish(_reset())
        self._deliver()

    def _deliver(self) -> None:
        while self._unread and self._protocol is not None and self.is_reading():
            item = self._unread.popleft()
            try:
                if isinstance(item, bytes):
                    self._inward.read(len(item))
                    self._protocol.data_received(item)
                elif item is _End.RESET:
                    self._finish(_reset())
                elif not self._protocol.eof_received():
                    self.close()
            except Exception as error:  # noqa: BLE001 - as every transport of asyncio does
                facts = {"message": "the protocol failed", "exception": error, "transport": self}
                self._loop.call_exception_handler({**facts, "protocol": self._protocol})
                self._break_off(error)

    # --- writing ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, or buffer them."""
        if self._eof:
            raise RuntimeError("nothing can be written after write_eof()")
        if self._closing or not data:
            return
        if self._broken:
            self._finish(_reset())
            return
        self._buffer += data
        self._pump()
        self._pause_if_full()

    def write_eof(self) -> None:
        """Say that nothing more will be written; what comes is still read."""
        if not self._eof and not self._closing:
            self._eof = True
            self._pump()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that the network has not taken."""
        return len(self._buffer)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which the protocol is resumed and paused."""
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}) must be >= 0")
        self._limits = (low, high)
        self._pause_if_full()

    def _pause_if_full(self) -> None:
        if self._writing and len(self._buffer) > self._limits[1]:
            self._writing = False
            assert self._protocol is not None
            self._protocol.pause_writing()

    def _pump(self) -> None:
        while self._buffer and self._outward.room > 0:
            size = min(len(self._buffer), self._outward.room, READ_BYTES)
            self._outward.send(bytes(self._buffer[:size]))
            del self._buffer[:size]
        if not self._writing and len(self._buffer) <= self._limits[0]:
            self._writing = True
            assert self._protocol is not None
            self._protocol.resume_writing()
        if (self._eof or self._closing) and not (self._buffer or self._fin_sent or self._finished):
            self._fin_sent = True
            # Who closes without having read all that came says so: TCP resets the connection.
            self._outward.send(_End.RESET if self._closing and self._unheard else _End.FIN)
        if self._closing and not self._buffer:
            self._finish(None)

    # --- the end ---

    def is_closing(self) -> bool:
        """Whether the program, or the network, has ended it."""
        return self._closing

    def close(self) -> None:
        """Write what is buffered, then end; nothing more is read."""
        if not self._closing:
            self._closing = True
            self._unheard = any(isinstance(item, bytes) for item in self._unread)
            self._pump()

    def abort(self) -> None:
        """End at once: what is buffered is dropped, and the other side sees a reset."""
        self._break_off(None)

    def _break_off(self, error: Exception | None) -> None:
        if not self._finished:
            self._outward.send(_End.RESET)
            self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        if not self._finished:
            self._finished = self._closing = True
            self._buffer.clear()
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self._over = True
        self._unread.clear()
        if self._protocol is not None:
            self._protocol.connection_lost(error)
        self._gone()


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
