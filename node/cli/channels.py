"""``liminal channels``: the channels of one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import typer

from .options import HttpOption, JsonOption, ServerOption
from .output import emit_json, emit_table
from .server import ask_json, http_url

__all__ = ["channels", "register"]

_COLUMNS: Final = ("name", "durable", "schema", "subscribers", "published", "state", "groups")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("channels")(channels)


def channels(server: ServerOption = None, http: HttpOption = None, json: JsonOption = False) -> None:
    """List the channels of a node.

    Those that are configured by name come first, then those of families that are used, then the families. Subscribers
    are those of the whole mesh; published is what was published at this node; groups are those that share what is
    published, with their members.
    """
    document = ask_json(http_url(http, server), "/api/v1/channels")
    if json:
        emit_json(document)
        return
    families = [{**one, "state": "family"} for one in document.get("families", [])]
    listed = [{**one, "groups": _sharing(one)} for one in (*document.get("channels", []), *families)]
    rows = [[one.get(column) for column in _COLUMNS] for one in listed]
    emit_table([column.upper() for column in _COLUMNS], rows)


def _sharing(channel: Mapping[str, Any]) -> str:
    return " ".join(f"{group['name']}({group['members']})" for group in channel.get("groups", ()))
