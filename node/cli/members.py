"""``liminal members``: who is in the mesh, as one node sees it."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import HttpOption, JsonOption, ServerOption
from .output import emit_json, emit_table
from .server import ask_json, http_url

__all__ = ["members", "register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("members")(members)


def members(
    server: ServerOption = None,
    http: HttpOption = None,
    links: Annotated[bool, typer.Option("--links", help="The links of the node instead.")] = False,
    json: JsonOption = False,
) -> None:
    """List the nodes of the mesh, as one of them sees it."""
    kind = "links" if links else "members"
    document = ask_json(http_url(http, server), f"/api/v1/{kind}")
    columns = ("peer", "epoch", "up", "rtt_ms", "queued_bytes") if links else ("name", "epoch", "state", "address")
    if json:
        emit_json(document)
    else:
        emit_table(
            [column.replace("_", " ").upper() for column in columns],
            [[row.get(column, "") for column in columns] for row in document.get(kind, [])],
        )
