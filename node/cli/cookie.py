"""``liminal cookie new``: the secret that the nodes of a mesh share."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from .errors import Stop
from .options import JsonOption
from .output import emit, emit_json, say

__all__ = ["register"]

cookie = typer.Typer(help="The secret that the nodes of a mesh share.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(cookie, name="cookie")


@cookie.callback()
def _verbs() -> None:
    """Keep ``new`` a word of its own while it is the only one."""


@cookie.command("new")
def new(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write it, for its owner alone. Default: stdout.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a new cookie from 32 random bytes. A file that is there already is left as it is."""
    secret = secrets.token_hex(32)
    if file is None:
        emit_json({"cookie": secret}) if json else emit(secret)
        return
    try:
        # Created for the owner alone from the first moment, and never through a link that somebody left there.
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        raise Stop(f"{file} is there already, and a cookie in use must not be lost: name another file") from error
    with os.fdopen(handle, "w") as out:
        out.write(f"{secret}\n")
    if json:
        emit_json({"file": str(file)})
    else:
        say(f"a new cookie is in {file}: copy it to every node, and name it as cookie_file in [cluster]")
