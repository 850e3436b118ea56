"""Structured logs: events with fields, silent in a program that embeds us until it wants to hear them.

``get_logger`` gives a structlog logger over a standard one below ``liminal``, and touches nothing global: a program
sets levels and handlers as for any library, and sees lines as :mod:`.lines` says. ``configure_logging`` belongs to
``liminal serve``, which owns its process.

Nothing is logged per message: a line costs 17 µs, and a publish has no time for it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO, TypeAlias, cast

import structlog
from structlog.typing import Processor

from .lines import FIELDS, ROOT, line_text
from .text import printable

__all__ = ["LEVELS", "ROOT", "Level", "configure_logging", "get_logger", "set_level"]

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
"""How important a line has to be, to be written."""

LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")
"""From the most talkative one on."""

Event = MutableMapping[str, Any]


def get_logger(name: str = "") -> structlog.stdlib.BoundLogger:
    """Return the logger ``liminal.<name>``; its calls take an event's name and its fields."""
    logger = structlog.wrap_logger(
        logging.getLogger(f"{ROOT}.{name}" if name else ROOT),
        processors=[structlog.stdlib.filter_by_level, _to_record],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def configure_logging(
    level: Level = "info",
    format: Literal["auto", "console", "json"] = "auto",  # noqa: A002 - the key's name in the configuration
    stream: TextIO | None = None,
) -> None:
    """Write this process's logs to ``stream`` (stderr by default); called again it replaces what it did before.

    Args:
        level: of our own lines; other libraries' are written from warnings on.
        format: ``auto`` is console on a terminal, JSON elsewhere.
        stream: where to.
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    console = format == "console" or (format == "auto" and terminal)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(console, colors=console and terminal and not os.environ.get("NO_COLOR")))
    root = logging.getLogger()
    for former in [former for former in root.handlers if isinstance(former.formatter, _Formatter)]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    set_level(level)


def set_level(level: Level) -> None:
    """Write our own lines from this level on."""
    logging.getLogger(ROOT).setLevel(level.upper())


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Told apart from handlers that are not ours."""


def _formatter(console: bool, colors: bool) -> _Formatter:
    rendered: list[Processor]
    if console:
        rendered = [structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)]
    else:
        rendered = [structlog.processors.JSONRenderer(default=str)]
    return _Formatter(
        processors=[
            _from_record,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _escape,
            *rendered,
        ]
    )


def _to_record(_logger: object, _method: str, event: Event) -> tuple[tuple[str], dict[str, Any]]:
    """Hand an event to the standard logger: readable for any handler, whole for ours."""
    passed = {key: event.pop(key) for key in ("exc_info", "stack_info", "stacklevel") if key in event}
    name = str(event.pop("event", ""))
    return (line_text(name, event),), {**passed, "extra": {FIELDS: {"event": name, **event}}}


def _from_record(_logger: object, _method: str, event: Event) -> Event:
    """Build the event again from a record, ours or another library's."""
    record: logging.LogRecord = event["_record"]
    fields: dict[str, Any] = getattr(record, FIELDS, {})
    rebuilt: Event = {"event": fields.get("event", event["event"]), "level": record.levelname.lower()}
    rebuilt["logger"] = record.name
    rebuilt.update({key: value for key, value in fields.items() if key != "event"})
    rebuilt.update({key: event[key] for key in ("_record", "_from_structlog", "exc_info") if key in event})
    return rebuilt


def _escape(_logger: object, _method: str, event: Event) -> Event:
    traceback = event.pop("exception", None)
    escaped: Event = {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
    if traceback:
        escaped["exception"] = "\n".join(map(printable, traceback.splitlines()))
    return escaped
