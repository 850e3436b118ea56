"""All verbs but the light ones, as a typer program.

A new verb is a module with ``register(app)`` and a word in ``VERBS``. Only the module of the verb that was called is
imported, and a module imports what is heavy inside its functions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from .errors import Code, Stop
from .output import emit, say

__all__ = ["VERBS", "run_verb"]

VERBS: Final = (
    "demo",
    "serve",
    "pub",
    "sub",
    "members",
    "groups",
    "channels",
    "connections",
    "events",
    "health",
    "doctor",
    "bench",
    "config",
    "cookie",
    "version",
)
"""The verbs in the order of the help; each is a module of this folder."""


def run_verb(words: Sequence[str]) -> int:
    """Run the verb that the words begin with; return its exit code.

    Raises:
        Stop: the words make no command.
        KeyboardInterrupt: it was interrupted.
        Exception: whatever the verb raises.
    """
    command = typer.main.get_command(_app(words[:1] if words and words[0] in VERBS else VERBS))
    try:
        code = command.main(args=words, prog_name="liminal", standalone_mode=False)
    except typer.TyperException as error:
        return _refuse(error)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    # A verb returns nothing, or ends with typer.Exit, whose code comes back here.
    return code if isinstance(code, int) else Code.OK


def _app(verbs: Iterable[str]) -> typer.Typer:
    app = typer.Typer(
        name="liminal",
        help="A clustered message bus: a mesh of equal nodes, no broker.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for verb in verbs:
        import_module(f".{verb}", __package__).register(app)
    return app


def _refuse(error: typer.TyperException) -> int:
    # What checks a value for typer speaks of "input" and of errors of its own.
    text = error.format_message().replace("Value error, ", "").replace("Input should be", "it has to be")
    if text.startswith("Usage:"):
        # Nothing was said, so the whole help is the answer.
        say(text)
        return error.exit_code
    context = getattr(error, "ctx", None)
    hint = f"\nTry '{context.command_path} --help'." if context else ""
    raise Stop(text + hint, Code(error.exit_code)) from error


def _show_version(wanted: bool) -> None:
    if wanted:
        from ..version import VERSION

        emit(f"liminal {VERSION}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before the verb."""
