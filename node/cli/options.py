"""Options that are the same for every verb that has them."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["HttpOption", "JsonOption", "ServerOption"]

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
