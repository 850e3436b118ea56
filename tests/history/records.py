"""What a history knows of one publish, one subscription, one run of a process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TypeAlias

from .events import Attempt, Close, Deliver, Drain, Gap, NodeRun, Publish, Settle, Subscribe, Type, Unsubscribe

__all__ = [
    "DrainRecord",
    "ForcedClose",
    "Item",
    "Key",
    "KeyedAttempt",
    "Lifetime",
    "Numbered",
    "Publication",
    "Stream",
    "SubscriptionRecord",
    "covers",
]

Key: TypeAlias = tuple[str, int]
"""A client and the number of its publish."""

Stream: TypeAlias = tuple[str, str, int]
"""A channel, and the run of the origin: within it sequences count from 1."""

Item: TypeAlias = "Deliver | Gap"


@dataclass(slots=True, eq=False)
class Publication:
    """One publish: its beginning, its end if it has one, and where it certainly was numbered, if that is known."""

    invoke: Publish
    end: Publish | None = None
    origin: NodeRun | None = None

    @property
    def key(self) -> Key:
        """Which it is."""
        return self.invoke.client, self.invoke.id

    @property
    def outcome(self) -> Type:
        """How it ended; an open end is as good as unknown."""
        return "info" if self.end is None else self.end.type

    def settle(self, end: Publish) -> None:
        """Take its end; the origin is certain if one connection, or one node, saw both."""
        self.end = end
        begin = self.invoke
        if end.type == "ok" and (begin.node, begin.epoch, begin.session) == (end.node, end.epoch, end.session):
            self.origin = end.node, end.epoch


@dataclass(slots=True, eq=False)
class KeyedAttempt:
    """One publish with a key: its beginning, and its end if it has one."""

    invoke: Attempt
    end: Attempt | None = None

    @property
    def place(self) -> tuple[str, str]:
        """The channel and the key."""
        return self.invoke.channel, self.invoke.key

    @property
    def outcome(self) -> Type:
        """How it ended; an open end is as good as unknown."""
        return "info" if self.end is None else self.end.type


class Numbered:
    """The publishes that a run of a node has numbered on a channel, certainly or perhaps, oldest first.

    Many subscriptions ask, each for a short time: so times are looked up, not searched for.
    """

    def __init__(self, publications: list[Publication], origin: NodeRun) -> None:
        self.all = publications
        self._begins = [one.invoke.t_mono_ns for one in publications]
        self._ends = sorted(
            one.end.t_mono_ns
            for one in publications
            if one.end is not None and one.end.type == "ok" and one.origin == origin
        )

    def begun_before(self, time: int) -> int:
        """Return how many had begun."""
        return bisect_left(self._begins, time)

    def acknowledged_before(self, time: int) -> int:
        """Return how many certainly had their numbers."""
        return bisect_left(self._ends, time)

    def begun_between(self, first: int, last: float) -> list[Publication]:
        """Return those that began in a time, its ends included."""
        return self.all[bisect_left(self._begins, first) : bisect_right(self._begins, last)]


@dataclass(slots=True, eq=False)
class SubscriptionRecord:
    """One subscription instance, and all that it was handed.

    Attributes:
        answered: the end of its subscribe; ``stood`` is the same if that was well.
        settled: when it began to wait for the last messages; ``unsettled`` says that it waited in vain.
        firsts: what came to it and had not come before, wanted or not; ``repeats`` are the others.
        insisted: what was handed out although its predicate had not wanted it.
        streams: what it was handed, by stream.
        got: the keys of all that it got.
        peers: the runs that were linked with its node all through its barrier.
    """

    asked: Subscribe
    answered: Subscribe | None = None
    stood: Subscribe | None = None
    left: Unsubscribe | None = None
    drained: bool = False
    settled: Settle | None = None
    unsettled: Settle | None = None
    firsts: list[Deliver] = field(default_factory=list)
    repeats: list[Deliver] = field(default_factory=list)
    insisted: list[Deliver] = field(default_factory=list)
    streams: dict[Stream, list[Item]] = field(default_factory=dict)
    got: set[Key] = field(default_factory=set)
    peers: frozenset[NodeRun] = frozenset()
    _messages: set[tuple[str, int, int]] = field(default_factory=set)
    _unwanted: set[tuple[str, int, int]] = field(default_factory=set)

    @property
    def home(self) -> NodeRun | None:
        """The node that it stood at first."""
        return None if self.stood is None else (self.stood.node, self.stood.epoch)

    def due(self, origin: NodeRun) -> int | None:
        """Return until when what ``origin`` accepted must have come to it, or None when its end excuses the rest.

        It is due when the subscription has settled, and, at the subscription's own node, when it was read to its end.
        """
        settled = None if self.settled is None else self.settled.t_mono_ns
        if self.drained and self.left is not None and origin == self.home:
            return self.left.t_mono_ns
        return settled

    def take(self, item: Item, keyed: bool = False) -> None:
        """Note what it was handed; several messages may have the content of one that is ``keyed``."""
        stream = item.channel, item.origin, item.origin_epoch
        items = self.streams.get(stream)
        if items is None:
            items = self.streams[stream] = []
        items.append(item)
        if isinstance(item, Deliver):
            message, key = (item.origin, item.origin_epoch, item.message), (item.client, item.n)
            if item.wanted and message in self._unwanted:
                self.insisted.append(item)
                return
            if not item.wanted:
                self._unwanted.add(message)
            if message in self._messages or (key in self.got and not keyed):
                self.repeats.append(item)
            else:
                self.firsts.append(item)
            self._messages.add(message)
            if item.client:
                self.got.add(key)


@dataclass(slots=True, eq=False)
class DrainRecord:
    """How one run of a node left."""

    began: Drain
    over: Drain | None = None


@dataclass(slots=True, eq=False)
class ForcedClose:
    """How one connection of a client was closed by its node."""

    began: Close
    over: Close | None = None


@dataclass(slots=True, eq=False)
class Lifetime:
    """One run of a process; ``ended`` is None when nobody saw its end, ``code`` when nobody saw its exit code."""

    proc: str
    node: NodeRun
    began: int
    ended: int | None = None
    killed: bool = False
    code: int | None = None


def covers(pattern: str, channel: str) -> bool:
    """Whether a pattern covers a channel: ``*`` stands for one token, a final ``>`` for one or more."""
    wanted, tokens = pattern.split("."), channel.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(one in ("*", token) for one, token in zip(wanted, tokens, strict=True))
