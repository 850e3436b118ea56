"""Errors of the bus.

::

    LiminalError
    ├── Refused
    │   ├── AckRefused            the channel knows no such acknowledgement
    │   ├── Busy                  a bound of the publisher's own is reached: wait, then call again
    │   ├── ChannelClosed         the channel was closed
    │   ├── ChannelExists         a channel of this name is there already
    │   ├── ChannelNotConfigured  no configuration covers this channel
    │   ├── ConfigError           the configuration has problems, all of them listed
    │   ├── Draining              the node is leaving and takes nothing new
    │   ├── InFlight              another publish with this key is under way: ask again later
    │   ├── KeyReused             the key was given to another message
    │   ├── LimitExceeded         a bound of [limits] would be passed
    │   ├── NoProcess             the process is over, or is none of this bus
    │   ├── NotAuthorized         the caller may not do this here
    │   ├── Rejected              a subscription with the overflow policy "reject" has no room
    │   ├── SchemaIncompatible    two sides know no version of a schema in common
    │   └── SchemaRejected        the payload is not what the channel's schema demands
    ├── Failed
    │   ├── ChannelFailed         the channel broke, for the reason given
    │   └── NoConnection          the session with the node ended, or cannot be had
    ├── Unknown
    │   └── OutcomeUnknown        the connection ended before the answer came
    └── DeadlineExceeded          the caller's time was up: Refused when nothing was sent, else Unknown
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from liminal_mesh.storage import Failed, LiminalError, Refused, Unknown

from .values import Pressure

__all__ = [
    "AckRefused",
    "Busy",
    "ChannelClosed",
    "ChannelExists",
    "ChannelFailed",
    "ChannelNotConfigured",
    "ConfigError",
    "DeadlineExceeded",
    "Draining",
    "InFlight",
    "KeyReused",
    "LimitExceeded",
    "NoConnection",
    "NoProcess",
    "NotAuthorized",
    "OutcomeUnknown",
    "Problem",
    "Rejected",
    "SchemaIncompatible",
    "SchemaRejected",
]


class AckRefused(Refused):
    """The channel knows no such acknowledgement: nothing was sent."""

    def __init__(self, channel: str, ack: str) -> None:
        self.channel = channel
        self.ack = ack
        super().__init__(f"channel {channel!r} is ephemeral: ack may be 'accepted' or 'nodes', not {ack!r}")


class Busy(Refused):
    """A bound of the publisher's own (window, lane, connection) is reached: nothing was sent; try again later."""

    def __init__(self, retry_after: float, where: str = "") -> None:
        self.retry_after = retry_after
        self.where = where
        at = f" ({where})" if where else ""
        super().__init__(f"no room for this publish{at}: wait {retry_after:.3g} s, or for 'writable', and try again")


class ChannelClosed(Refused):
    """The channel was closed: it takes no publishes and no subscriptions."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        super().__init__(f"channel {channel!r} is closed: it can be used again once it is created again")


class ChannelExists(Refused):
    """A channel of this name is there already: it was left as it is."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        super().__init__(f"channel {channel!r} exists already: close it first, or the family that it is of")


class ChannelNotConfigured(Refused):
    """No configuration covers the channel: the name is misspelt, or its declaration is missing on this node."""

    def __init__(self, channel: str, nearest: str = "") -> None:
        self.channel = channel
        self.nearest = nearest
        hint = f"did you mean {nearest!r}?" if nearest else "declare it in [[channels]]"
        super().__init__(f"channel {channel!r} is not configured: {hint}")


class Problem(Struct, frozen=True):
    """One thing that is wrong with a configuration.

    ``path`` is where in the model (``channels[2].inbox.overflow``), ``place`` is where it was written: a file and
    line, an environment variable or a flag.
    """

    path: str
    message: str
    place: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.place, self.path, self.message)))


class ConfigError(Refused):
    """The configuration has problems, all of them listed: nothing was started."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problems" if len(self.problems) != 1 else "1 problem"
        super().__init__("\n".join((f"{count} in the configuration:", *(f"  {problem}" for problem in self.problems))))


class Draining(Refused):
    """The node is leaving and takes nothing new: go to one of the other addresses."""

    def __init__(self, other_addresses: Sequence[str] = ()) -> None:
        self.other_addresses = tuple(other_addresses)
        others = f": go to {', '.join(self.other_addresses)}" if self.other_addresses else ""
        super().__init__(f"the node is draining and takes nothing new{others}")


class InFlight(Refused):
    """Another publish with this key is under way, and nobody knows its end yet: publish again with the same key."""

    def __init__(self, retry_after: float, channel: str = "", key: str = "") -> None:
        self.retry_after = retry_after
        self.channel = channel
        self.key = key
        super().__init__(
            f"a publish with the key {key!r} is under way on channel {channel!r}: "
            f"publish again with the same key in {retry_after:.3g} s"
        )


class KeyReused(Refused):
    """The key was given to another message: this one was delivered to nobody, and needs a key of its own."""

    def __init__(self, channel: str, key: str) -> None:
        self.channel = channel
        self.key = key
        super().__init__(f"the key {key!r} was used for another message on channel {channel!r}: give this one another")


class LimitExceeded(Refused):
    """A bound of ``[limits]`` would be passed: nothing was done; the bound has a name, and can be raised by it."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        own = name.replace("_", ".") if name in {"inbox_messages", "inbox_bytes"} else ""
        where = f"limits.{name} (or {own} of the channel)" if own else f"limits.{name}"
        super().__init__(f"{where} is {limit}, and this would pass it")


class NoProcess(Refused):
    """The process is over, or is none that this bus has spawned: nothing was done."""

    def __init__(self, pid: str, reason: str) -> None:
        self.pid = pid
        self.reason = reason
        super().__init__(f"process {pid} can do nothing here: {reason}")


class NotAuthorized(Refused):
    """The caller may not do this here."""

    def __init__(self, verb: str, name: str) -> None:
        self.verb = verb
        self.name = name
        super().__init__(f"not allowed to {verb} {name!r}")


class Rejected(Refused):
    """A subscription with the overflow policy ``reject`` has no room: nothing was stored or sent to anyone."""

    def __init__(self, reason: str, pressure: Pressure) -> None:
        self.reason = reason
        self.pressure = pressure
        super().__init__(
            f"rejected: {reason} ({pressure.in_flight} of {pressure.max_in_flight} in flight, "
            f"{pressure.buffered} of {pressure.max_buffered} buffered)"
        )


class SchemaIncompatible(Refused):
    """What is ``offered`` is no version of a schema that is ``accepted``: nothing was changed.

    Of a subscription: the versions of the channel, and those that the subscriber named. Of an evolution: the new
    version, and the one in force; ``reasons`` says, place by place, what the new one would refuse.
    """

    def __init__(self, offered: Sequence[str], accepted: Sequence[str], reasons: Sequence[str] = ()) -> None:
        self.offered = tuple(offered)
        self.accepted = tuple(accepted)
        self.reasons = tuple(reasons)
        sides = f"{', '.join(self.offered) or 'no schema'} is offered, {', '.join(self.accepted) or 'none'} is accepted"
        super().__init__(": ".join((f"incompatible schemas: {sides}", "; ".join(self.reasons))).removesuffix(": "))


class SchemaRejected(Refused):
    """The payload is not what the channel's schema demands: nothing was stored or sent.

    ``path`` is where in the payload, as a JSON pointer (``/items/0/amount``, "" for the whole of it).
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"the payload{f' at {path}' if path else ''} is refused by the channel's schema: {reason}")


class ChannelFailed(Failed):
    """The channel broke after it had accepted work, for the reason given."""

    def __init__(self, channel: str, reason: str) -> None:
        self.channel = channel
        self.reason = reason
        super().__init__(f"channel {channel!r} failed: {reason}")


class NoConnection(Failed):
    """The session with the node ended, or none can be had. Normal when nodes or networks fail."""

    def __init__(self, node: str, reason: str = "") -> None:
        self.node = node
        self.reason = reason
        super().__init__(f"no connection to {node}" + (f": {reason}" if reason else ""))


class OutcomeUnknown(Unknown):
    """The connection or the peer went before the answer came: retry with the same key."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the outcome is unknown: {reason}")


class DeadlineExceeded(LiminalError):
    """The caller's time was up during ``phase``; what was begun may still happen, unless nothing was ``sent``.

    An instance is :class:`Refused` when nothing was sent, and :class:`Unknown` otherwise.
    ``missing`` names the nodes that had not answered.
    """

    def __new__(cls, *args: object, **fields: object) -> DeadlineExceeded:  # noqa: D102 - picks the kind
        kind = cls
        if cls is DeadlineExceeded:
            sent = args[4] if len(args) > 4 else fields.get("sent", True)
            kind = _DeadlineUnknown if sent else _DeadlineRefused
        return super().__new__(kind)

    def __init__(
        self, phase: str, node: str = "", attempts: int = 1, missing: Sequence[str] = (), sent: bool = True
    ) -> None:
        self.phase = phase
        self.node = node
        self.attempts = attempts
        self.missing = tuple(missing)
        self.sent = sent
        at = f" at {node}" if node else ""
        tries = f", after {attempts} attempts" if attempts > 1 else ""
        without = f"; missing: {', '.join(self.missing)}" if self.missing else ""
        unsent = "" if sent else "; nothing was sent"
        super().__init__(f"time was up during {phase}{at}{tries}{without}{unsent}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy by the class that has a name of its own, which picks the kind again."""
        return partial(DeadlineExceeded, **self.fields()), ()  # type: ignore[arg-type]


class _DeadlineRefused(DeadlineExceeded, Refused):
    """Nothing was sent."""


class _DeadlineUnknown(DeadlineExceeded, Unknown):
    """Something was sent, and may have happened."""


# A traceback names what a program can catch.
for _kind in (_DeadlineRefused, _DeadlineUnknown):
    _kind.__name__ = _kind.__qualname__ = DeadlineExceeded.__name__
