"""Options that are the same for every verb that has them."""

from __future__ import annotations

from typing import Annotated

import typer

from ..units import parse_duration

__all__ = ["DurationOption", "HttpOption", "JsonOption", "ServerOption", "seconds"]

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server", "-s", metavar="URL", help="The node: liminal://host:port. Default: $LIMINAL_URL, or here."
    ),
]

HttpOption = Annotated[
    str | None,
    typer.Option("--http", metavar="URL", help="The node's HTTP address. Default: $LIMINAL_HTTP_URL, or by --server."),
]

DurationOption = Annotated[str, typer.Option(metavar="DURATION", help="How long it may take: 250ms, 5s, 2m.")]


def seconds(text: str, option: str) -> float:
    """Read a duration.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
