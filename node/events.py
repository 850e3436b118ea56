"""What happened at a node, for whoever asks: a bounded ring of events, and the one place where their lines are logged.

An event is noted by whoever brings it about, with one call::

    hub.note("link_up", peer="b", address="10.0.0.2:7601")
    hub.note("channel_failed", level="warning", channel="orders", reason="error: ...")
    hub.events.broke("connection_crashed", error, pid="a.17.4")

The kind says what became true. ``docs/events.md`` has every kind in a table, and a test holds the calls to that table.
Facts are short texts, numbers, flags, and lists of these; 64-bit numbers are handed in as text. Events are for what
happens to nodes, links, channels and connections: never for a message, nor for anything that a client can make happen
as often as it likes.

A reader asks for what came after the last event that it has seen, and is told how many it has missed, since only the
last ones are kept.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

from .lines import write_line

if TYPE_CHECKING:
    from liminal_mesh.cluster import Notice

    from .logs import Level

__all__ = ["EVENTS_MAX", "Event", "Events", "Tail"]

log = logging.getLogger("liminal.node")

EVENTS_MAX: Final = 512
"""How many events are kept."""

TEXT_MAX: Final = 1024
"""The longest text of a fact that is kept; a line in the log has all of it."""

OWN: Final = frozenset({"id", "at", "kind", "level"})
"""What every event has; no fact may have these names."""

Event: TypeAlias = "dict[str, Any]"
"""``id`` (a text that grows: the run of the node and a number), ``at`` (seconds since 1970), ``kind``, ``level``, and
the facts of that kind."""


class Tail(NamedTuple):
    """What came after an event: what is kept of it, how many more there were, and the ``id`` to ask with next."""

    events: tuple[Event, ...]
    missed: int
    last: str


class Events:
    """The events of one run of a node.

    Args:
        epoch: the run.
        wall_ns: the clock, in nanoseconds since 1970.
        noted: called after each event. Must be quick.
    """

    def __init__(self, epoch: int, wall_ns: Callable[[], int], noted: Callable[[], None] = lambda: None) -> None:
        self._epoch = epoch
        self._wall_ns = wall_ns
        self._noted = noted
        self._ring: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._count = 0

    def __iter__(self) -> Iterator[Event]:
        """Yield the events that are kept, oldest first."""
        return iter(tuple(self._ring))

    @property
    def last(self) -> str:
        """The ``id`` of the last event."""
        return self._id(self._count)

    def note(self, kind: str, /, level: Level = "info", **facts: object) -> None:
        """Keep an event, and write its line; what is for debugging is a line alone.

        Args:
            kind: what became true, in words divided by underscores.
            level: a ``warning`` wants somebody to look, an ``error`` says that something broke.
            facts: what there is to know about it.
        """
        self._note(kind, level, None, facts)

    def notice(self, notice: Notice) -> None:
        """Note what was noticed at the network."""
        self._note(notice.event, notice.level, notice.error, notice.fields)

    def broke(self, kind: str, error: BaseException, /, **facts: object) -> None:
        """Do the same for a defect, whose traceback belongs into the log."""
        self._note(kind, "error", error, facts)

    def _note(self, kind: str, level: Level, error: BaseException | None, facts: Mapping[str, object]) -> None:
        write_line(log, logging.getLevelNamesMapping()[level.upper()], kind, facts, error)
        if level == "debug":
            return
        assert not facts.keys() & OWN, f"event {kind} has a fact called {min(facts.keys() & OWN)}"
        self._count += 1
        kept = {name: _kept(value) for name, value in facts.items()}
        self._ring.append({"id": self.last, "at": self._wall_ns() / 1e9, "kind": kind, "level": level, **kept})
        self._noted()

    def after(self, seen: str = "") -> Tail:
        """Return what came after the event with this ``id``, or all that is kept.

        Of a former run nothing is known here: whoever has seen one of its events gets this run from its beginning.

        Raises:
            ValueError: an event has no such ``id``.
        """
        epoch, number = _read(seen) if seen else (self._epoch, self._count - len(self._ring))
        known = min(number, self._count) if epoch == self._epoch else 0
        missed = max(0, self._count - len(self._ring) - known)
        fresh = self._count - known - missed
        return Tail(tuple(islice(self._ring, len(self._ring) - fresh, None)), missed, self.last)

    def _id(self, number: int) -> str:
        return f"{self._epoch}.{number}"


def _read(text: str) -> tuple[int, int]:
    epoch, _, number = text.partition(".")
    if not (text.isascii() and epoch.isdecimal() and number.isdecimal() and len(text) <= 64):
        raise ValueError(f"{text[:64]!r} is no event's id, such as '1722470400000.17'")
    return int(epoch), int(number)


def _kept(value: object) -> object:
    """Return a fact as JSON can hold it, and no longer than it may be."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_text(str(key)): _kept(inner) for key, inner in value.items()}
    if type(value) in {list, tuple, set, frozenset}:  # a Pid is one by inheritance, and reads better as text
        return [_kept(inner) for inner in cast("Iterable[object]", value)]
    return _text(str(value))


def _text(text: str) -> str:
    whole = text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}..."
    return whole.encode("utf-8", "backslashreplace").decode()
