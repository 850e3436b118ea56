"""A listener that accepts only as many newcomers at once as may be served.

Whoever comes while all permits are taken waits in the network's backlog and is not refused; a newcomer that has had
some time makes room for it (:mod:`.newcomers`). When the machine has no file descriptor or no memory for one more, the
listener rests: whoever is connected already is served on, and whoever comes waits in the backlog, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Final

from .effects import Notice
from .errors import AddressInUse
from .identity import Address
from .network import Network, Port
from .newcomers import Newcomers
from .notices import Notices

__all__ = ["Listener"]

PAUSE_S: Final = 1.0
"""How long accepting rests when the machine has no room for a connection: else it would fail over and over."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Where newcomers arrive.

    Args:
        name: what it is for, in errors and logs.
        address: where to listen; port 0 takes a free one.
        backlog: how many connections the network keeps for us.
        permits: how many accepted connections may be unfinished newcomers at once; see :meth:`hold`.
        network: whose address it is.
        patience_s: what each newcomer may take although others wait.
    """

    def __init__(
        self, name: str, address: Address, backlog: int, permits: int, network: Network, patience_s: float
    ) -> None:
        self.name = name
        self.address = address
        self._backlog = backlog
        self._permits = permits
        self._network = network
        self._newcomers = Newcomers(patience_s)
        self._drops: dict[int, Callable[[], None]] = {}
        """How to part with each who holds a permit."""
        self._waiter: asyncio.Future[None] | None = None
        """Of :meth:`run`, while there is no permit."""
        self._port: Port | None = None
        self._notices = Notices()
        self.exhausted = 0
        """How often the machine had no room for one more."""

    def open(self) -> Address:
        """Listen; return the real address.

        Raises:
            AddressInUse: another program listens there.
            OSError: the address is not one of this machine's, or not for this user.
        """
        try:
            self._port = self._network.bind(self.address, self._backlog)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(self.name, str(self.address)) from error
            said = f"the {self.name} address {self.address} cannot be listened at: {error.strerror}"
            raise OSError(error.errno, said) from error
        self.address = self._port.address
        return self.address

    @property
    def listening(self) -> bool:
        """Whether it is open."""
        return self._port is not None

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for a permit."""
        return self._waiter is not None and not self._waiter.done()

    async def run(self, factory: Callable[[], asyncio.Protocol], noticed: Callable[[Notice], None]) -> None:
        """Accept until :meth:`close`; each connection has to :meth:`hold` its permit when it is made.

        Args:
            factory: makes what a connection is handed to.
            noticed: told when the machine has no room for one more, once in a while.
        """
        while (port := self._port) is not None:
            await self._permit(port)
            if not self.listening:
                return
            try:
                accepted = await port.accept(factory)
            except OSError as error:
                if not self.listening:  # it was closed in the turn in which somebody came
                    return
                if error.errno not in _EXHAUSTED:
                    raise
                self._rests(error, noticed)
                await asyncio.sleep(PAUSE_S)
                accepted = False
            if not accepted:
                self._permits += 1

    def _rests(self, error: OSError, noticed: Callable[[Notice], None]) -> None:
        self.exhausted += 1
        facts = {"listener": self.name, "why": error.strerror, "rests_s": PAUSE_S}
        now = asyncio.get_running_loop().time()
        notice = self._notices.take("warning", "accept_exhausted", self.name, now, **facts)
        if notice is not None:
            noticed(notice)

    def hold(self, key: int, source: str, drop: Callable[[], None]) -> None:
        """Note who holds a permit, and can make room for others from now on.

        Args:
            key: a number that no other one has.
            source: where it comes from.
            drop: ends the connection; its permit is free already.
        """
        self._newcomers.came(key, source, asyncio.get_running_loop().time())
        self._drops[key] = drop
        self._look()

    def serve(self, key: int) -> None:
        """One that holds a permit is being served, and makes no room until it is noted again with :meth:`hold`."""
        self._newcomers.gone(key)

    def release(self, key: int) -> None:
        """One that held a permit has been let in, or is gone; nothing is done twice."""
        if self._drops.pop(key, None) is not None:
            self._newcomers.gone(key)
            self._permits += 1
            self._look()

    async def _permit(self, port: Port) -> None:
        """Take a permit; if there is none, and somebody waits, a newcomer that has had its time makes room."""
        if not self._permits:
            await port.arrival()
        loop = asyncio.get_running_loop()
        while not self._permits:
            first = self._newcomers.next()
            if first is not None and first.since <= loop.time():
                drop = self._drops[first.key]
                self.release(first.key)
                drop()
                continue
            self._waiter = loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(None if first is None else first.since):
                    await self._waiter
        self._permits -= 1

    def _look(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Stop listening; who was accepted stays. The task in :meth:`run` is to be cancelled by its owner."""
        port, self._port = self._port, None
        if port is not None:
            port.close()
