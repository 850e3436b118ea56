"""What is measured, and beside what."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

__all__ = ["KINSHIP", "LIMINAL", "LITE", "Contender", "ours", "rival"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One kind of process.

    Args:
        name: for the table.
        module: what a process runs; it takes its orders as JSON, and says what :mod:`.said` has.
        lanes: how many meshes of it are measured side by side, where a fault takes seconds to be seen.
        links: whether it says who can be reached, beside who is alive.
    """

    name: str
    module: str
    lanes: int
    links: bool


LIMINAL = Contender("liminal", "liminal_node", lanes=3, links=True)
LITE = Contender("liminal", "lite_node", lanes=1, links=True)
KINSHIP = Contender("kinship", "kinship_node", lanes=3, links=False)


def ours(size: int) -> Contender:
    """Return what a mesh of ours of this size is made of: whole nodes, or membership and links only."""
    return LIMINAL if size <= 8 else LITE


def rival() -> Contender | None:
    """Return what we are compared with, if it is installed."""
    return KINSHIP if find_spec("kinship") is not None else None
