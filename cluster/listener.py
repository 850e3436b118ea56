"""A listener that accepts only as many newcomers at once as may be served.

Whoever comes while all permits are taken waits in the network's backlog and is not refused. Running out of file
descriptors pauses the listener and does not end it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Final

from .errors import AddressInUse
from .identity import Address
from .network import Network, Port

__all__ = ["Listener"]

log = logging.getLogger("liminal.listener")

PAUSE_S: Final = 1.0
"""How long accepting rests when the machine has no descriptors left."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Where newcomers arrive.

    Args:
        name: what it is for, in errors and logs.
        address: where to listen; port 0 takes a free one.
        backlog: how many connections the network keeps for us.
        permits: how many accepted connections may be unfinished newcomers at once; see :meth:`release`.
        network: whose address it is.
    """

    def __init__(self, name: str, address: Address, backlog: int, permits: int, network: Network) -> None:
        self.name = name
        self.address = address
        self._backlog = backlog
        self._permits = asyncio.Semaphore(permits)
        self._network = network
        self._port: Port | None = None

    def open(self) -> Address:
        """Listen; return the real address.

        Raises:
            AddressInUse: another program listens there.
            OSError: the address is not one of this machine's.
        """
        try:
            self._port = self._network.bind(self.address, self._backlog)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(self.name, str(self.address)) from error
            raise
        self.address = self._port.address
        return self.address

    @property
    def listening(self) -> bool:
        """Whether it is open."""
        return self._port is not None

    async def run(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Accept until :meth:`close`; each connection holds a permit until :meth:`release`."""
        while self._port is not None:
            await self._permits.acquire()
            try:
                accepted = await self._port.accept(factory)
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                log.warning("%s listener: %s; accepting rests for %s s", self.name, error.strerror, PAUSE_S)
                await asyncio.sleep(PAUSE_S)
                accepted = False
            if not accepted:
                self._permits.release()

    def release(self) -> None:
        """A newcomer has been let in, or is gone."""
        self._permits.release()

    def close(self) -> None:
        """Stop listening; who was accepted stays. The task in :meth:`run` is to be cancelled by its owner."""
        port, self._port = self._port, None
        if port is not None:
            port.close()
