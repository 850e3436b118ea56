"""How a node parts with its clients when it leaves: none is cut off that goes by itself, and none keeps it for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .errors import DeadlineExceeded
from .goodbyes import goodbyes
from .processes import SHUTDOWN

if TYPE_CHECKING:
    from .backing import Backing
    from .connection import Connection
    from .server import Server

__all__ = ["hand_on", "part"]

LAST_S: Final = 1.0
"""How long clients whose time is up have to take what they are told."""

NAMED_MAX: Final = 16
"""How many clients an event names."""


async def part(server: Server, bus: Backing, reason: str, deadline: float) -> bool:
    """Take no more clients, and part with those that are here.

    Each client is told at a moment of its own, when it has all that waited for it then; it is here until it goes, or
    for two seconds. At the deadline, whoever has not taken what was its own is told what it misses, and cut off.

    Args:
        server: whose clients they are.
        bus: the node behind them.
        reason: what they are told.
        deadline: by the loop's clock.

    Returns:
        Whether everybody had gone by then.
    """
    server.stop_listening(reason)
    gone = await _see_off(server, bus, reason, deadline)
    if not gone:
        await _cut_off(server, bus, reason)
    return gone


async def hand_on(bus: Backing, deadline: float) -> bool:
    """Let the peers have what is left for them; return whether they took it before the deadline."""
    try:
        await bus.flush(max(0.0, deadline - bus.loop.time()))
    except DeadlineExceeded as error:
        bus.events.note("flush_incomplete", "warning", missing=error.missing)
        return False
    except Exception as error:  # noqa: BLE001 - whatever it is, the node leaves all the same
        bus.events.broke("flush_failed", error)
        return False
    return True


async def _see_off(server: Server, bus: Backing, reason: str, deadline: float) -> bool:
    here = tuple(server.connections.values())
    for one in here:
        if one.state != "open":  # it has not said who it is, and can go elsewhere at once
            one.close("draining", reason, SHUTDOWN, bus.others())
    subscribers = [one for one in here if one.state == "open" and one.deliveries.held]
    others = [one for one in here if one.state == "open" and not one.deliveries.held]
    now = bus.loop.time()
    for after_s, one in goodbyes(subscribers, others, deadline - now, bus.environment.jitter()):
        if await bus.until(lambda: server.empty, min(now + after_s, deadline)):
            break
        one.take_leave(reason, bus.others())
    return await bus.until(lambda: server.empty, deadline)


async def _cut_off(server: Server, bus: Backing, reason: str) -> None:
    late = list(server.connections.values())
    for one in late:
        one.deliveries.give_up()
    _note_late(bus, late)
    await bus.until(lambda: server.empty, bus.loop.time() + LAST_S)
    server.close(reason)
    if not await bus.until(lambda: server.empty, bus.loop.time() + LAST_S):
        server.abort()
        await bus.until(lambda: server.empty, bus.loop.time() + LAST_S)


def _note_late(bus: Backing, late: list[Connection]) -> None:
    named = [str(one.pid) for one in late[:NAMED_MAX]]
    bus.events.note("clients_cut_off", "warning", count=len(late), clients=named)
