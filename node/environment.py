"""The world around a node: the one door to networks, clocks and chance."""

from __future__ import annotations

import random
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from liminal_mesh.cluster import DnsResolver, Network, Resolver, TcpNetwork

from .descriptors import allow_descriptors

__all__ = ["REAL", "Environment"]


@dataclass(frozen=True, slots=True, repr=False)
class Environment:
    """What a node or a client asks of the world. Timers are the loop's."""

    network: Network
    """Where it listens, and how it reaches others."""
    resolver: Callable[[Sequence[str]], Resolver] = DnsResolver
    """Makes whoever looks names up, at DNS servers of one's own choice or at the system's."""
    wall_ns: Callable[[], int] = time.time_ns
    """The time of day, in nanoseconds since 1970."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that never go back, as programs compare them with ``time.monotonic()``."""
    token_bytes: Callable[[int], bytes] = secrets.token_bytes
    """So many bytes that nobody can guess."""
    threads: bool = True
    """Whether membership has a thread of its own; without one all is on one loop, and can be repeated."""
    host_name: Callable[[], str] = socket.gethostname
    """The name of the machine, or of the container."""
    descriptors: Callable[[int], int] = allow_descriptors
    """Lets this process have so many file descriptors, if it may; returns how many it may have."""
    http: bool = True
    """Whether HTTP is served."""

    def __repr__(self) -> str:
        return f"<Environment of {type(self.network).__name__}>"

    def jitter(self) -> random.Random:
        """Return a source of chance that keeps no secret."""
        return random.Random(self.token_bytes(8))  # noqa: S311


REAL: Final = Environment(TcpNetwork())
"""Sockets, the machine's clocks, and chance that nobody can guess."""
