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
from .inbox import weight

__all__ = ["Deferred"]

BYTES_MAX: Final = 8 * 1024 * 1024
"""What may wait of one client: as much as in its own lane to the node."""

TURN_MAX: Final = 128
"""How many may go on in one turn of the loop."""


class _Part(NamedTuple):
    """A publish of a frame."""

    frame: ClientPublish
    place: int
    size: int


class Deferred:
    """The publishes of one connection that wait.

    Args:
        publish: takes one publish of a frame, whose channel may go on.
    """

    def __init__(self, publish: Callable[[ClientPublish, int], None]) -> None:
        self._publish = publish
        self._waiting: dict[str, deque[_Part]] = {}
        self._size = 0

    def has(self, channel: Channel) -> bool:
        """Whether publishes on a channel have to queue up behind others."""
        return channel.name in self._waiting

    def add(self, frame: ClientPublish, channel: Channel) -> None:
        """Let the publishes of a frame wait.

        Raises:
            Busy: too much of this client waits; none of these does.
        """
        assert channel.press is not None, "only pressure slows a channel"
        parts = [_Part(frame, index, weight(item)) for index, item in enumerate(frame.items)]
        size = sum(part.size for part in parts)
        if self._size + size > BYTES_MAX:
            raise Busy(max(BUSY_RETRY_S, channel.press.wait_s), f"the pressure on channel {channel.name!r}")
        self._size += size
        if channel.name not in self._waiting:
            self._waiting[channel.name] = deque()
            channel.press.queue_up(partial(self._go_on, channel))
        self._waiting[channel.name].extend(parts)

    def close(self) -> None:
        """The connection is gone: what waits was never accepted."""
        self._waiting.clear()
        self._size = 0

    def _go_on(self, channel: Channel) -> None:
        """It is this client's turn on a channel; whatever is left takes its place behind the others."""
        waiting = self._waiting.get(channel.name)
        if waiting is None:
            return  # the connection is gone
        # All of it, when the channel is closed: each is refused.
        for _ in range(TURN_MAX if channel.press is not None else len(waiting)):
            part = waiting.popleft()
            self._size -= part.size
            if not waiting:
                del self._waiting[channel.name]
            self._publish(part.frame, part.place)
            if not waiting:
                return
            if channel.held:
                break
        if channel.press is not None:
            channel.press.queue_up(partial(self._go_on, channel))
