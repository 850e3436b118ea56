"""Dials an address to learn whether we and whoever is there would be one mesh, and changes nothing there.

The listener's answer to a Hello tells who it is and proves that it holds the cookie, before we have proved anything.
The connection ends there, so that no session is made and nobody's name is challenged.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from .buffer import FrameBuffer
from .codec import LINK_CODEC
from .errors import ProtocolError
from .frames import Hello, LinkFrame
from .handshake import NO_FACTS, Handshake
from .identity import Address
from .network import Network

__all__ = ["Trial", "connect_failure", "try_address"]

_ANSWER_MAX: Final = 4096
"""The largest frame that a stranger may say."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a dial ended: ``code`` is ``agreed``, or as in :class:`.dialing.Attempt`; ``peer`` is who answered."""

    code: str
    detail: str = ""
    peer: Hello | None = None


def connect_failure(error: Exception, timeout_s: float) -> tuple[str, str]:
    """Return the code of a connection that could not be made, and what to say of it."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return "timeout", f"no answer within {timeout_s:g} s"
    text = getattr(error, "strerror", "") or str(error)
    if isinstance(error, socket.gaierror | UnicodeError):
        return "unknown-host", text
    if isinstance(error, TimeoutError):
        return "timeout", text
    return ("nothing-listens" if getattr(error, "errno", 0) == errno.ECONNREFUSED else "unreachable"), text


async def try_address(
    network: Network, address: Address, hello: Hello, keys: Sequence[bytes], timeout_s: float
) -> Trial:
    """Dial an address and hear who is there; ``keys`` is the ring of the cookie."""
    caller = _Caller(Handshake(hello, keys, "dialler", lambda _: NO_FACTS))
    try:
        async with asyncio.timeout(timeout_s):
            await network.connect(lambda: caller, address)
    except (OSError, ValueError) as error:
        return Trial(*connect_failure(error, timeout_s))
    try:
        async with asyncio.timeout(timeout_s):
            return await caller.done
    except TimeoutError:
        return Trial("no-handshake", f"it took the connection and said nothing for {timeout_s:g} s")
    finally:
        caller.close()


class _Caller(asyncio.Protocol):
    """One connection: a Hello, and the answer to it."""

    def __init__(self, handshake: Handshake) -> None:
        self.done: asyncio.Future[Trial] = asyncio.get_running_loop().create_future()
        self._handshake = handshake
        self._buffer = FrameBuffer(_ANSWER_MAX)
        self._transport: asyncio.Transport | None = None

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        for frame in self._handshake.open():
            self._transport.write(LINK_CODEC.encode(frame))

    def data_received(self, data: bytes) -> None:
        if self.done.done():
            return
        try:
            for kind, body in self._buffer.feed(data):
                frame = LINK_CODEC.decode(kind, body)
                assert isinstance(frame, LinkFrame)
                self._handshake.received(frame)
                self._end()
                return
        except ProtocolError as error:
            self.done.set_result(Trial("no-handshake", error.reason))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(Trial("no-handshake", "it closed the connection without a word"))

    def _end(self) -> None:
        handshake = self._handshake
        if handshake.refusal is not None:
            refusal = handshake.refusal
            self.done.set_result(Trial(refusal.code, refusal.reason, handshake.peer))
        else:
            self.done.set_result(Trial("agreed", "", handshake.peer))
