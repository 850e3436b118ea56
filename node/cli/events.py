"""``liminal events``: what happened at a node; once, or as it happens."""

from __future__ import annotations

from typing import Annotated

import typer

from .errors import Code, Stop
from .options import HttpOption, JsonOption, ServerOption, seconds
from .output import emit_json, emit_table
from .server import ask_json, http_url
from .tailing import PATH, Tailing, cells

__all__ = ["events", "register"]


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
        int | None, typer.Option("--count", "-n", min=1, help="With --follow: end after so many events.")
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --follow: end after this time; exit code 4 before --count."),
    ] = None,
) -> None:
    """Show what happened at a node, oldest first: members, links, channels, clients that were refused.

    A node keeps its last 512 events. What a follower misses, because more than that happened meanwhile, is counted on
    standard error, and with --jsonl as {"missed": n}.
    """
    if json and (jsonl or follow):
        raise Stop("--json is one document: --jsonl is the one for a stream", Code.USAGE)
    if not follow and (count is not None or timeout is not None):
        raise Stop("--count and --timeout go with --follow", Code.USAGE)
    patience = None if timeout is None else seconds(timeout, "--timeout")
    url = http_url(http, server)
    if follow or jsonl:
        raise typer.Exit(Tailing(url, jsonl, count, patience).run(follow))
    document = ask_json(url, PATH)
    if json:
        emit_json(document)
    else:
        emit_table(["AT", "LEVEL", "KIND", "FACTS"], [cells(event) for event in document.get("events", [])])
