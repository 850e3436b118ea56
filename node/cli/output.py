"""Data on stdout, everything for humans on stderr; tables and colour only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..text import printable

__all__ = ["emit", "emit_json", "emit_table", "say"]


def say(text: str) -> None:
    """Tell a human something. It may hold names from anywhere, so each line is made fit for a terminal."""
    # Piped output is buffered, and what it says came first.
    sys.stdout.flush()
    sys.stderr.write("".join(f"{printable(line, 4096)}\n" for line in text.splitlines()))
    sys.stderr.flush()


def emit(text: str) -> None:
    """Write a line of data."""
    sys.stdout.write(f"{text}\n")


def emit_json(document: Any) -> None:
    """Write one JSON document, indented for humans only on a terminal."""
    emit(json.dumps(document, indent=2 if sys.stdout.isatty() else None))


def emit_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows: a table on a terminal; elsewhere a line a row, divided by tabs, without headings."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            emit("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        # What a row is called stays in one piece, so that it can be copied.
        table.add_column(heading, overflow="fold", no_wrap=index == 0)
    for row in cells:
        # As text, so that a name with brackets is not taken for markup.
        table.add_row(*map(Text, row))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else printable(str(value))
