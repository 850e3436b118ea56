"""``liminal groups``: the process groups of the mesh, as one node sees them."""

from __future__ import annotations

import typer

from .options import HttpOption, JsonOption, ServerOption
from .output import emit_json, emit_table
from .server import ask_json, http_url

__all__ = ["groups", "register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("groups")(groups)


def groups(server: ServerOption = None, http: HttpOption = None, json: JsonOption = False) -> None:
    """List the groups of the mesh, and where their members are.

    A channel's subscriptions are a group too, of the scope "channel".
    """
    document = ask_json(http_url(http, server), "/api/v1/groups")
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
