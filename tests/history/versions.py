"""Versions of schemas: which of them may have been in force where and when, and what they make of a payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .events import Version

__all__ = ["CONTENT", "Versions", "complete"]

CONTENT: Final = "content"
"""The property that says who published what; schemas want it there, and it is none of the ``fields``."""

TYPES: Final[Mapping[str, type]] = {"integer": int, "string": str, "boolean": bool}
WORDS: Final = {"type", "default", "minimum"}
"""All that the schemas of histories say of a property."""


@dataclass(slots=True, eq=False)
class _Standing:
    """One version: since when it may have been in force, and until when."""

    version: Version
    offered: tuple[str, ...]
    since: int
    until: float = float("inf")


class Versions:
    """Those of one channel at one run of a node."""

    def __init__(self) -> None:
        self._standing: list[_Standing] = []
        self._begun: Version | None = None

    def note(self, event: Version) -> None:
        """Take what became of the attempt to put one in force."""
        if event.type == "invoke":
            self._begun = event
            self._put(event, event.t_mono_ns)
            return
        begun, self._begun = self._begun, None
        if begun is None:
            self._put(event, event.t_mono_ns)
        elif event.type == "fail":
            self._standing.pop()
        for former in self._standing[:-1]:
            if event.type == "ok":
                former.until = min(former.until, event.t_mono_ns)

    def between(self, first: int, last: float) -> list[Version]:
        """Return those that may have been in force at some moment of a time."""
        return [one.version for one in self._standing if one.since <= last and one.until >= first]

    def offered(self, first: int, last: float) -> list[tuple[str, ...]]:
        """Return what subscriptions may have been offered in a time: each one's id and, before it, those it follows."""
        return [one.offered for one in self._standing if one.since <= last and one.until >= first]

    def _put(self, event: Version, since: int) -> None:
        former = self._standing[-1].offered if self._standing and not event.forced else ()
        self._standing.append(_Standing(event, (event.version, *former), since))


def complete(document: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a payload with a schema's defaults; None if it refuses them."""
    properties = {name: says for name, says in document["properties"].items() if name != CONTENT}
    whole = {name: says["default"] for name, says in properties.items() if "default" in says} | dict(fields)
    if not set(document.get("required", ())) - {CONTENT} <= set(whole):
        return None
    for name, says in properties.items():
        assert set(says) <= WORDS, f"the model knows nothing of {set(says) - WORDS}"
        value = whole.get(name)
        if name in whole and (type(value) is not TYPES[says["type"]] or value < says.get("minimum", value)):
            return None
    return whole
