"""Meshes whose every link goes through a proxy of its own: links that end and are refused, and links that are slow.

One proxy stands for each ordered pair, and whoever dials a node dials it there. A rival that speaks over datagrams
cannot be measured so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations

from tests.live.faults.proxy import Proxy

from ..roles import now
from .book import Book
from .cluster import Mesh
from .contenders import Contender
from .cuts import CUT_S, parted, sides
from .places import Loopback
from .watching import accused, told

__all__ = ["Proxies", "disabled", "disabled_pair", "proxied", "slow"]


class Proxies:
    """The proxies of a mesh, by who dials whom (numbers)."""

    def __init__(self, made: Mapping[tuple[int, int], Proxy]) -> None:
        self._made = made

    def overrides(self, number: int) -> dict[str, str]:
        """Return where a node shall dial the others, by their names."""
        return {f"n{far}": proxy.address for (near, far), proxy in self._made.items() if near == number}

    def disable(self, pairs: Iterable[tuple[int, int]]) -> None:
        """End the links of these pairs, whoever dialled, and refuse new ones."""
        for one, two in pairs:
            self._made[one, two].disable()
            self._made[two, one].disable()

    async def enable(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let these pairs be linked again."""
        for one, two in pairs:
            await self._made[one, two].enable()
            await self._made[two, one].enable()

    def delay(self, least: float, most: float) -> None:
        """Hold back all bytes of all pairs for so many seconds."""
        for proxy in self._made.values():
            proxy.latency = lambda: random.uniform(least, most)


@asynccontextmanager
async def proxied(contender: Contender, size: int) -> AsyncIterator[tuple[Mesh, Proxies]]:
    """Start a mesh of so many on loopback, with proxies between all of them."""
    place = Loopback()
    async with AsyncExitStack() as stack:
        made = {}
        for pair in permutations(range(1, size + 1), 2):
            made[pair] = await stack.enter_async_context(Proxy())
            made[pair].point(place.address(pair[1]))
        proxies = Proxies(made)
        mesh = await stack.enter_async_context(Mesh(contender, place, size, proxies.overrides))
        await mesh.start_all()
        yield mesh, proxies


async def disabled(mesh: Mesh, proxies: Proxies, turn: int, book: Book) -> None:
    """Disable all proxies between two sides, and enable them after 10 to 60 s."""
    larger, smaller = parted(mesh, turn)
    pairs = [(one, two) for one in larger for two in smaller]
    proxies.disable(pairs)
    at = now()
    await sides(mesh, book, "proxy", larger, smaller, at)
    await asyncio.sleep(max(0.0, at + CUT_S[turn % len(CUT_S)] - now()))
    await proxies.enable(pairs)
    book.add(mesh.key("proxy heal"), await mesh.become_whole(now()))


async def disabled_pair(mesh: Mesh, proxies: Proxies, seconds: float, book: Book) -> None:
    """Disable the proxies of one pair: both live, and everybody else can tell."""
    since = now()
    proxies.disable([(1, 2)])
    await asyncio.sleep(seconds)
    pair_verdicts(mesh, "proxied pair", since, book)
    await proxies.enable([(1, 2)])
    await mesh.become_whole(now())


def pair_verdicts(mesh: Mesh, measure: str, since: float, book: Book) -> None:
    """Count what others than nodes 1 and 2 suspected, and every death."""
    pair = mesh.names((1, 2))
    suspects = [seen for seen in mesh.views.wrong(since, {"suspect"}) if seen.observer not in pair]
    book.add(mesh.key(f"{measure} suspects"), len(suspects))
    told(mesh, book, f"{measure} suspects", since, suspects)
    accused(mesh, book, f"{measure} deaths", since, ())


async def slow(mesh: Mesh, proxies: Proxies, seconds: float, book: Book) -> None:
    """Hold back everything by 200 to 600 ms, each way."""
    since = now()
    proxies.delay(0.2, 0.6)
    await asyncio.sleep(seconds)
    accused(mesh, book, "slow deaths", since, ())
