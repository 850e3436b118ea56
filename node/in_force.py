"""What a node runs with: its configuration and where each value of it came from, as reloads change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from .config_sources import LoadedConfig

__all__ = ["InForce", "Taken"]

RELOADED: Final = frozenset({"log.level", "cluster.seeds"})
"""What changes while the node runs; for anything else it has to be restarted."""


class Taken(NamedTuple):
    """What became of a configuration: the new values by path, and the paths that need a restart."""

    changed: Mapping[str, Any]
    waiting: tuple[str, ...]


class InForce:
    """The configuration in force.

    Args:
        loaded: at the start.
    """

    def __init__(self, loaded: LoadedConfig) -> None:
        self.loaded = loaded

    def take(self, other: LoadedConfig) -> Taken:
        """Take of another configuration what can change while the node runs."""
        changes = dict(_differences(self.loaded.config.model_dump(), other.config.model_dump()))
        changed = {path: changes[path] for path in sorted(changes.keys() & RELOADED)}
        for path, value in changed.items():
            self._set(path, value, other.origin(path))
        return Taken(changed, tuple(sorted(changes.keys() - RELOADED)))

    def _set(self, path: str, value: object, origin: str) -> None:
        name, _, key = path.partition(".")
        config, origins = self.loaded.config, self.loaded.origins
        section = getattr(config, name).model_copy(update={key: value})
        self.loaded = replace(
            self.loaded, config=config.model_copy(update={name: section}), origins={**origins, path: origin}
        )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the paths at which two configurations differ, each with the new value; a section that is new is one."""
    for key in {**old, **new}:
        path, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{path}.")
        elif before != after:
            yield path, after
