"""One TCP connection that carries frames: the shell around a buffer, with one door for writing.

Writes are collected and go out once per turn of the loop, control before data, as one ``write`` of up to
256 KiB (joined: ``writelines`` never pauses on some versions of Python, CVE-2024-12254). Data is pulled from its
owner only while the transport takes it, so that what waits, waits where it is bounded.

Frames that came in one read are handed on in one turn of the loop, unless that takes long, or what they bring about is
much to write: then the others have a turn first, and nothing more is read until the rest was handed on. A read may hold
thirty thousand frames, and some of them cost a thousand times what they weigh.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol, cast

from .buffer import FrameBuffer
from .errors import ProtocolError

__all__ = ["Wire", "WireOwner"]

WRITE_BYTES: Final = 256 * 1024
HIGH_WATER_BYTES: Final = 64 * 1024
CLOSE_S: Final = 2.0
"""How long a closed connection may take to hand its last bytes to the kernel."""

TURN_S: Final = 0.005
"""How long one connection's frames may take in one turn of the loop."""

CONTROL_BYTES_MAX: Final = 8 * 1024 * 1024
"""Control behind more than this that the transport has not got rid of means that the other side is gone."""


class WireOwner(Protocol):
    """Who gets what happens on a wire. All calls come from the loop, and must not block."""

    def wire_opened(self, wire: Wire) -> None:
        """The connection stands."""

    def wire_frame(self, wire: Wire, kind: int, body: memoryview) -> None:
        """A whole frame arrived; a ProtocolError raised here is handed to ``wire_broken``."""

    def wire_heard(self, wire: Wire) -> None:
        """Some bytes arrived; comes before the frames in them."""

    def wire_broken(self, wire: Wire, error: ProtocolError) -> None:
        """The other side broke the protocol; nothing more is read."""

    def wire_closed(self, wire: Wire, reason: str) -> None:
        """The connection is gone; comes once."""

    def wire_paused(self, wire: Wire) -> None:
        """The other side does not take what is written, for now."""

    def wire_pull(self, wire: Wire, bytes_max: int) -> list[bytes]:
        """Return data frames to write now, [] when there are none."""


class _Watch:
    """Somebody who waits for bytes to be written."""

    __slots__ = ("callback", "over", "taken")

    def __init__(self, taken: Callable[[], bool], callback: Callable[[], None]) -> None:
        self.taken = taken
        self.callback = callback
        self.over = False
        """Whether what is waited for was taken from the owner."""


class Wire(asyncio.Protocol):
    """A connection of frames.

    Args:
        loop: the running loop.
        owner: gets the events.
        limit: the largest frame at first; see :attr:`FrameBuffer.limit`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: WireOwner, limit: int) -> None:
        self._loop = loop
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._control: list[bytes] = []
        self._control_bytes = 0
        self._scheduled = False
        self._paused = False
        self._closing = ""
        self._reason = "closed by the other side"
        self._grace: asyncio.TimerHandle | None = None
        self._watches: list[_Watch] = []
        self.buffer = FrameBuffer(limit)
        self.blocked_since: float | None = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.late_frames = 0
        """Frames that were read after this side had closed the connection, and were let go."""
        self._deaf = False
        self._frames: Iterator[tuple[int, memoryview]] | None = None
        """What was read and is not handed on yet."""
        self._resting = False
        """Whether reading rests until it is."""
        self._held = False
        """Whether reading rests because the owner says so."""
        self._lost = False
        self.peer_address = ""
        self.silent = False
        """Whether the connection ended without a word of the other side or of its kernel."""
        self.tag = 0
        """A number of the owner's choice."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (called by the loop)."""
        stream = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        self._transport = stream
        stream.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        peer = stream.get_extra_info("peername")
        self.peer_address = f"{peer[0]}:{peer[1]}" if peer else ""
        sock = stream.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._owner.wire_opened(self)

    @property
    def peer_host(self) -> str:
        """The address of the machine at the other end."""
        return self.peer_address.rpartition(":")[0]

    def hand_over(self, owner: WireOwner, tag: int) -> None:
        """Let somebody else have what happens from here on."""
        self._owner, self.tag = owner, tag

    def detach(self) -> socket.socket:
        """Give the connection away as a socket; this wire ends, and the connection does not."""
        assert self._transport is not None, "a frame has just come"
        sock = socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))
        sock.setblocking(False)
        self.abort("handed over")
        return sock

    def user_timeout(self, seconds: float) -> None:
        """Let the kernel give up on bytes that nobody acknowledged for so long (TCP_USER_TIMEOUT, RFC 5482)."""
        sock = self._transport.get_extra_info("socket") if self._transport else None
        if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            with contextlib.suppress(OSError):  # a socket that is gone already is reported by its end
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))

    def data_received(self, data: bytes) -> None:
        """Cut bytes into frames (called by the loop)."""
        if self._deaf:
            return
        if not self._closing:
            self.bytes_in += len(data)
        self._frames = self.buffer.feed(data)
        self._hand_on()

    def _hand_on(self) -> None:
        """Hand on what was read, as much of it as one turn of the loop may take; the rest has the next turn."""
        assert self._frames is not None
        done = True
        try:
            done = self._hand_on_some(self._frames)
        except ProtocolError as error:
            self._deaf = True  # where the next frame begins is not known any more
            if not self._closing:
                self._owner.wire_broken(self, error)
        except BaseException:
            self.abort("a frame met a defect")
            raise
        finally:
            if done:
                self._frames = None
                if self._lost:
                    self._tell_end()
        if self._resting is done:
            self._resting = not done
            self._set_reading()
        if not done:
            self._loop.call_soon(self._hand_on)

    def _hand_on_some(self, frames: Iterator[tuple[int, memoryview]]) -> bool:
        """Hand on frames until this turn has seen enough of them; return whether that was all."""
        if not self._closing:
            self._owner.wire_heard(self)
        until = self._loop.time() + TURN_S
        for kind, body in frames:
            if self._closing:
                self.late_frames += 1
                continue
            self._owner.wire_frame(self, kind, body)
            if self._control_bytes > WRITE_BYTES or self._loop.time() > until:
                return False
        return True

    def send(self, frame: bytes) -> None:
        """Queue a control frame for the end of this turn."""
        self._control.append(frame)
        self._control_bytes += len(frame)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def wake(self) -> None:
        """Say that there is data to pull."""
        if not self._scheduled and not self._paused:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def pause_reading(self) -> None:
        """Read no more for now, so that the other side feels it."""
        self._held = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._held = False
        self._set_reading()

    def _set_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._held or self._resting:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    @property
    def paused(self) -> bool:
        """Whether the transport takes no more data for now."""
        return self._paused

    @property
    def queued_bytes(self) -> int:
        """Control and bytes in the transport that the kernel has not taken."""
        buffered = self._transport.get_write_buffer_size() if self._transport else 0
        return self._control_bytes + buffered

    def _flush(self) -> None:
        self._scheduled = False
        transport = self._transport
        parts, self._control, self._control_bytes = self._control, [], 0
        if transport is None or transport.is_closing():
            return
        if parts and not self._closing and transport.get_write_buffer_size() > CONTROL_BYTES_MAX:
            self.abort("the other side does not read")
            return
        if not self._paused and not self._closing:
            data = self._owner.wire_pull(self, WRITE_BYTES)
            if data:
                parts += data
                self.wake()
        if parts:
            block = parts[0] if len(parts) == 1 else b"".join(parts)
            self.bytes_out += len(block)
            transport.write(block)
        if self._closing:
            transport.close()
            self._grace = self._loop.call_later(CLOSE_S, self.abort, self._reason)
        elif self._watches:
            self._look(transport)

    def when_written(self, taken: Callable[[], bool], callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, once, when the system has everything that was sent by the moment at which ``taken`` held.

        Args:
            taken: whether all data that is meant was pulled from the owner; looked at after each write.
            callback: called then, or when the connection ends before that.

        Returns:
            What ends the wait.
        """
        watch = _Watch(taken, callback)
        self._watches.append(watch)
        if not self._scheduled:  # also while the transport is full: all of it may be in there
            self._scheduled = True
            self._loop.call_soon(self._flush)
        return partial(self._forget, watch)

    def _forget(self, watch: _Watch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)
            if not self._watches and self._transport is not None:
                self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def _look(self, transport: asyncio.Transport) -> None:
        """Tell those whose bytes the system has. Until it has, the transport says only when it is empty."""
        for watch in self._watches:
            watch.over = watch.over or watch.taken()
        written = [watch for watch in self._watches if watch.over]
        if not written or self._control:
            return
        if transport.get_write_buffer_size():
            transport.set_write_buffer_limits(high=0)
            return
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._watches = [watch for watch in self._watches if not watch.over]
        for watch in written:
            watch.callback()

    def pause_writing(self) -> None:
        """The transport is full (called by the loop)."""
        self._paused = True
        self.blocked_since = self._loop.time()
        self._owner.wire_paused(self)

    def resume_writing(self) -> None:
        """The transport has room again (called by the loop)."""
        self._paused = False
        self.blocked_since = None
        self.wake()
        if self._watches and self._transport is not None:
            self._look(self._transport)

    def close(self, reason: str) -> None:
        """Write what was sent so far, then close; nothing more is read."""
        if not self._closing:
            self._closing = self._reason = reason
            if not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._flush)

    def abort(self, reason: str) -> None:
        """Close at once, dropping what waits."""
        if self._transport is not None:
            self._closing = self._reason = reason
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Report the end (called by the loop)."""
        self._transport = None
        self._control.clear()
        if self._grace is not None:
            self._grace.cancel()
        self.silent = bool(self._closing) or (error is not None and not isinstance(error, ConnectionError))
        if error is not None and not self._closing:
            text = error.strerror if isinstance(error, OSError) else None
            self._reason = text or str(error) or type(error).__name__
        self._lost = True
        if self._frames is None:  # else what was read before is looked at first
            self._tell_end()

    def _tell_end(self) -> None:
        self._owner.wire_closed(self, self._reason)
        watches, self._watches = self._watches, []
        for watch in watches:
            watch.callback()
