"""``liminal events``: what happened at a node; once, or as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from json import dumps
from typing import Annotated, Any, Final

import typer

from ..text import printable
from .errors import Code, Stop
from .following import Following
from .options import HttpOption, JsonOption, ServerOption, seconds
from .output import emit, emit_json, emit_table, say
from .server import ask_json, http_url

__all__ = ["events", "register"]

_PATH: Final = "/api/v1/events"
_OWN: Final = frozenset({"id", "at", "kind", "level"})
"""What every event has."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("events")(events)


def events(
    server: ServerOption = None,
    http: HttpOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then what happens, until Ctrl-C.")] = False,
    json: JsonOption = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", min=1, metavar="COUNT", help="With --follow: end after so many events."),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --follow: end after this time; exit code 4 before --count."),
    ] = None,
) -> None:
    """Show what happened at a node, oldest first.

    Members, links, channels, clients that were refused: docs/events.md has every kind. A node keeps its last 512
    events. What a follower misses, because more than that happened meanwhile, is counted on standard error, and with
    --jsonl as {"missed": n}.
    """
    if json and (jsonl or follow):
        raise Stop("--json is one document: --jsonl is the one for a stream", Code.USAGE)
    if not follow and (count is not None or timeout is not None):
        raise Stop("--count and --timeout go with --follow", Code.USAGE)
    patience = None if timeout is None else seconds(timeout, "--timeout")
    url = http_url(http, server)
    if follow:
        raise typer.Exit(Following(url, _PATH, "last", partial(_show, jsonl), count, patience).run())
    document = ask_json(url, _PATH)
    if json:
        emit_json(document)
    elif jsonl:
        _show(True, document, None)
    else:
        emit_table(["AT", "LEVEL", "KIND", "FACTS"], [_cells(event) for event in document.get("events", [])])


def _show(jsonl: bool, document: Mapping[str, Any], most: int | None) -> int:
    if document["missed"]:
        say(f"missed {document['missed']} events: more happened than a node keeps")
        if jsonl:
            emit(dumps({"missed": document["missed"]}))
    events = document["events"][:most]
    for event in events:
        emit(dumps(event) if jsonl else "\t".join(map(printable, _cells(event))))
    return len(events)


def _cells(event: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return an event in words: when, how important, what, and its facts."""
    told = {key: value if isinstance(value, str) else dumps(value) for key, value in event.items() if key not in _OWN}
    at = datetime.fromtimestamp(event["at"]).astimezone().isoformat(" ", "milliseconds")
    facts = " ".join(f"{key}={value}" for key, value in told.items())
    return at, str(event.get("level", "")), str(event["kind"]), facts
