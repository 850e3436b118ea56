"""How a program becomes a client of a node."""

from __future__ import annotations

from .client import Client
from .url import DEFAULT_URL

__all__ = ["connect"]


def connect(url: str = DEFAULT_URL, *, name: str | None = None) -> Client:
    """Return a client of the node at ``url``, for ``async with``.

    Args:
        url: ``liminal://host:port[,host:port...]``; the addresses are tried in turn, now and after every loss.
        name: what the node shows for it; the host's name and the process by default.

    Entering it raises:
        NoConnection: no address answered.
        ValueError: ``url`` is none.
    """
    return Client(url, name=name)
