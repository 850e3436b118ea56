"""``liminal groups``: the process groups of the mesh, as one node sees them; once, or as they change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from json import dumps
from typing import Annotated, Any, Final

import typer

from ..text import printable
from .errors import Code, Stop
from .following import Following
from .options import HttpOption, JsonOption, ServerOption, seconds
from .output import emit, emit_json, emit_table
from .server import ask_json, http_url

__all__ = ["groups", "register"]

_PATH: Final = "/api/v1/groups"

PAUSE_S: Final = 1.0
"""Where many come and go, the whole list is asked for no more often than this."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("groups")(groups)


def groups(
    server: ServerOption = None,
    http: HttpOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the changes until Ctrl-C.")] = False,
    json: JsonOption = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line, with --watch.")] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, metavar="COUNT", help="With --watch: end after so many lines.")
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --watch: end after this time; exit code 4 before --count."),
    ] = None,
) -> None:
    """List the groups of the mesh, and where their members are.

    A channel's subscriptions are a group too, of the scope "channel"; those that share what is published, one of the
    scope "queue", with its name behind a colon. --watch shows each member that is there, then
    those that join or leave; what comes and goes within a second may not be seen.
    """
    if watch and json:
        raise Stop("--json does not go with --watch, which is a stream of members: --jsonl does", Code.USAGE)
    if not watch and (jsonl or count is not None or timeout is not None):
        raise Stop("--jsonl, --count and --timeout go with --watch", Code.USAGE)
    patience = None if timeout is None else seconds(timeout, "--timeout")
    url = http_url(http, server)
    if watch:
        changes = _Changes(jsonl)
        raise typer.Exit(Following(url, _PATH, "version", changes.show, count, patience, PAUSE_S).run())
    document = ask_json(url, _PATH)
    if json:
        emit_json(document)
        return
    emit_table(
        ["SCOPE", "NAME", "MEMBERS", "ON"],
        [
            [
                group["scope"],
                group["name"],
                len(group["members"]),
                " ".join(sorted({at["node"] for at in group["members"]})),
            ]
            for group in document.get("groups", [])
        ],
    )


class _Changes:
    """Shows who has joined and left since the last answer."""

    def __init__(self, jsonl: bool) -> None:
        self._jsonl = jsonl
        self._seen: set[tuple[str, ...]] = set()

    def show(self, document: Mapping[str, Any], most: int | None) -> int:
        """Show a line for each, at most so many; return how many."""
        now = set(_members(document))
        changes = [("left", *one) for one in sorted(self._seen - now)]
        changes += [("joined", *one) for one in sorted(now - self._seen)]
        self._seen = now
        for change in changes[:most]:
            emit(self._line(*change))
        return len(changes[:most])

    def _line(self, kind: str, scope: str, name: str, pid: str, node: str) -> str:
        if self._jsonl:
            at = round(time.time(), 3)
            return dumps({"at": at, "kind": kind, "scope": scope, "name": name, "pid": pid, "node": node})
        clock = datetime.now().astimezone().strftime("%H:%M:%S")
        return "\t".join(map(printable, (clock, kind, scope, name, pid, node)))


def _members(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for group in document["groups"]:
        for one in group["members"]:
            yield group["scope"], group["name"], one["pid"], one["node"]
