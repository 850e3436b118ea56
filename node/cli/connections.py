"""``liminal connections``: the clients of one node; ``--close`` ends the connection of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from liminal_mesh.cluster import Pid

from .errors import Code, Stop
from .options import HttpOption, JsonOption, ServerOption
from .output import emit, emit_json, emit_table
from .server import ask, ask_json, http_url

__all__ = ["connections", "register"]

_PATH: Final = "/api/v1/connections"
_COLUMNS: Final = ("pid", "client", "address", "since", "state", "subscriptions", "queued_bytes")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("connections")(connections)


def connections(
    server: ServerOption = None,
    http: HttpOption = None,
    close: Annotated[
        str | None, typer.Option("--close", metavar="PID", help="End the connection with this pid instead.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="With --close: what its client is told.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the clients that are connected to a node, or close one.

    A client whose connection is closed is told why, and may come back at once: it is not locked out.
    """
    url = http_url(http, server)
    if close is not None:
        _close(url, close, reason, json)
        return
    if reason is not None:
        raise Stop("--reason goes with --close", Code.USAGE)
    document = ask_json(url, _PATH)
    if json:
        emit_json(document)
        return
    rows = [[_cell(column, one.get(column, "")) for column in _COLUMNS] for one in document.get("connections", [])]
    emit_table([column.replace("_", " ").upper() for column in _COLUMNS], rows)


def _cell(column: str, value: Any) -> Any:
    if column == "since" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
    return value


def _close(url: str, text: str, reason: str | None, json: bool) -> None:
    try:
        pid = Pid.parse(text)
    except ValueError as error:
        raise Stop(str(error), Code.USAGE) from error
    query = f"?{urlencode({'reason': reason})}" if reason else ""
    answer = ask(url, f"{_PATH}/{quote(str(pid))}{query}", method="DELETE")
    body = answer.body if isinstance(answer.body, dict) else {}
    if answer.status != 200:
        raise Stop(str(body.get("message") or f"{url} answered with status {answer.status}"))
    if json:
        emit_json(body)
    else:
        emit(str(body.get("closed", pid)))
