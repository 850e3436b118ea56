"""Channels are processes, supervised one for one: a crash in one ends that process alone, and begins another.

What can crash is the delivery to a subscriber. That subscriber is ended, since nothing is known of its inbox any more;
the others get the message that it crashed on, and all that follow. A channel that crashes more often than its budget
allows stays failed: publishes and subscriptions are refused with its name, and whoever was subscribed to it is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from .processes import NORMAL, ProcessTable
from .restarts import Restarts

if TYPE_CHECKING:
    from liminal_mesh.cluster import Pid

    from .channel import Channel, Group, Subscriber

__all__ = ["Supervisor"]

log = logging.getLogger("liminal.node")


class Supervisor:
    """The supervisor of one node's channels.

    Args:
        processes: where the channels' processes live.
        monotonic: the clock by which crashes are counted, in seconds.
        note: keeps an event for whoever asks, and writes its line.
    """

    def __init__(self, processes: ProcessTable, monotonic: Callable[[], float], note: Callable[..., None]) -> None:
        self._processes = processes
        self._monotonic = monotonic
        self._note = note
        self.restarts = 0
        """How often any channel was restarted."""

    def begin(self, channel: Channel) -> None:
        """A channel is in use."""
        channel.restarts = Restarts(channel.settings.restart)
        channel.pid = self._spawn()

    def end(self, channel: Channel) -> None:
        """It is not in use any more."""
        if channel.pid is not None:
            self._processes.exit(channel.pid, NORMAL)

    def crashed(self, channel: Channel, subscriber: Subscriber, error: Exception) -> None:
        """A delivery crashed: its subscriber ends, and the channel's process begins anew, if its budget allows."""
        reason = f"error: {type(error).__name__}: {error}"
        facts = {"channel": channel.name, "pid": str(channel.pid), "subscriber": str(subscriber.pid)}
        log.error("channel_crashed", extra={"fields": facts}, exc_info=error)
        self._processes.exit(subscriber.pid, reason)
        if channel.pid is None or channel.restarts is None:
            return  # a process group is no channel: its member alone has crashed
        self._processes.exit(channel.pid, reason)
        if channel.restarts.allow(self._monotonic()):
            channel.pid = self._spawn()
            self.restarts += 1
            self._note("channel_restarted", **facts, reason=reason, restarts=channel.restarts.count)
        else:
            channel.fail(reason)
            self._note("channel_failed", **facts, reason=reason, restarts=channel.restarts.count)
            self._tell(channel.groups, channel.name, f"error: channel {channel.name} failed: {reason}")

    def _tell(self, groups: tuple[Group, ...], name: str, reason: str) -> None:
        """End whoever is subscribed to the channel by its name; a pattern has others, and misses this one in gaps."""
        for group in groups:
            if group.pattern == name:
                for subscriber in tuple(group.subscribers.values()):
                    self._processes.exit(subscriber.pid, reason)

    def _spawn(self) -> Pid:
        return self._processes.spawn("channel", lambda _: None, traps=True)
