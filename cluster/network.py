"""What a node asks of the network: a place to listen, and a connection to an address.

``tcp`` gives it over sockets, ``pipe`` in memory; whatever is above cannot tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from .identity import Address

__all__ = ["Network", "Port"]


class Port(Protocol):
    """A place where connections arrive."""

    @property
    def address(self) -> Address:
        """Where it really is."""

    async def arrival(self) -> None:
        """Wait until a connection is there to be accepted, if it still is by then."""

    async def accept(self, factory: Callable[[], asyncio.Protocol]) -> bool:
        """Take one connection; return whether it still stood when it was taken.

        Raises:
            OSError: the port is closed, or the machine has no room for a connection.
        """

    def close(self) -> None:
        """Take nobody any more; who was accepted stays. Whoever waits in :meth:`accept` is to be cancelled."""


class Network(Protocol):
    """The way to other nodes."""

    def bind(self, address: Address, backlog: int) -> Port:
        """Listen at an address; port 0 takes a free one. Up to ``backlog`` connections wait to be accepted.

        Raises:
            OSError: the address is taken (``EADDRINUSE``), or is not ours.
        """

    async def connect(self, factory: Callable[[], asyncio.Protocol], address: Address) -> None:
        """Make a connection. It has no deadline of its own.

        Raises:
            OSError: nobody listens there, or there is no way.
        """
