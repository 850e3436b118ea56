"""Channels by name, and this node's groups of subscribers by pattern.

A channel is made when it is first used, from the configuration that covers its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from liminal_mesh.cluster import NodeId, Pid, ProtocolError, QueueNames, TokenTrie, queue_name

from .channel import Channel, ChannelSettings
from .covering import covered, covered_by
from .declared import Declared
from .errors import ChannelClosed, ChannelExists, ChannelFailed, ChannelNotConfigured, LimitExceeded
from .names import check_name, is_pattern, is_possible, nearest
from .subscribers import Group, Subscriber
from .values import Gap

if TYPE_CHECKING:
    from .pressings import Pressings
    from .supervision import Guard, Supervisor

__all__ = ["ChannelTable"]


class ChannelTable:
    """All channels in use and all local groups.

    Args:
        settings: what is configured, exact names and families; ``declared`` holds it, and what comes later.
        channels_max: how many channels may be in use.
        what: what the names are names of, in errors.
    """

    def __init__(self, settings: Iterable[ChannelSettings], channels_max: int, what: str = "channel") -> None:
        self.declared: Declared[ChannelSettings] = Declared(settings)
        self._default = ChannelSettings("")
        self._channels_max = channels_max
        self._what = what
        self._spare = channels_max
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, Group] = {}
        self.teams: dict[str, Group] = {}
        """Of queues: by pattern and group, as they are named in the registry."""
        self.subscriptions = 0
        self._patterns = TokenTrie()
        self._queues = QueueNames()
        self._passed: dict[str, dict[NodeId, int]] = {}
        """Up to where origins' publishes on channels that are not in use were told as lost."""
        self.supervisor: Supervisor | None = None
        """Is told of channels that come into use, and go."""
        self.pressings: Pressings | None = None
        """Look after the pressure of channels."""
        self._left: list[str] = []
        """Patterns and names that nobody subscribes to any more."""
        self.later: Callable[[Callable[[], None]], object] = lambda tidy: tidy()
        """Calls what looks after those, at once or at the end of the turn: a client can leave a thousand at once."""

    def settings(self, name: str) -> ChannelSettings:
        """Return what the configuration says of an exact name or a pattern.

        A pattern takes the settings of the family that bears its text or covers it, else the defaults.

        Raises:
            ChannelNotConfigured: no configuration covers the exact name.
        """
        entry = self.declared.covering(name)
        if entry is None and is_pattern(name):
            return self._default
        if entry is None:
            raise ChannelNotConfigured(name, nearest(name, self.declared.names))
        return entry

    def channel(self, name: str) -> Channel:
        """Return the channel of an exact name, made when it is first asked for.

        Raises:
            ChannelNotConfigured: no configuration covers it.
            LimitExceeded: too many channels are in use.
            ValueError: it is no exact name.
        """
        return self.channels.get(name) or self._make(name, self.settings(check_name(name, self._what)))

    def wanted(self, name: str) -> Channel | None:
        """Return the channel of a remote publish if a local group or team covers it; it need not be configured here.

        None also when too many channels are in use: one peer's channels must not end its link.

        Raises:
            ProtocolError: nothing can have this name.
        """
        channel = self.channels.get(name)
        if channel is not None:
            return channel
        if not is_possible(name):
            raise ProtocolError(f"a {self._what} of an impossible name")
        if not self._waited_for(name) or (name not in self.declared and self._spare <= 0):
            return None
        try:
            settings = self.settings(name)
        except ChannelNotConfigured:
            settings = self._default
        return self._make(name, settings)

    # --- declarations ---

    def declare(self, settings: ChannelSettings) -> None:
        """Let there be a channel, or a family; one that was closed is open again, and its numbers go on.

        Raises:
            ChannelExists: it is declared already, or in use as one of a family.
        """
        name = settings.name
        used = self.channels.get(name)
        if self.declared.get(name) is not None or (used is not None and not used.foreign and not used.closed):
            raise ChannelExists(name)
        self.declared.put(settings)
        self._spare += used is not None  # it had a place among those that are not configured for themselves
        for channel in self.matching(name):
            if channel.closed or channel.foreign:
                self._reopen(channel, self.settings(channel.name))

    def closing(self, name: str) -> list[Channel]:
        """Return the channels that go with a declaration: its own, made if it was never used, or those of the family.

        Raises:
            ChannelNotConfigured: nothing of exactly this name is declared.
            LimitExceeded: too many channels are in use, those that were closed included.
        """
        settings = self.declared_as(name)
        if is_pattern(name):
            return [channel for channel in self.matching(name) if channel.settings is settings]
        if self._spare <= 0:
            raise LimitExceeded(f"{self._what}s", self._channels_max)
        return [self.channels.get(name) or self._make(name, settings)]

    def close(self, name: str) -> None:
        """Take a declaration back; what :meth:`closing` told of it is refused from now on."""
        closing = self.closing(name)
        self.declared.drop(name)
        if self.pressings is not None:
            self.pressings.score(name, None)
        self._spare -= not is_pattern(name)
        for channel in closing:
            channel.close()
            self._end(channel)

    def declared_as(self, name: str) -> ChannelSettings:
        """Return the declaration of exactly this name or pattern.

        Raises:
            ChannelNotConfigured: there is none.
        """
        settings = self.declared.get(name)
        if settings is None:
            raise ChannelNotConfigured(name, nearest(name, [one.name for one in self.declared.all()]))
        return settings

    def replace(self, settings: ChannelSettings) -> None:
        """Let a declaration say something else, and the channels in use that it covers with it."""
        former = self.declared_as(settings.name)
        self.declared.put(settings)
        for channel in self.matching(settings.name):
            if channel.settings is former:
                channel.settings, channel.stamp = settings, -1

    def check_open(self, name: str) -> None:
        """Check that whoever is here may use the channel of an exact name, if it is in use.

        Raises:
            ChannelClosed: it was closed.
            ChannelFailed: it crashed too often.
            ChannelNotConfigured: only peers use it.
        """
        channel = self.channels.get(name)
        if channel is None:
            return
        if channel.closed:
            raise ChannelClosed(name)
        if channel.failed:
            raise ChannelFailed(name, channel.failed)
        if channel.foreign:
            self.settings(name)

    def _reopen(self, channel: Channel, settings: ChannelSettings) -> None:
        self._end(channel)  # what only peers used has been in use so far
        channel.reopen(settings)
        self._begin(channel)

    def no_room(self, name: str, origin: NodeId, first: int, last: int, guard: Guard) -> None:
        """Tell whoever waits for a channel that is not in use of remote publishes on it: there was no room for it."""
        passed = self._passed.get(name, {})
        if not passed and len(self._passed) < self._channels_max:
            self._passed[name] = passed
        first, passed[origin] = max(first, passed.get(origin, 0) + 1), max(last, passed.get(origin, 0))
        count = last - first + 1
        if count <= 0:
            return
        gap = Gap(name, origin.name, first, last, count, "overflow", origin.epoch)
        for group in self._covering(name):
            for subscriber in tuple(group.subscribers.values()):
                guard(subscriber, partial(subscriber.note_gap, origin, gap))

    def forget(self, origin: NodeId) -> None:
        """A run of a node is over for good: drop what was kept of its numbers."""
        for channel in self.channels.values():
            channel.heads.pop(origin, None)
        for group in self.groups.values():
            group.anchored.discard(origin)
        for name, passed in tuple(self._passed.items()):
            passed.pop(origin, None)
            if not passed:
                del self._passed[name]

    def subscribe(self, subscriber: Subscriber, joined_at: int) -> Group:
        """Add a subscriber; ``joined_at`` counts when it is the first of its kind. Return its group, or its team."""
        name, groups = self._place(subscriber)
        group = groups.get(name)
        if group is None:
            group = groups[name] = Group(subscriber.pattern, joined_at, subscriber.queue)
            if subscriber.queue:
                self._queues.add(name)
            elif is_pattern(name):
                self._patterns.add(name)
        group.subscribers[subscriber.pid] = subscriber
        self.subscriptions += 1
        return group

    def member(self, name: str, pid: Pid) -> Subscriber | None:
        """Return the subscriber that a process is in the group of exactly that name, None when it is none."""
        group = self.groups.get(name)
        return None if group is None else group.subscribers.get(pid)

    def unsubscribe(self, subscriber: Subscriber) -> bool:
        """Remove a subscriber, and its group or team when it was the last; return False if it is not there."""
        name, groups = self._place(subscriber)
        group = groups.get(name)
        if group is None or group.subscribers.get(subscriber.pid) is not subscriber:
            return False
        del group.subscribers[subscriber.pid]
        self.subscriptions -= 1
        if not group.subscribers:
            del groups[name]
            if subscriber.queue:
                self._queues.remove(name)
            elif is_pattern(name):
                self._patterns.remove(name)
            self._let_go(subscriber.pattern)
        return True

    def everyone(self) -> Iterable[Subscriber]:
        """Return all local subscribers."""
        both = (*self.groups.values(), *self.teams.values())
        return [one for group in both for one in group.subscribers.values()]

    def refresh(self, channel: Channel) -> None:
        """Work out the channel's local groups and subscribers anew."""
        channel.groups = tuple(self._covering(channel.name))
        channel.teams = tuple(self.teams[name] for name in self._queues.covering(channel.name))
        channel.subscribers = tuple(one for group in channel.groups for one in group.subscribers.values())
        channel.rejecting = tuple(one for one in channel.subscribers if one.inbox.overflow == "reject")
        shedding = channel.press is not None and channel.press.shedding
        channel.choosy = bool(channel.rejecting) or channel.settings.schema is not None or shedding

    def matching(self, pattern: str) -> Sequence[Channel]:
        """Return the channels in use that a pattern or an exact name covers."""
        return covered(self.channels, pattern)

    def _let_go(self, pattern: str) -> None:
        """Note that nobody subscribes to a pattern any more, and look what goes with it: once for all in one turn."""
        self._left.append(pattern)
        if len(self._left) == 1:
            self.later(self._tidy)

    def _tidy(self) -> None:
        """Drop channels that were in use only because peers published on them and somebody subscribed to them."""
        left, self._left = self._left, []
        for _, channel in tuple(covered_by(self.channels, left)):
            unused = channel.sequence == 0 and channel.posted is None and not channel.kept
            kept = channel.crashes or channel.closed or channel.name in self.declared
            gone = self.channels.get(channel.name) is not channel  # two of these patterns cover it
            if unused and not (kept or gone or self._waited_for(channel.name)):
                del self.channels[channel.name]
                self._spare += 1
                self._end(channel)

    def _place(self, subscriber: Subscriber) -> tuple[str, dict[str, Group]]:
        if subscriber.queue:
            return queue_name(subscriber.pattern, subscriber.queue), self.teams
        return subscriber.pattern, self.groups

    def _waited_for(self, name: str) -> bool:
        return bool(self._covering(name) or self._queues.covering(name))

    def _covering(self, name: str) -> list[Group]:
        names = [name, *self._patterns.match(name)]
        return [self.groups[one] for one in names if one in self.groups]

    def _make(self, name: str, settings: ChannelSettings) -> Channel:
        if name not in self.declared:  # a name that is configured for itself always has its channel
            if self._spare <= 0:
                self._tidy()
            if self._spare <= 0:
                raise LimitExceeded(f"{self._what}s", self._channels_max)
            self._spare -= 1
        channel = self.channels[name] = Channel(name, settings)
        channel.heads.update(self._passed.pop(name, {}))
        self._begin(channel)
        return channel

    def _begin(self, channel: Channel) -> None:
        """A channel comes into use."""
        if self.pressings is not None:
            self.pressings.begin(channel)
        if self.supervisor is not None:
            self.supervisor.begin(channel)

    def _end(self, channel: Channel) -> None:
        """It is not in use any more."""
        if self.pressings is not None:
            self.pressings.end(channel)
        if self.supervisor is not None:
            self.supervisor.end(channel)
