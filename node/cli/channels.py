"""``liminal channels``: the channels of one node."""

from __future__ import annotations

from typing import Final

import typer

from .options import HttpOption, JsonOption, ServerOption
from .output import emit_json, emit_table
from .server import ask_json, http_url

__all__ = ["channels", "register"]

_COLUMNS: Final = ("name", "durable", "schema", "subscribers", "published", "state")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("channels")(channels)


def channels(server: ServerOption = None, http: HttpOption = None, json: JsonOption = False) -> None:
    """List the channels of a node: those that are configured by name, those of families that are used, the families.

    Subscribers are those of the whole mesh; published is what was published at this node.
    """
    document = ask_json(http_url(http, server), "/api/v1/channels")
    if json:
        emit_json(document)
        return
    families = [{**one, "state": "family"} for one in document.get("families", [])]
    rows = [[one.get(column) for column in _COLUMNS] for one in (*document.get("channels", []), *families)]
    emit_table([column.upper() for column in _COLUMNS], rows)
