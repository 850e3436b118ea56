"""How publishers wait: for their turn on a channel that is slowed, and for room in the lanes to peers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .errors import DeadlineExceeded

if TYPE_CHECKING:
    from .channel import Channel
    from .hub import Hub

__all__ = ["let_pass", "writable"]


async def let_pass(hub: Hub, channel: Channel, timeout_s: float) -> float:
    """Wait until a publisher on a channel that is slowed may go on; return what is left of the time, in seconds.

    Raises:
        DeadlineExceeded: that takes longer; nothing was sent.
    """
    deadline = hub.loop.time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            await _turn(channel)
    except TimeoutError:
        raise DeadlineExceeded("publish", node=hub.me.name, sent=False) from None
    return max(0.0, deadline - hub.loop.time())


async def writable(hub: Hub, channel: Channel) -> None:
    """Wait until neither a peer that keeps up nor pressure holds publishers on the channel back."""
    name = channel.name
    while channel.held or channel.crowded:
        await _turn(channel)
        # Resolved each time: the lane of a link that ended stays as full as it was.
        await hub.room.until(lambda: not hub.exchange.resolve(name).crowded)
        channel = hub.exchange.resolve(name)


async def _turn(channel: Channel) -> None:
    """Wait for this publisher's turn on a channel that is slowed; return at once on any other."""
    while channel.held and channel.press is not None:
        throttle, turn = channel.press.throttle, asyncio.Event()
        throttle.queue_up(turn.set)
        try:
            await turn.wait()
        finally:
            throttle.leave(turn.set)
