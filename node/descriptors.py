"""File descriptors: how many a node may need, and whether this process may have so many.

A process without descriptors can neither accept nor dial nor open a file. So a node does not start with bounds that its
process has no descriptors for; what is kept in reserve is for everything that these bounds do not count.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .errors import ConfigError, Problem

if TYPE_CHECKING:
    from .config import LimitsConfig

__all__ = ["RESERVED", "allow_descriptors", "check_descriptors"]

RESERVED: Final = 256
"""Descriptors for listeners, dials, lookups of names, files, and the program that a node is embedded in."""


def check_descriptors(limits: LimitsConfig, listeners: int, meshed: bool, allow: Callable[[int], int]) -> None:
    """See that a node's process may have as many descriptors as the node may need.

    Args:
        limits: its bounds.
        listeners: how many it opens.
        meshed: whether one of them is for peers.
        allow: lets the process have so many descriptors if it may, and returns how many it may have.

    Raises:
        ConfigError: those are not enough.
    """
    # Newcomers have places of their own: one that is refused keeps its descriptor until it has heard why.
    links = 2 * limits.peers if meshed else 0
    wanted = limits.connections + links + listeners * limits.handshakes + RESERVED
    if (allowed := allow(wanted)) >= wanted:
        return
    room = limits.connections - (wanted - allowed)
    lower = f"lower limits.connections to {room}" if room > 0 else "lower limits.connections and limits.peers"
    peers = f"limits.peers = {limits.peers} with two links each, " if meshed else ""
    raise ConfigError(
        [
            Problem(
                "limits.connections",
                f"is {limits.connections}; with {peers}limits.handshakes = {limits.handshakes} at each of {listeners} "
                f"listeners and {RESERVED} in reserve that makes {wanted} file descriptors, and this process may have "
                f"{allowed}: let it have more (ulimit -Hn, LimitNOFILE= of systemd, --ulimit of a container), or "
                f"{lower}",
            )
        ]
    )


def allow_descriptors(wanted: int) -> int:
    """Raise the soft limit of this process if it is below what is wanted, as far as may be; return what it is then.

    It is never lowered, and raised no further: programs that this one starts inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _number(soft) < wanted:
        most = min(wanted, _number(hard))
        with contextlib.suppress(OSError, ValueError):  # the system has a bound of its own, below the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return _number(soft)


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
