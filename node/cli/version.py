"""``liminal version``."""

from __future__ import annotations

import platform

import typer

from ..version import VERSION
from .options import JsonOption
from .output import emit, emit_json

__all__ = ["register", "version"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("version")(version)


def version(json: JsonOption = False) -> None:
    """Show the versions of liminal, Python and the system."""
    facts = {"liminal": VERSION, "python": platform.python_version(), "platform": platform.platform()}
    if json:
        emit_json(facts)
    else:
        emit("\n".join(f"{name} {value}" for name, value in facts.items()))
