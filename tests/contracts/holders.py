"""What the suite holds, and how it takes from a subscription."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, Literal, NamedTuple

from liminal_mesh.cluster import Pid
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process
from liminal_mesh.node.receiver import Receiver
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Gap

from ..nodes import DEADLINE_S

POLICIES: Final[tuple[Literal["drop-oldest", "drop-newest", "reject", "disconnect"], ...]] = (
    "drop-oldest",
    "drop-newest",
    "reject",
    "disconnect",
)
"""Each is also the name of a channel whose inboxes keep four messages."""


class Held(NamedTuple):
    """A bus, and the node behind it."""

    bus: Bus
    node: Node


class Pair(NamedTuple):
    """Two buses of nodes that are linked."""

    here: Bus
    there: Bus
    a: Node
    b: Node


@asynccontextmanager
async def holder(kind: str, node: Node, name: str = "tester") -> AsyncIterator[Bus]:
    """Hold a running node: as the embedded object that it is, or as a client of it, which has a name."""
    if kind == "node":
        yield node
    else:
        async with connect(f"liminal://{node.addresses['client']}", name=name) as client:
            yield client


async def stay(me: Process) -> None:
    """Run until something ends it."""
    await asyncio.Event().wait()


async def ended(process: Process) -> str:
    """Return why a process that must end soon has ended."""
    async with asyncio.timeout(DEADLINE_S):
        return await process.wait()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds of which nobody tells."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - it is no event of anybody
            await asyncio.sleep(0.001)


def cut(node: Node) -> Pid:
    """Cut the connection of the suite's client at its node; return the process that it was."""
    [connection] = [one for one in node.running.server.connections.values() if one.client == "tester"]
    connection.wire.abort("cut by the test")
    return connection.pid


class Over(Exception):
    """A subscription has come to its end; a task cannot well end with ``StopAsyncIteration`` itself."""


async def take(subscription: Receiver, count: int) -> list[Message | Gap]:
    """Return the next items.

    Raises:
        Over: there are no more.
    """
    try:
        async with asyncio.timeout(DEADLINE_S):
            return [await anext(subscription) for _ in range(count)]
    except StopAsyncIteration:
        raise Over from None


async def message(subscription: Receiver) -> Message:
    """Return the next item, which is a message."""
    [item] = await take(subscription, 1)
    assert isinstance(item, Message)
    return item


async def payloads(subscription: Receiver, count: int) -> list[object]:
    """Return the next messages' payloads."""
    items = await take(subscription, count)
    assert not [item for item in items if isinstance(item, Gap)]
    return [item.payload for item in items if isinstance(item, Message)]


async def collect(subscription: Subscription, items: list[Message | Gap]) -> None:
    """Append everything to ``items`` as it comes, until the subscription ends."""
    async for item in subscription:
        items.append(item)  # noqa: PERF401 - others look at it meanwhile


async def account(subscription: Receiver, published: int) -> list[Message | Gap]:
    """Take items until they account for so many publishes of one origin on one channel, from its first on."""
    items: list[Message | Gap] = []
    accounted = 0
    async with asyncio.timeout(DEADLINE_S):
        while accounted < published:
            items.append(await anext(subscription))
            accounted += numbers(items[-1:])
    check_in_place(items)
    return items


def numbers(items: Iterable[Message | Gap]) -> int:
    """Return how many publishes the items account for."""
    return sum(item.count if isinstance(item, Gap) else 1 for item in items)


def check_in_place(items: Iterable[Message | Gap]) -> None:
    """Assert that the items are in order and that each number from 1 on is a message, or in the gap at its place."""
    last = 0
    for item in items:
        first, end = (item.first, item.last) if isinstance(item, Gap) else (item.sequence, item.sequence)
        assert first == last + 1, f"{item} after {last}"
        if isinstance(item, Gap):
            assert item.count == item.last - item.first + 1
        last = end
