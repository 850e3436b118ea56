"""Where in a TOML text each key stands: ``tomllib`` reads the values, and does not tell their lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final, NamedTuple

from .config_problems import Location

__all__ = ["Line", "find_lines"]

_STRING: Final = r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'"
_LONG_OR_COMMENT: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + rf"'''.*?'{{3,5}}|(?P<string>{_STRING})|#[^\n]*", re.DOTALL
)
_SHORT: Final = re.compile(_STRING)
_PART: Final = rf"(?:[A-Za-z0-9_-]+|{_STRING})"
_NAME: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADING: Final = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_NAME})[ \t]*\]")
_KEY: Final = re.compile(rf"[ \t]*({_NAME})[ \t]*=")


class Line(NamedTuple):
    """A key with a value, or the heading of a table."""

    location: Location
    number: int
    heading: bool


def find_lines(text: str) -> Iterator[Line]:
    """Yield each key and each heading of a TOML text that can be read, in order."""
    tables = _Tables()
    depth = 0
    for number, line in enumerate(_LONG_OR_COMMENT.sub(_blank, text).split("\n"), 1):
        heading, key = (None, None) if depth else (_HEADING.match(line), _KEY.match(line))
        if heading is not None:
            yield Line(tables.open(_names(heading[2]), many=heading[1] == "[["), number, True)
            continue
        if key is not None:
            yield Line((*tables.here, *_names(key[1])), number, False)
        rest = _SHORT.sub("", line[key.end() :] if key is not None else line)
        depth += sum(map(rest.count, "[{")) - sum(map(rest.count, "]}"))


class _Tables:
    """Which table the keys of a line belong to."""

    def __init__(self) -> None:
        self.here: Location = ()
        self._last: dict[Location, int] = {}
        """The place of the last table in each array of tables."""

    def open(self, names: list[str], *, many: bool) -> Location:
        """Enter the table of a heading: a new one of an array, if it is one of ``many``."""
        where: Location = ()
        for name in names[:-1]:
            where = self._inside((*where, name))
        where = (*where, names[-1])
        if many:
            self._last[where] = self._last.get(where, -1) + 1
        self.here = self._inside(where)
        return self.here

    def _inside(self, where: Location) -> Location:
        return (*where, self._last[where]) if where in self._last else where


def _blank(found: re.Match[str]) -> str:
    """Leave of long strings only their lines, and of comments nothing."""
    return found["string"] or "\n" * found[0].count("\n")


def _names(dotted: str) -> list[str]:
    """Return the parts of a key, without quotes."""
    names: list[str] = []
    inside: object = tomllib.loads(f"{dotted} = 0")
    while isinstance(inside, dict):
        [(name, inside)] = inside.items()
        names.append(name)
    return names
