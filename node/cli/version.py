"""``liminal version``."""

from __future__ import annotations

import platform

import typer

from .options import JsonOption
from .output import emit, emit_json

__all__ = ["installed_version", "register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("version")(version)


def installed_version() -> str:
    """Return the version of the distribution that is installed."""
    from importlib.metadata import version as version_of

    return version_of("liminal-mesh")


def version(json: JsonOption = False) -> None:
    """Show the versions of liminal, Python and the system."""
    facts = {"liminal": installed_version(), "python": platform.python_version(), "platform": platform.platform()}
    if json:
        emit_json(facts)
    else:
        emit("\n".join(f"{name} {value}" for name, value in facts.items()))
