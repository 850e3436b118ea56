"""Reads histories: the files of all processes become one list in the order of time."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path

import msgspec

from .events import AnyEvent

__all__ = ["BadHistory", "read_files", "read_lines"]

_decode = msgspec.json.Decoder(AnyEvent).decode


class BadHistory(Exception):
    """The record itself is wrong: nothing can be said about what it records."""


def read_files(paths: Iterable[Path]) -> list[AnyEvent]:
    """Return all events of some files, oldest first.

    Raises:
        BadHistory: a file cannot be read as a history.
    """
    events: list[AnyEvent] = []
    for path in paths:
        events += read_lines(path.read_bytes(), str(path))
    events.sort(key=attrgetter("t_mono_ns"))  # stable: what one process did keeps its order
    return events


def read_lines(data: bytes, name: str = "") -> list[AnyEvent]:
    """Return the events of one file. A last line without its end is what a kill leaves: it is dropped.

    Raises:
        BadHistory: another line is broken, or time runs backwards.
    """
    lines = data.split(b"\n")
    lines.pop()  # empty, or torn
    events: list[AnyEvent] = []
    last = 0
    for number, line in enumerate(lines, 1):
        try:
            event = _decode(line)
        except msgspec.MsgspecError as error:
            raise BadHistory(f"{name}:{number}: {error}: {line[:200]!r}") from error
        if event.t_mono_ns < last:
            raise BadHistory(f"{name}:{number}: time runs backwards")
        last = event.t_mono_ns
        events.append(event)
    return events
