"""A line of the log: the name of an event and its facts, readable for any handler, and whole for ours.

Everything below ``liminal`` is written so. A program that embeds the bus reads ``event key=value`` with whatever
handler it has, and finds the facts in the record's ``fields`` as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from .text import printable

__all__ = ["FIELDS", "ROOT", "line_text", "write_line"]

ROOT: Final = "liminal"
"""The logger above all of ours."""

FIELDS: Final = "fields"
"""The attribute of a log record that holds the event and its facts."""

# Without it Python would write the warnings of a library to stderr of a program that never asked for logs.
logging.getLogger(ROOT).addHandler(logging.NullHandler())


def write_line(
    log: logging.Logger, level: int, event: str, facts: Mapping[str, object], error: BaseException | None = None
) -> None:
    """Write a line, if lines of that level are wanted; an ``error`` comes with its traceback."""
    if log.isEnabledFor(level):
        log.log(level, line_text(event, facts), extra={FIELDS: {"event": event, **facts}}, exc_info=error)


def line_text(event: str, facts: Mapping[str, object]) -> str:
    """Return a line for whoever reads it; what others have chosen can neither forge one nor fill the log."""
    return " ".join((event, *(f"{name}={printable(str(value))}" for name, value in facts.items())))
