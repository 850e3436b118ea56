"""A listening socket that accepts only as many newcomers at once as may be served.

Whoever comes while all permits are taken waits in the kernel's backlog and is not refused. Running out of file
descriptors pauses the listener and does not end it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from .errors import AddressInUse
from .identity import Address

__all__ = ["Listener"]

log = logging.getLogger("liminal.listener")

PAUSE_S: Final = 1.0
"""How long accepting rests when the machine has no descriptors left."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

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


class Listener:
    """A listening socket.

    Args:
        name: what it is for, in errors and logs.
        address: where to listen; port 0 takes a free one.
        backlog: how many connections the kernel keeps for us.
        permits: how many accepted connections may be unfinished newcomers at once; see :meth:`release`.
    """

    def __init__(self, name: str, address: Address, backlog: int, permits: int) -> None:
        self.name = name
        self.address = address
        self._backlog = backlog
        self._permits = asyncio.Semaphore(permits)
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> Address:
        """Bind and listen; return the real address.

        Raises:
            AddressInUse: another program listens there.
            OSError: the address is not one of this machine's.
        """
        family, kind, proto, _, where = socket.getaddrinfo(*self.address, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind(where)
            sock.listen(self._backlog)
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(self.name, str(self.address)) from error
            raise
        self._socket = sock
        self.address = Address(self.address.host, sock.getsockname()[1])
        return self.address

    @property
    def listening(self) -> bool:
        """Whether it is open."""
        return self._socket is not None

    async def run(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Accept until :meth:`close`; each connection holds a permit until :meth:`release`."""
        loop = self._loop = asyncio.get_running_loop()
        while self._socket is not None:
            await self._permits.acquire()
            sock = await self._accept(loop)
            if sock is None:
                self._permits.release()
                continue
            try:
                await loop.connect_accepted_socket(factory, sock)
            except OSError as error:  # it went away between the kernel and us
                sock.close()
                self._permits.release()
                log.debug("%s listener: a connection was lost while accepted: %s", self.name, error)

    def release(self) -> None:
        """A newcomer has been let in, or is gone."""
        self._permits.release()

    def close(self) -> None:
        """Stop listening; who was accepted stays. The task in :meth:`run` is to be cancelled by its owner."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        if self._loop is not None:
            # The next connection to anything gets this descriptor's number, and the loop must not know it any more.
            self._loop.remove_reader(sock)
        sock.close()

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> socket.socket | None:
        assert self._socket is not None
        try:
            sock, _ = await loop.sock_accept(self._socket)
        except OSError as error:
            if error.errno in _GONE:
                return None
            if error.errno not in _EXHAUSTED:
                raise
            log.warning("%s listener: %s; accepting rests for %s s", self.name, error.strerror, PAUSE_S)
            await asyncio.sleep(PAUSE_S)
            return None
        sock.setblocking(False)
        return sock
