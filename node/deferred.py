"""Publishes of one client on channels that are slowed: they wait here, in order, and hold nothing else of it up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from liminal_mesh.cluster import ClientPublish

from .batch import BUSY_RETRY_S
from .channel import Channel
from .errors import Busy
from .inbox import Budget, weight

__all__ = ["Deferred"]

TURN_MAX: Final = 128
"""How many may go on in one turn of the loop."""


class _Part(NamedTuple):
    """A publish of a frame."""

    frame: ClientPublish
    place: int
    size: int
    """What is not kept any more once it is published: all of the frame, if it is the last."""
    until: float
    """After which it is not published any more, in seconds of the loop."""


class _Line(NamedTuple):
    """What waits on one channel, and what takes its turn there."""

    parts: deque[_Part]
    turn: Callable[[], None]


class Deferred:
    """The publishes of one connection that wait.

    Args:
        publish: takes one publish of a frame, whose channel may go on, and the moment after which it is too late.
        budgets: what they may hold, alone and together with others.
    """

    def __init__(self, publish: Callable[[ClientPublish, int, float], None], budgets: tuple[Budget, ...]) -> None:
        self._publish = publish
        self._budgets = budgets
        self._lines: dict[Channel, _Line] = {}

    def has(self, channel: Channel) -> bool:
        """Whether publishes on a channel have to queue up behind others."""
        return channel in self._lines

    def add(self, frame: ClientPublish, channel: Channel, until: float) -> None:
        """Let the publishes of a frame wait, until a moment in seconds of the loop.

        Raises:
            Busy: too much waits, of this client or of all; none of these does.
        """
        size = sum(map(weight, frame.items))
        if any(one.used + size > one.limit for one in self._budgets):
            wait_s = channel.press.throttle.wait_s if channel.press is not None else 0.0
            raise Busy(max(BUSY_RETRY_S, wait_s), f"the pressure on channel {channel.name!r}")
        self._charge(size)
        line = self._lines.get(channel)
        if line is None:
            assert channel.press is not None, "only pressure slows a channel"
            line = self._lines[channel] = _Line(deque(), partial(self._go_on, channel))
            channel.press.throttle.queue_up(line.turn)
        last = len(frame.items) - 1
        line.parts.extend(_Part(frame, place, size if place == last else 0, until) for place in range(last + 1))

    def close(self) -> None:
        """The connection is gone: what waits was never accepted."""
        for channel, line in self._lines.items():
            self._charge(-sum(part.size for part in line.parts))
            line.parts.clear()
            if channel.press is not None:
                channel.press.throttle.leave(line.turn)
        self._lines.clear()

    def _charge(self, size: int) -> None:
        for budget in self._budgets:
            budget.used += size

    def _go_on(self, channel: Channel) -> None:
        """It is this client's turn on a channel; whatever is left takes its place behind the others."""
        line = self._lines.get(channel)
        if line is None:
            return  # the connection is gone
        # All of it, when the channel is closed: each is refused.
        for _ in range(TURN_MAX if channel.press is not None else len(line.parts)):
            part = line.parts.popleft()
            self._charge(-part.size)
            if not line.parts:
                del self._lines[channel]
            self._publish(part.frame, part.place, part.until)
            if not line.parts:
                return
            if channel.held:
                break
        if channel.press is not None:
            channel.press.throttle.queue_up(line.turn)
