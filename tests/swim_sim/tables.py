"""Tables of the page, as lines of Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["asked", "percentile", "seeds_text", "short", "table"]


def table(title: str, note: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return a section: a heading, a note and a table whose columns but the first are figures."""
    lines = ["", f"## {title}", "", note, "", f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def asked(met: Mapping[str, bool]) -> str:
    """Return a paragraph that says of each thing that is asked for whether it is met."""
    texts = [f"{text}: {'met' if true else '**missed**'}" for text, true in met.items()]
    return f"\n\nAsked for: {'; '.join(texts)}."


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which so many percent of all lie (nan: there are none)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else math.nan


def short(figure: float) -> str:
    """Return a figure with three digits that count."""
    return f"{figure:.0f}" if figure == int(figure) or figure >= 100 else f"{figure:.3g}"


def seeds_text(count: int) -> str:
    """Return which seeds were simulated."""
    return "Seed 0" if count == 1 else f"Seeds 0 to {count - 1}"
