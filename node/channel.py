"""Channels by name, and this node's subscribers by channel: who gets a publish, kept ready.

A channel is made when it is first used, from the configuration that covers its name. What a publish needs - the
local subscribers, the routes to interested peers - is worked out once and kept until something changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from liminal_mesh.cluster import NodeId, Pid, TokenTrie

from .errors import ChannelNotConfigured, LimitExceeded
from .inbox import Inbox, Overflow, Run
from .names import check_name, is_pattern, matches, nearest
from .restarts import RestartBudget, Restarts
from .values import Gap, Pressure

if TYPE_CHECKING:
    from .batch import Batch
    from .route import Route
    from .supervision import Crashed, Guard, Supervisor

__all__ = ["Channel", "ChannelSettings", "ChannelTable", "Group", "Listener", "Subscriber"]


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What the configuration says of a channel, or of a family of them."""

    name: str
    messages: int = 4096
    size: int = 4 * 1024 * 1024
    overflow: Overflow = "drop-oldest"
    ack: str = "accepted"
    restart: RestartBudget = field(default_factory=RestartBudget)


class Listener(Protocol):
    """The shell of a subscriber. Called from within a publish: must be quick, and must not publish."""

    def ready(self) -> None:
        """Something waits in the inbox."""

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """From ``heads`` on, everything of ``origin`` arrives or shows as a gap."""


class Subscriber:
    """One subscription of this node, whoever holds it."""

    __slots__ = ("failure", "inbox", "listener", "pattern", "pid")

    def __init__(self, pid: Pid, pattern: str, inbox: Inbox, listener: Listener) -> None:
        self.pid = pid
        self.pattern = pattern
        self.inbox = inbox
        self.listener = listener
        self.failure: Exception | None = None
        """What went wrong when it was taken down."""

    def offer(self, run: Run) -> int:
        """Take what the inbox accepts of a run; return how many messages."""
        accepted = self.inbox.offer(run)
        self.listener.ready()
        return accepted

    def note_gap(self, origin: NodeId, gap: Gap) -> None:
        """Take a gap."""
        self.inbox.note_gap(origin, gap)
        self.listener.ready()


@dataclass(slots=True)
class Group:
    """This node's subscribers of one pattern: one group of the registry.

    ``joined_at`` is the position of this node's log at which the group came to be; an origin in ``anchored`` has
    applied it and said where its channels stood, so that from there on whatever is missing is a gap.
    """

    pattern: str
    joined_at: int
    subscribers: dict[Pid, Subscriber] = field(default_factory=dict)
    anchored: set[NodeId] = field(default_factory=set)


class Channel:
    """One channel in use.

    Attributes:
        sequence: this node's publishes on it so far.
        heads: the last sequence of each other origin that was delivered or told as lost.
    """

    __slots__ = (
        "failed",
        "groups",
        "heads",
        "holder",
        "interested",
        "lost",
        "name",
        "pid",
        "posted",
        "rejecting",
        "restarts",
        "routes",
        "sequence",
        "settings",
        "stamp",
        "subscribers",
    )

    def __init__(self, name: str, settings: ChannelSettings) -> None:
        self.name = name
        self.settings = settings
        self.sequence = 0
        self.pid: Pid | None = None
        """Its process now; a process group has none."""
        self.restarts: Restarts | None = None
        self.failed = ""
        """Why it is refused, when it crashed too often."""
        self.holder: Batch | None = None
        self.posted: Batch | None = None
        """The node's own publishes of this turn without an answer."""
        self.heads: dict[NodeId, int] = {}
        self.stamp = -1
        self.groups: tuple[Group, ...] = ()
        self.subscribers: tuple[Subscriber, ...] = ()
        self.rejecting: tuple[Subscriber, ...] = ()
        self.interested: frozenset[str] = frozenset()
        self.lost: frozenset[str] = frozenset()
        self.routes: tuple[Route, ...] = ()

    @property
    def crowded(self) -> bool:
        """Whether a publisher should wait: a peer that keeps up has half a lane of it before it."""
        for route in self.routes:  # noqa: SIM110 - no generator: this stands in front of every publish
            if route.lane.crowded:
                return True
        return False

    def pressure(self) -> Pressure:
        """Return the worst decision that a publish made now would meet at the local subscribers."""
        if self.holder is not None:
            self.holder.flush()
        if not self.subscribers:
            return Pressure()
        return max((one.inbox for one in self.subscribers), key=Inbox.fullness).pressure()

    @property
    def crashes(self) -> int:
        """How often a delivery on it crashed, and it was restarted or failed."""
        return (self.restarts.count if self.restarts is not None else 0) + bool(self.failed)

    def fail(self, reason: str) -> None:
        """Refuse everything from here on."""
        self.failed, self.stamp = reason, -1

    def pass_over(self, origin: NodeId, last: int, reason: str, crashed: Crashed) -> int:
        """Count everything of ``origin`` up to ``last`` that did not arrive as lost; tell who waits for it.

        Returns how many messages some subscriber was told of; ``crashed`` hears of one that could not be told.
        """
        head = self.heads.get(origin, 0)
        if last <= head:
            return 0
        self.heads[origin] = last
        gap = Gap(self.name, origin.name, head + 1, last, last - head, reason, origin.epoch)
        anchored = [group for group in self.groups if origin in group.anchored]
        for group in anchored:
            for subscriber in tuple(group.subscribers.values()):
                try:
                    subscriber.note_gap(origin, gap)
                except Exception as error:  # noqa: BLE001 - it is the supervisor's
                    crashed(self, subscriber, error)
        return gap.count if anchored else 0


class ChannelTable:
    """All channels in use and all local groups.

    Args:
        settings: what is configured, exact names and families.
        channels_max: how many channels may be in use.
        what: what the names are names of, in errors.
    """

    def __init__(self, settings: Iterable[ChannelSettings], channels_max: int, what: str = "channel") -> None:
        configured = tuple(settings)
        self._exact = {entry.name: entry for entry in configured if not is_pattern(entry.name)}
        self._families = tuple(entry for entry in configured if is_pattern(entry.name))
        self._default = ChannelSettings("")
        self._channels_max = channels_max
        self._what = what
        self._spare = channels_max
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, Group] = {}
        self.subscriptions = 0
        self._patterns = TokenTrie()
        self._passed: dict[str, dict[NodeId, int]] = {}
        """Up to where origins' publishes on channels that are not in use were told as lost."""
        self.supervisor: Supervisor | None = None
        """Is told of channels that come into use, and go."""

    def configured(self) -> tuple[ChannelSettings, ...]:
        """Return what is configured, families last."""
        return (*self._exact.values(), *self._families)

    def settings(self, name: str) -> ChannelSettings:
        """Return what the configuration says of an exact name or a pattern.

        A pattern takes the settings of the family that bears its text or covers it, else the defaults.

        Raises:
            ChannelNotConfigured: no configuration covers the exact name.
        """
        entry = self._exact.get(name) or next((one for one in self._families if one.name == name), None)
        entry = entry or next((one for one in self._families if matches(one.name, name)), None)
        if entry is None and is_pattern(name):
            return self._default
        if entry is None:
            raise ChannelNotConfigured(name, nearest(name, self._exact))
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
        """Return the channel of a remote publish if a local group covers it; it need not be configured here.

        None also when too many channels are in use: one peer's channels must not end its link.
        """
        channel = self.channels.get(name)
        if channel is not None:
            return channel
        if not self._covering(name) or (name not in self._exact and self._spare <= 0):
            return None
        try:
            settings = self.settings(name)
        except ChannelNotConfigured:
            settings = self._default
        return self._make(name, settings)

    def no_room(self, name: str, origin: NodeId, first: int, last: int, guard: Guard) -> None:
        """Tell whoever waits for a channel that is not in use of remote publishes on it: there was no room for it."""
        passed = self._passed.setdefault(name, {}) if len(self._passed) < self._channels_max else {}
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
        """Add a subscriber; ``joined_at`` counts when it is the first of its pattern. Return its group."""
        group = self.groups.get(subscriber.pattern)
        if group is None:
            group = self.groups[subscriber.pattern] = Group(subscriber.pattern, joined_at)
            if is_pattern(subscriber.pattern):
                self._patterns.add(subscriber.pattern)
        group.subscribers[subscriber.pid] = subscriber
        self.subscriptions += 1
        return group

    def member(self, name: str, pid: Pid) -> Subscriber | None:
        """Return the subscriber that a process is in the group of exactly that name, None when it is none."""
        group = self.groups.get(name)
        return None if group is None else group.subscribers.get(pid)

    def unsubscribe(self, subscriber: Subscriber) -> bool:
        """Remove a subscriber, and its group when it was the last; return False if it is not there."""
        if self.member(subscriber.pattern, subscriber.pid) is not subscriber:
            return False
        group = self.groups[subscriber.pattern]
        del group.subscribers[subscriber.pid]
        self.subscriptions -= 1
        if not group.subscribers:
            del self.groups[subscriber.pattern]
            if is_pattern(subscriber.pattern):
                self._patterns.remove(subscriber.pattern)
            self._let_go(subscriber.pattern)
        return True

    def everyone(self) -> Iterable[Subscriber]:
        """Return all local subscribers."""
        return [one for group in self.groups.values() for one in group.subscribers.values()]

    def refresh(self, channel: Channel) -> None:
        """Work out the channel's local groups and subscribers anew."""
        channel.groups = tuple(self._covering(channel.name))
        channel.subscribers = tuple(one for group in channel.groups for one in group.subscribers.values())
        channel.rejecting = tuple(one for one in channel.subscribers if one.inbox.overflow == "reject")

    def matching(self, pattern: str) -> Iterable[Channel]:
        """Return the channels in use that a pattern or an exact name covers."""
        if not is_pattern(pattern):
            channel = self.channels.get(pattern)
            return () if channel is None else (channel,)
        return [channel for channel in self.channels.values() if matches(pattern, channel.name)]

    def _let_go(self, pattern: str) -> None:
        """Drop channels that were in use only because peers published on them and ``pattern`` was subscribed to."""
        for channel in tuple(self.matching(pattern)):
            unused = channel.sequence == 0 and channel.posted is None and channel.holder is None and not channel.crashes
            if unused and channel.name not in self._exact and not self._covering(channel.name):
                del self.channels[channel.name]
                self._spare += 1
                if self.supervisor is not None:
                    self.supervisor.end(channel)

    def _covering(self, name: str) -> list[Group]:
        names = [name, *self._patterns.match(name)]
        return [self.groups[one] for one in names if one in self.groups]

    def _make(self, name: str, settings: ChannelSettings) -> Channel:
        if name not in self._exact:  # a name that is configured for itself always has its channel
            if self._spare <= 0:
                raise LimitExceeded(f"{self._what}s", self._channels_max)
            self._spare -= 1
        channel = self.channels[name] = Channel(name, settings)
        channel.heads.update(self._passed.pop(name, {}))
        if self.supervisor is not None:
            self.supervisor.begin(channel)
        return channel
