"""Which patterns match a name, without asking every pattern.

A name is tokens divided by dots. In a pattern the token ``*`` stands for exactly one token, and a ``>`` at the
end for one or more. Patterns are kept as a tree of their tokens, and a name walks down all branches that fit
at once: what that costs depends on the branches it meets, not on how many patterns there are. A ``>`` that is
not at the end is a token like any other.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TokenTrie", "is_pattern"]

_ANY: Final = "*"
_REST: Final = ">"


def is_pattern(name: str) -> bool:
    """Whether ``name`` can match names other than itself."""
    if _ANY not in name and _REST not in name:
        return False
    tokens = name.split(".")
    return _ANY in tokens or tokens[-1] == _REST


class _Branch:
    """All patterns that begin alike."""

    __slots__ = ("any", "exact", "pattern", "rest")

    def __init__(self) -> None:
        self.exact: dict[str, _Branch] = {}
        self.any: _Branch | None = None
        self.pattern: str | None = None
        """The pattern that ends here."""
        self.rest: str | None = None
        """The pattern that ends here with ``>``."""

    @property
    def bare(self) -> bool:
        return not self.exact and self.any is None and self.pattern is None and self.rest is None


class TokenTrie:
    """A set of patterns that can be asked for those that match a name."""

    def __init__(self) -> None:
        self._root = _Branch()
        self._count = 0

    def __len__(self) -> int:
        """Return how many patterns there are."""
        return self._count

    def add(self, pattern: str) -> None:
        """Add a pattern; adding it again changes nothing."""
        tokens, rest = _tokens(pattern)
        branch = self._root
        for token in tokens:
            if token == _ANY:
                branch.any = branch.any or _Branch()
                branch = branch.any
            else:
                branch = branch.exact.setdefault(token, _Branch())
        if rest:
            self._count += branch.rest is None
            branch.rest = pattern
        else:
            self._count += branch.pattern is None
            branch.pattern = pattern

    def remove(self, pattern: str) -> None:
        """Remove a pattern and the branches that only it needed; what is not there is left so."""
        tokens, rest = _tokens(pattern)
        path = [self._root]
        for token in tokens:
            below = path[-1].any if token == _ANY else path[-1].exact.get(token)
            if below is None:
                return
            path.append(below)
        if rest:
            self._count -= path[-1].rest is not None
            path[-1].rest = None
        else:
            self._count -= path[-1].pattern is not None
            path[-1].pattern = None
        _prune(path, tokens)

    def match(self, name: str) -> list[str]:
        """Return every pattern that matches ``name``, each once, in no particular order."""
        found: list[str] = []
        level = [self._root]
        for token in name.split("."):
            below: list[_Branch] = []
            for branch in level:
                if branch.rest is not None:
                    found.append(branch.rest)
                exact = branch.exact.get(token)
                if exact is not None:
                    below.append(exact)
                if branch.any is not None:
                    below.append(branch.any)
            if not below:
                return found
            level = below
        found.extend(branch.pattern for branch in level if branch.pattern is not None)
        return found


def _tokens(pattern: str) -> tuple[list[str], bool]:
    """Return the tokens in front of a last ``>``, and whether there is one."""
    tokens = pattern.split(".")
    rest = tokens[-1] == _REST
    return (tokens[:-1] if rest else tokens), rest


def _prune(path: list[_Branch], tokens: list[str]) -> None:
    """Cut off branches that hold nothing, from the end of ``path`` upwards."""
    for index in range(len(tokens) - 1, -1, -1):
        if not path[index + 1].bare:
            return
        if tokens[index] == _ANY:
            path[index].any = None
        else:
            del path[index].exact[tokens[index]]
