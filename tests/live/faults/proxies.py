"""A proxy for each ordered pair of nodes: whoever dials a node dials it there, and nowhere else."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations

from .proxy import Proxy

__all__ = ["Proxies", "proxies"]


class Proxies:
    """The proxies of a mesh, by the names of who dials and who is dialled."""

    def __init__(self, made: Mapping[tuple[str, str], Proxy]) -> None:
        self._made = made

    def point(self, name: str, address: str) -> None:
        """Say where a node really is."""
        for (_, far), proxy in self._made.items():
            if far == name:
                proxy.point(address)

    def of(self, name: str) -> dict[str, str]:
        """Return where a node shall dial the others, by their names."""
        return {far: proxy.address for (near, far), proxy in self._made.items() if near == name}

    def disable(self, pairs: Iterable[tuple[str, str]]) -> None:
        """End the links of these pairs, whoever dialled, and refuse new ones."""
        for one, two in pairs:
            self._made[one, two].disable()
            self._made[two, one].disable()

    async def enable(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let these pairs be linked again."""
        for one, two in pairs:
            await self._made[one, two].enable()
            await self._made[two, one].enable()

    def delay(self, least: float, most: float) -> None:
        """Hold back all bytes of all pairs for so many seconds."""
        for proxy in self._made.values():
            proxy.latency = lambda: random.uniform(least, most)


@asynccontextmanager
async def proxies(names: Iterable[str]) -> AsyncIterator[Proxies]:
    """Open the proxies between these nodes; they end with the block."""
    async with AsyncExitStack() as stack:
        yield Proxies({pair: await stack.enter_async_context(Proxy()) for pair in permutations(names, 2)})
