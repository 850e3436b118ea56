"""What ``liminal serve`` does at SIGHUP: takes its configuration again, as far as it can while the node runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError
from ..logs import LEVELS, get_logger, set_level

if TYPE_CHECKING:
    from ..config import NodeConfig
    from ..node import Node

__all__ = ["Reloader", "differences"]

log = get_logger("serve")

RELOADED: Final = frozenset({"log.level", "cluster.seeds"})
"""What changes while the node runs; for anything else it has to be restarted."""


class Reloader:
    """Brings a running node up to date with its configuration.

    Args:
        node: runs.
        load: puts the configuration together again, from the same flags, environment and file.
    """

    def __init__(self, node: Node, load: Callable[[], NodeConfig]) -> None:
        self._node = node
        self._load = load
        self._in_force = node.config.model_dump()

    def reload(self) -> None:
        """Take the configuration again, and log what changed and what does not before a restart.

        A configuration that is wrong changes nothing.
        """
        try:
            config = self._load()
        except ConfigError as error:
            why = "the configuration is wrong: what was in force stays in force"
            log.error("reload_refused", why=why, problems=[str(problem) for problem in error.problems])
            return
        changes = dict(differences(self._in_force, config.model_dump()))
        changed = {path: changes[path] for path in sorted(changes.keys() & RELOADED)}
        waiting = sorted(changes.keys() - RELOADED)
        if "cluster.seeds" in changed and config.cluster is not None:
            self._node.running.reseed(config.cluster.seeds)
            self._in_force["cluster"]["seeds"] = changed["cluster.seeds"]
        former, level = self._in_force["log"]["level"], config.log.level
        # Told at the more talkative of the two levels, or a node that shall be quieter would not say so.
        set_level(min(former, level, key=LEVELS.index))
        (log.warning if waiting else log.info)("reloaded", changed=changed, needs_restart=waiting)
        set_level(level)
        self._in_force["log"]["level"] = level


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the paths at which two configurations differ, each with the new value; a section that is new is one."""
    for key in {**old, **new}:
        path, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{path}.")
        elif before != after:
            yield path, after
