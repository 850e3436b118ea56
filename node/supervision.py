"""Channels are processes, supervised one for one: a crash in one ends that process alone, and begins another.

What can crash is the delivery to a subscriber. That subscriber is ended, since nothing is known of its inbox any more;
the others get the message that it crashed on, and all that follow. A channel that crashes more often than its budget
allows stays failed: publishes and subscriptions are refused with its name, and whoever was subscribed to it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from .processes import NORMAL, ProcessTable
from .reasons import error_reason
from .restarts import Restarts

if TYPE_CHECKING:
    from liminal_mesh.cluster import Pid

    from .channel import Channel
    from .events import Events
    from .subscribers import Group, Subscriber

__all__ = ["Crashed", "Guard", "Supervisor"]

Crashed: TypeAlias = "Callable[[Channel, Subscriber, Exception], None]"
"""Hears of a delivery that crashed."""

Guard: TypeAlias = "Callable[[Subscriber, Callable[[], None]], None]"
"""Calls a function that tells a subscriber something, and sees to it if that crashes."""


class Supervisor:
    """The supervisor of one node's channels.

    Args:
        processes: where the channels' processes live.
        monotonic: the clock by which crashes are counted, in seconds.
        events: hear of what crashed.
    """

    def __init__(self, processes: ProcessTable, monotonic: Callable[[], float], events: Events) -> None:
        self._processes = processes
        self._monotonic = monotonic
        self._events = events
        self.restarts = 0
        """How often any channel was restarted."""
        self.own: Pid | None = None
        """The node's own process, which no crash of a delivery ends."""
        self.expel: Callable[[Subscriber], None] = lambda _: None
        """Takes a member out of its group."""

    def begin(self, channel: Channel) -> None:
        """A channel is in use."""
        channel.restarts = Restarts(channel.settings.restart)
        channel.pid = self._spawn()

    def end(self, channel: Channel) -> None:
        """It is not in use any more."""
        pid, channel.pid = channel.pid, None
        if pid is not None:
            self._processes.exit(pid, NORMAL)

    def crashed(self, channel: Channel, subscriber: Subscriber, error: Exception) -> None:
        """A delivery crashed: its subscriber ends, and the channel's process begins anew, if its budget allows."""
        restarts = channel.restarts
        if channel.pid is None or restarts is None:  # a process group is no channel: its member alone has crashed
            self.lost(subscriber, error)
            return
        reason, crashed_pid = error_reason(error), channel.pid
        facts = {"channel": channel.name, "pid": str(crashed_pid), "subscriber": str(subscriber.pid)}
        # Decided first: a channel that has crashed stays in use, with its budget, though nobody may be left on it.
        again = restarts.allow(self._monotonic())
        if not again:
            channel.fail(reason)
        self.lost(subscriber, error)
        self._processes.exit(crashed_pid, reason)
        if again:
            channel.pid = self._spawn()
            self.restarts += 1
            self._events.note("channel_restarted", "info", **facts, reason=reason, restarts=restarts.count)
        else:
            self._events.note("channel_failed", "warning", **facts, reason=reason, restarts=restarts.count)
            told = f"error: channel {channel.name} failed: {reason}"
            self._tell((*channel.groups, *channel.teams), channel.name, told)

    def guard(self, subscriber: Subscriber, call: Callable[[], None]) -> None:
        """Tell a subscriber something that concerns no single channel; a crash ends that subscriber alone."""
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one subscriber's
            self.lost(subscriber, error)

    def lost(self, subscriber: Subscriber, error: Exception) -> None:
        """A subscriber cannot be told anything any more: its process ends; the node's own leaves the group alone."""
        facts = {"pattern": subscriber.pattern, "pid": str(subscriber.pid)}
        self._events.broke("delivery_crashed", error, **facts)
        if subscriber.pid == self.own:
            self.expel(subscriber)
        else:
            self._processes.exit(subscriber.pid, error_reason(error))

    def _tell(self, groups: tuple[Group, ...], name: str, reason: str) -> None:
        """End whoever is subscribed to the channel by its name; a pattern has others, and misses this one in gaps."""
        for group in groups:
            if group.pattern == name:
                for subscriber in tuple(group.subscribers.values()):
                    self._processes.exit(subscriber.pid, reason)

    def _spawn(self) -> Pid:
        return self._processes.spawn("channel", lambda _: None, traps=True)
