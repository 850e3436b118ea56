"""Which patterns match a name, without asking every pattern.

A name is tokens divided by dots. In a pattern the token ``*`` stands for exactly one token, and a ``>`` at the
end for one or more. Patterns are kept as a tree of their tokens, and a name walks down all branches that fit
at once: what that costs depends on the branches it meets, not on how many patterns there are. Tokens behind which
nothing branches off are one branch, so that a pattern takes the space of its text, however many tokens it has (the
tree is that of D. R. Morrison, "PATRICIA", 1968, with tokens for bits). A ``>`` that is not at the end is a token like
any other.
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
    """All patterns that begin alike.

    Args:
        tokens: what leads here from the branch above; none leads to the root.
    """

    __slots__ = ("below", "label", "length", "pattern", "rest")

    def __init__(self, tokens: list[str]) -> None:
        self.lead(tokens)
        self.below: dict[str, _Branch] = {}
        """By the first token that leads there."""
        self.pattern: str | None = None
        """The pattern that ends here."""
        self.rest: str | None = None
        """The pattern that ends here with ``>``."""

    def lead(self, tokens: list[str]) -> None:
        """Let other tokens lead here."""
        self.label = ".".join(tokens)
        self.length = len(tokens)

    @property
    def tokens(self) -> list[str]:
        """What leads here."""
        return self.label.split(".")

    @property
    def needless(self) -> bool:
        """Whether no pattern ends here, and nothing branches off."""
        return len(self.below) < 2 and self.pattern is None and self.rest is None

    def parted(self, length: int) -> _Branch:
        """Return a branch in front of this one, to which the first tokens lead that led here."""
        tokens = self.tokens
        front = _Branch(tokens[:length])
        self.lead(tokens[length:])
        front.below[tokens[length]] = self
        return front


class TokenTrie:
    """A set of patterns that can be asked for those that match a name."""

    def __init__(self) -> None:
        self._root = _Branch([])
        self._count = 0

    def __len__(self) -> int:
        """Return how many patterns there are."""
        return self._count

    def add(self, pattern: str) -> None:
        """Add a pattern; adding it again changes nothing."""
        tokens, rest = _tokens(pattern)
        branch, at = self._root, 0
        while at < len(tokens):
            below = branch.below.get(tokens[at])
            if below is None:
                below = branch.below[tokens[at]] = _Branch(tokens[at:])
            else:
                alike = _alike(below.tokens, tokens, at)
                if alike < below.length:
                    below = branch.below[tokens[at]] = below.parted(alike)
            branch, at = below, at + below.length
        if rest:
            self._count += branch.rest is None
            branch.rest = pattern
        else:
            self._count += branch.pattern is None
            branch.pattern = pattern

    def remove(self, pattern: str) -> None:
        """Remove a pattern and the branches that only it needed; what is not there is left so."""
        tokens, rest = _tokens(pattern)
        path, at = [self._root], 0
        while at < len(tokens):
            below = path[-1].below.get(tokens[at])
            if below is None or _alike(below.tokens, tokens, at) < below.length:
                return
            path.append(below)
            at += below.length
        if rest:
            self._count -= path[-1].rest is not None
            path[-1].rest = None
        else:
            self._count -= path[-1].pattern is not None
            path[-1].pattern = None
        _prune(path)

    def match(self, name: str) -> list[str]:
        """Return every pattern that matches ``name``, each once, in no particular order."""
        found: list[str] = []
        tokens = name.split(".")
        count = len(tokens)
        waiting = [(self._root, 0)]
        while waiting:
            branch, at = waiting.pop()
            if at == count:
                if branch.pattern is not None:
                    found.append(branch.pattern)
                continue
            if branch.rest is not None:
                found.append(branch.rest)
            token = tokens[at]
            below = branch.below.get(token)
            if below is not None and token != _ANY and (below.length == 1 or _leads(below, tokens, at)):
                waiting.append((below, at + below.length))
            below = branch.below.get(_ANY)
            if below is not None and (below.length == 1 or _leads(below, tokens, at)):
                waiting.append((below, at + below.length))
        return found


def _tokens(pattern: str) -> tuple[list[str], bool]:
    """Return the tokens in front of a last ``>``, and whether there is one."""
    tokens = pattern.split(".")
    rest = tokens[-1] == _REST
    return (tokens[:-1] if rest else tokens), rest


def _alike(label: list[str], tokens: list[str], at: int) -> int:
    """Return how many tokens from ``at`` on are those of a label, from its beginning."""
    count = 0
    for one, other in zip(label, tokens[at : at + len(label)], strict=False):
        if one != other:
            break
        count += 1
    return count


def _leads(branch: _Branch, tokens: list[str], at: int) -> bool:
    """Whether what leads to a branch of several tokens fits a name, from its token ``at`` on."""
    if at + branch.length > len(tokens):
        return False
    for want in branch.tokens:
        if want != tokens[at] and want != _ANY:
            return False
        at += 1
    return True


def _prune(path: list[_Branch]) -> None:
    """Cut off branches that hold nothing, from the end of ``path`` upwards, and join what they divided."""
    while len(path) > 1 and (branch := path.pop()).needless:
        first = branch.tokens[0]
        if branch.below:
            (below,) = branch.below.values()
            below.lead(branch.tokens + below.tokens)
            path[-1].below[first] = below
            return
        del path[-1].below[first]
