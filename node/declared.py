"""Which channels a node has: those of its configuration, and those that its program has declared since."""

from __future__ import annotations

from collections.abc import Iterable, KeysView, ValuesView
from typing import Generic, Protocol, TypeVar

from liminal_mesh.cluster import TokenTrie

from .names import is_pattern

__all__ = ["Declared", "Named"]


class Named(Protocol):
    """What is said of a channel, or of a family."""

    @property
    def name(self) -> str:
        """The channel's name, or the family's pattern."""


T = TypeVar("T", bound=Named)


class Declared(Generic[T]):
    """The declarations of channels, exact names and families.

    Args:
        entries: the first of them; of two with the same name the later one counts.
    """

    def __init__(self, entries: Iterable[T]) -> None:
        self._exact: dict[str, T] = {}
        self._families: dict[str, T] = {}
        self._patterns = TokenTrie()
        """Those of the families: a peer can declare thousands, which are held against all that is declared here."""
        self._order: dict[str, int] = {}
        """The order in which families are asked, by their patterns."""
        self._last = 0
        for entry in entries:
            self.put(entry)

    def __contains__(self, name: object) -> bool:
        """Whether a channel is declared by its own name, and not only as one of a family."""
        return name in self._exact

    @property
    def names(self) -> KeysView[str]:
        """The exact names."""
        return self._exact.keys()

    @property
    def families(self) -> ValuesView[T]:
        """The declarations of families, in the order in which they are asked."""
        return self._families.values()

    def all(self) -> tuple[T, ...]:
        """Return the declarations, families last."""
        return (*self._exact.values(), *self._families.values())

    def get(self, name: str) -> T | None:
        """Return the declaration of exactly this name or pattern."""
        return self._exact.get(name) or self._families.get(name)

    def covering(self, name: str) -> T | None:
        """Return what is declared of a name or a pattern: by itself, else by the first family that covers all of it."""
        found = self.get(name)
        if found is not None:
            return found
        families = self._patterns.match(name)
        if name.endswith(">"):  # which stands for more than one token
            families = [family for family in families if family.endswith(">")]
        return self._families[min(families, key=self._order.__getitem__)] if families else None

    def put(self, entry: T) -> None:
        """Add a declaration, or put it in the place of that of the same name."""
        name = entry.name
        if not is_pattern(name):
            self._exact[name] = entry
            return
        if name not in self._families:
            self._last += 1
            self._order[name] = self._last
            self._patterns.add(name)
        self._families[name] = entry

    def drop(self, name: str) -> None:
        """Take a declaration back."""
        if not is_pattern(name):
            del self._exact[name]
            return
        del self._families[name], self._order[name]
        self._patterns.remove(name)
