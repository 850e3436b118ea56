"""What a network does with packets between two addresses: it swallows them, or a proxy closes all that links them."""

from __future__ import annotations

__all__ = ["Network"]

STALL_S = 0.3
"""How long after a hole opened the opposite direction still flows: what fits into the windows."""


class Network:
    """The faults of the network at one moment; ``unplugged`` are the addresses whose own kernel knows no way out."""

    def __init__(self) -> None:
        self.unplugged: set[str] = set()
        self._holes: dict[tuple[str, str], float] = {}
        self._cuts: set[frozenset[str]] = set()

    def hole(self, source: str, target: str, now: float) -> None:
        """Swallow what goes from one address to another."""
        self._holes.setdefault((source, target), now)

    def cut(self, one: str, two: str) -> None:
        """Close what links two addresses, and everything that comes after."""
        self._cuts.add(frozenset((one, two)))

    def heal(self, now: float) -> float:
        """Let everything through again; returns when the first hole was opened."""
        begun = min(self._holes.values(), default=now)
        self.unplugged.clear()
        self._holes.clear()
        self._cuts.clear()
        return begun

    def is_cut(self, one: str, two: str) -> bool:
        """Whether a proxy closes what links the two."""
        return frozenset((one, two)) in self._cuts

    def swallows(self, source: str, target: str, now: float) -> bool:
        """Whether what goes this way is lost: acknowledgements go the other way, so both come to a stand soon."""
        if (source, target) in self._holes:
            return True
        since = self._holes.get((target, source))
        return since is not None and now >= since + STALL_S
