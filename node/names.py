"""Names of channels, subjects and groups, and the patterns that stand for many of them.

A name is 1 to 256 bytes of ``[A-Za-z0-9._-]``: tokens divided by dots, none of them empty. In a pattern a token
``*`` stands for exactly one token, and a final ``>`` for one or more. Names that begin with ``$`` are the bus's own.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from liminal_mesh.cluster import NODE_NAME, Pid

__all__ = [
    "NAME_BYTES_MAX",
    "check_name",
    "check_pattern",
    "check_pid",
    "is_pattern",
    "is_possible",
    "matches",
    "nearest",
]

NAME_BYTES_MAX: Final = 256
"""The longest name; every character of a name is one byte."""

COMPARED_MAX: Final = 40
"""How many names a misspelt one is compared with."""

COMPARED_CHARS_MAX: Final = 64
"""How long a name may be to be compared: what that costs grows with its square, and more."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\Z")
_EXACT = re.compile(r"\$?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z")
_SHOWN = 64


def check_name(name: str, what: str = "channel") -> str:
    """Return ``name`` if it can be the name of a ``what``.

    Raises:
        TypeError: it is no text.
        ValueError: it cannot; the text says why.
    """
    for token in _tokens(name, what):
        if token in ("*", ">"):
            raise ValueError(f"{_quote(name)} is a pattern: a {what} has an exact name here")
        _check_token(token, name, what)
    return name


def check_pattern(pattern: str, what: str = "channel") -> str:
    """Return ``pattern`` if it is the name of a ``what``, or a pattern of such names.

    Raises:
        TypeError: it is no text.
        ValueError: it is neither; the text says why.
    """
    tokens = _tokens(pattern, what)
    if ">" in tokens[:-1]:
        raise ValueError(f"{_quote(pattern)} is no pattern: '>' stands for the rest, so it can only be the last token")
    for token in tokens:
        if token not in ("*", ">"):
            _check_token(token, pattern, what)
    return pattern


def check_pid(pid: Pid) -> Pid:
    """Return ``pid`` if there can be such a process, which a frame can name.

    Raises:
        TypeError: it is no pid.
        ValueError: there cannot.
    """
    if not isinstance(pid, Pid):
        raise TypeError(f"{pid!r} is no Pid: give that of a process, such as process.pid")
    if not NODE_NAME.match(pid.node) or not all(0 <= number < 1 << 64 for number in pid[1:]):
        raise ValueError(f"{_quote(str(pid))} is no pid")
    return pid


def is_possible(name: str) -> bool:
    """Whether some version of the bus may use this as an exact name, be it one of its own."""
    return len(name) <= NAME_BYTES_MAX and _EXACT.match(name) is not None


def is_pattern(name: str) -> bool:
    """Whether a valid name or pattern stands for more than itself."""
    return "*" in name or ">" in name


def matches(pattern: str, name: str) -> bool:
    """Whether a valid pattern (or exact name) stands for a valid exact name."""
    if not is_pattern(pattern):
        return pattern == name
    wanted, tokens = pattern.split("."), name.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
    elif len(tokens) != len(wanted):
        return False
    return all(want in ("*", token) for want, token in zip(wanted, tokens, strict=False))


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return the candidate that ``name`` was probably meant to be, or "" when none is near.

    Of many candidates only those that begin like the name are compared, and a long name is not: whoever asks may ask
    often, and a comparison takes up to a millisecond.
    """
    if len(name) > COMPARED_CHARS_MAX:
        return ""
    near = list(candidates)
    if len(near) > COMPARED_MAX:
        near.sort()
        at = bisect(near, name)
        near = near[max(0, at - COMPARED_MAX // 2) : at + COMPARED_MAX // 2]
    close = get_close_matches(name, near, n=1, cutoff=0.6)
    return close[0] if close else ""


def _tokens(name: str, what: str) -> list[str]:
    if not isinstance(name, str):
        raise TypeError(f"the name of a {what} is text, not {name!r}")
    if not name:
        raise ValueError(f"the name of a {what} cannot be empty")
    if len(name) > NAME_BYTES_MAX:
        raise ValueError(f"{_quote(name)} is {len(name)} characters long: a {what} name has at most {NAME_BYTES_MAX}")
    if name.startswith("$"):
        raise ValueError(f"{_quote(name)} is reserved: names that begin with '$' are the bus's own")
    tokens = name.split(".")
    if "" in tokens:
        raise ValueError(f"{_quote(name)} has an empty token: dots divide tokens, and each has at least one character")
    return tokens


def _check_token(token: str, name: str, what: str) -> None:
    if not _TOKEN.match(token):
        wildcard = " ('*' and '>' stand alone in their token)" if is_pattern(token) else ""
        raise ValueError(f"{_quote(name)} is no {what} name: it may hold A-Z a-z 0-9 . _ -{wildcard}")


def _quote(name: str) -> str:
    return ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
