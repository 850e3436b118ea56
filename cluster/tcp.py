"""The network of sockets."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable

from .identity import Address

__all__ = ["TcpNetwork"]

log = logging.getLogger("liminal.listener")

_GONE = {
    errno.ECONNABORTED,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.EPROTO,
}
"""What accept(2) says of a connection that broke while it waited in the backlog: its trouble, not the listener's."""


class TcpNetwork:
    """TCP, as the machine's kernel speaks it."""

    def bind(self, address: Address, backlog: int) -> _TcpPort:
        """Listen; see :meth:`.Network.bind`."""
        family, kind, proto, _, where = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind(where)
            sock.listen(backlog)
        except OSError:
            sock.close()
            raise
        return _TcpPort(sock, Address(address.host, sock.getsockname()[1]))

    async def connect(self, factory: Callable[[], asyncio.Protocol], address: Address) -> None:
        """Make a connection; see :meth:`.Network.connect`."""
        try:
            await asyncio.get_running_loop().create_connection(factory, address.host, address.port)
        except OSError as error:
            if error.errno is None or isinstance(error, socket.gaierror):
                raise
            # asyncio's own text says what was called, and not what became of it.
            raise OSError(error.errno, os.strerror(error.errno)) from None


class _TcpPort:
    def __init__(self, sock: socket.socket, address: Address) -> None:
        self.address = address
        self._socket = sock
        self._loop: asyncio.AbstractEventLoop | None = None

    async def accept(self, factory: Callable[[], asyncio.Protocol]) -> bool:
        loop = asyncio.get_running_loop()
        await self.arrival()
        try:
            sock, _ = self._socket.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _GONE:
                return False
            raise
        sock.setblocking(False)
        try:
            await loop.connect_accepted_socket(factory, sock)
        except OSError as error:  # it went away between the kernel and us
            sock.close()
            log.debug("a connection to %s was lost while accepted: %s", self.address, error)
            return False
        return True

    async def arrival(self) -> None:
        # Not by ``sock_accept``, which loses a connection that comes in the turn in which it is cancelled.
        loop = self._loop = asyncio.get_running_loop()
        came: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._socket, _arrived, came)
        try:
            await came
        finally:
            if self._socket.fileno() >= 0:
                loop.remove_reader(self._socket)

    def close(self) -> None:
        if self._loop is not None:
            # The next connection to anything gets this descriptor's number, and the loop must not know it any more.
            self._loop.remove_reader(self._socket)
        self._socket.close()


def _arrived(came: asyncio.Future[None]) -> None:
    if not came.done():
        came.set_result(None)
