"""What ``liminal serve`` does at SIGHUP: takes its configuration again, as far as it can while the node runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..logs import LEVELS, Level, set_level

if TYPE_CHECKING:
    from ..config_sources import LoadedConfig
    from ..node import Node

__all__ = ["Reloader"]


class Reloader:
    """Brings a running node up to date with its configuration.

    Args:
        node: runs.
        load: puts the configuration together again, from the same flags, environment and file.
    """

    def __init__(self, node: Node, load: Callable[[], LoadedConfig]) -> None:
        self._node = node
        self._load = load

    def reload(self) -> None:
        """Take the configuration again, and tell what changed and what does not before a restart.

        A configuration that is wrong changes nothing.
        """
        try:
            loaded = self._load()
        except ConfigError as error:
            why = "the configuration is wrong: what was in force stays in force"
            problems = [str(problem) for problem in error.problems]
            self._node.running.hub.note("reload_refused", level="error", why=why, problems=problems)
            return
        former = self._node.config.log.level
        taken = self._node.in_force.take(loaded)
        config = self._node.config
        if "cluster.seeds" in taken.changed and config.cluster is not None:
            self._node.running.reseed(config.cluster.seeds)
        # Told at the more talkative of the two levels, or a node that shall be quieter would not say so.
        set_level(min(former, config.log.level, key=LEVELS.index))
        level: Level = "warning" if taken.waiting else "info"
        waiting = list(taken.waiting)
        self._node.running.hub.note("reloaded", level=level, changed=taken.changed, needs_restart=waiting)
        set_level(config.log.level)
