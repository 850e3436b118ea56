"""The command ``liminal``: finds the verb, runs it, and turns whatever happens into an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from .errors import Code, explain
from .output import say

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: its words, without the program's name; those of this process when absent.

    Returns:
        The exit code: 0 ok, 1 failed, 2 usage or configuration, 3 not ready, 4 timed out, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _explained(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_gone()
    return int(code)


def _explained(words: list[str]) -> int:
    """Run the command; whatever went wrong is told, and nobody gets a traceback who has not asked for it."""
    try:
        return _run(words)
    except BrokenPipeError:
        raise
    except SystemExit as stop:
        return int(stop.code or Code.OK)
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("LIMINAL_DEBUG"):
            raise
        text, code = explain(error)
        say(text)
        return code


def _run(words: list[str]) -> int:
    # This verb runs every few seconds beside every node: typer alone (with the pydantic that it needs) would treble it.
    if words[:1] == ["health"]:
        from .probe import run

        return run(words[1:])
    from .verbs import run_verb

    return run_verb(words)


def _reader_gone() -> int:
    """End quietly when whoever read our output has enough of it, as ``head`` does."""
    # What is still buffered would raise again when the interpreter flushes it at exit.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(Code.FAILED)
