"""``liminal health`` in the list of verbs; what it does stands in :mod:`.probe`, which the command calls directly."""

from __future__ import annotations

import typer

from .probe import run

__all__ = ["health", "register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    settings = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    app.command("health", context_settings=settings)(health)


def health(context: typer.Context) -> None:
    """Ask a node whether it is alive, or ready."""
    raise typer.Exit(run(context.args))
