"""Which channels of a node have their pressure looked after, and by what: policies, a program's scores, peers' wishes.

A channel that has no policies, and whose publishers no peer wants slowed, has none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .pressing import Pressing

if TYPE_CHECKING:
    from .channel import Channel
    from .hub import Hub
    from .pressure import Score

__all__ = ["Pressings"]


class Pressings:
    """The pressure of the channels of one node.

    Args:
        hub: the node's middle.
        channels: those in use, by name.
    """

    def __init__(self, hub: Hub, channels: Mapping[str, Channel]) -> None:
        self._hub = hub
        self._channels = channels
        self._scores: dict[str, Score] = {}

    def begin(self, channel: Channel) -> None:
        """A channel is in use, or peers want its publishers slowed otherwise than before."""
        factor = 1.0 if channel.foreign else self._hub.throttles.elsewhere(channel.name)
        used = bool(channel.settings.pressure) or factor > 1.0
        if channel.press is None and used:
            channel.press = Pressing(self._hub, channel)
            channel.press.score_of = self._scores.get(channel.settings.name)
        if channel.press is not None:
            channel.press.slow_too(factor)
            channel.press = channel.press if used else None

    @staticmethod
    def end(channel: Channel) -> None:
        """It is not in use any more."""
        press, channel.press = channel.press, None
        if press is not None:
            press.close()

    def wished(self, name: str) -> None:
        """A peer wants publishers on a channel slowed otherwise than before."""
        channel = self._channels.get(name)
        if channel is not None and not channel.closed:
            self.begin(channel)

    def score(self, configured: str, score: Score | None) -> None:
        """Let a function make the scores of the channels that one entry of the configuration covers; None ends that."""
        if score is None:
            self._scores.pop(configured, None)
        else:
            self._scores[configured] = score
        for channel in self._channels.values():
            if channel.press is not None and channel.settings.name == configured:
                channel.press.score_of = score

    def let_go(self) -> None:
        """The node takes nothing new: whoever waits for a turn is to hear that now."""
        for channel in self._channels.values():
            if channel.press is not None:
                channel.press.throttle.slow(1.0)

    def close(self) -> None:
        """Nobody waits for a channel any more, and nothing applies."""
        for channel in self._channels.values():
            if channel.press is not None:
                channel.press.close()
