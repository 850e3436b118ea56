"""Dials: where a target really is, and what became of trying to get there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from .identity import parse_address
from .network import Network
from .trial import connect_failure
from .wire import Wire

__all__ = ["Outbound"]


class Outbound:
    """The way out of a node.

    Args:
        network: where peers are dialled.
        overrides: the name of a peer, to the address to dial instead of its own.
    """

    def __init__(self, network: Network, overrides: Mapping[str, str]) -> None:
        self._network = network
        self._overrides = {name: parse_address(address) for name, address in overrides.items()}

    async def connect(self, wire: Wire, target: str, address: str, timeout_s: float) -> tuple[str, str] | None:
        """Connect a wire to a target, by its name or address; returns the code and the text of a failure."""
        try:
            where = self._overrides.get(target) or parse_address(address)
            async with asyncio.timeout(timeout_s):
                await self._network.connect(lambda: wire, where)
        except (OSError, ValueError) as error:  # a host name can be no name at all, and peers tell us of hosts
            return connect_failure(error, timeout_s)
        return None
