"""Addresses of nodes as clients write them."""

from __future__ import annotations

from liminal_mesh.cluster import Address, parse_address

__all__ = ["DEFAULT_URL", "parse_url"]

DEFAULT_URL = "liminal://127.0.0.1:7600"
"""Where a node listens for clients unless it is configured otherwise."""


def parse_url(url: str) -> tuple[Address, ...]:
    """Read ``liminal://host:port[,host:port...]``.

    Raises:
        TypeError: it is no text.
        ValueError: it is not of that form.
    """
    if not isinstance(url, str):
        raise TypeError(f"{url!r} is no address of a node: expected a text, liminal://host:port[,host:port...]")
    scheme, found, rest = url.partition("://")
    if scheme == "liminals":
        raise ValueError(f"{url!r}: TLS comes in a later version; use liminal://")
    if not found or scheme != "liminal" or not rest:
        raise ValueError(f"{url!r} is no address of a node: expected liminal://host:port[,host:port...]")
    return tuple(parse_address(part) for part in rest.rstrip("/").split(","))
