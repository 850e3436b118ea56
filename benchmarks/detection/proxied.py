"""Meshes whose every link goes through a proxy of its own: links that end and are refused, and links that are slow.

One proxy stands for each ordered pair, and whoever dials a node dials it there. A rival that speaks over datagrams
cannot be measured so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.live.faults.proxies import Proxies, proxies

from ..roles import now
from .book import Book
from .cluster import Mesh
from .contenders import Contender
from .cuts import CUT_S, parted, sides
from .places import Loopback
from .watching import accused, told

__all__ = ["PAIR", "Proxies", "disabled", "disabled_pair", "pair_verdicts", "proxied", "slow"]

PAIR = ("n1", "n2")
"""Who is cut off from whom, when it is a pair."""


@asynccontextmanager
async def proxied(contender: Contender, size: int, starting: asyncio.Lock) -> AsyncIterator[tuple[Mesh, Proxies]]:
    """Start a mesh of so many on loopback, with proxies between all of them; ``starting`` is held meanwhile."""
    place, names = Loopback(), {f"n{number}": number for number in range(1, size + 1)}
    async with proxies(names) as ways, Mesh(contender, place, size, ways.of) as mesh:
        for name, number in names.items():
            ways.point(name, place.address(number))
        async with starting:
            await mesh.start_all()
        yield mesh, ways


async def disabled(mesh: Mesh, ways: Proxies, turn: int, book: Book) -> None:
    """Disable all proxies between two sides, and enable them after 10 to 60 s."""
    larger, smaller = parted(mesh, turn)
    pairs = [(one, two) for one in mesh.names(larger) for two in mesh.names(smaller)]
    ways.disable(pairs)
    at = now()
    await sides(mesh, book, "proxy", larger, smaller, at)
    await asyncio.sleep(max(0.0, at + CUT_S[turn % len(CUT_S)] - now()))
    await ways.enable(pairs)
    book.add(mesh.key("proxy heal"), await mesh.become_whole(now()))


async def disabled_pair(mesh: Mesh, ways: Proxies, seconds: float, book: Book) -> None:
    """Disable the proxies of one pair: both live, and everybody else can tell."""
    since = now()
    ways.disable([PAIR])
    await asyncio.sleep(seconds)
    pair_verdicts(mesh, "proxied pair", since, book)
    await ways.enable([PAIR])
    await mesh.become_whole(now())


def pair_verdicts(mesh: Mesh, measure: str, since: float, book: Book) -> None:
    """Count what others than the pair suspected, and every death."""
    suspects = [seen for seen in mesh.views.wrong(since, {"suspect"}) if seen.observer not in PAIR]
    book.add(mesh.key(f"{measure} suspects"), len(suspects))
    told(mesh, book, f"{measure} suspects", since, suspects)
    accused(mesh, book, f"{measure} deaths", since, ())


async def slow(mesh: Mesh, ways: Proxies, seconds: float, book: Book) -> None:
    """Hold back everything by 200 to 600 ms, each way."""
    since = now()
    ways.delay(0.2, 0.6)
    await asyncio.sleep(seconds)
    accused(mesh, book, "slow deaths", since, ())
