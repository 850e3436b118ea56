"""What a node is told of where others are: an address, or a name that stands for some.

::

    host:port                   dialled as it stands; the system looks a host name up at each dial
    dns://host:port             each address of the host is dialled at the port
    srv://_service._proto.name  the service's records name hosts and ports, and each address of those is dialled
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, NamedTuple

from .identity import Address, parse_address

__all__ = ["Seed", "SeedKind", "parse_dns_server", "parse_seed"]

SeedKind = Literal["static", "dns", "srv"]
"""How a seed is turned into addresses."""

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?\Z")
_NAME_MAX = 254


class Seed(NamedTuple):
    """One seed, read; ``port`` is 0 where the answer tells it."""

    text: str
    kind: SeedKind
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether it leads to this machine alone, judged by the text (no lookup)."""
        return Address(self.host, self.port).loopback


def parse_seed(text: str) -> Seed:
    """Read a seed.

    Raises:
        ValueError: ``text`` is none.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        address = _with_port(text, text)
        return Seed(str(address), "static", *address)
    if scheme == "dns":
        address = _with_port(text, rest)
        if _is_ip(address.host):
            raise ValueError(f"{text!r} holds an address, and nothing to look up: write {str(address)!r}")
        _check_name(text, address.host)
        return Seed(text, "dns", *address)
    if scheme == "srv":
        if ":" in rest:
            raise ValueError(f"{text!r} names a port, but the records of the service tell it")
        _check_name(text, rest)
        if not rest.startswith("_"):
            raise ValueError(f"{text!r} names no service: expected one such as srv://_mesh._tcp.example.org")
        return Seed(text, "srv", rest, 0)
    raise ValueError(f"{text!r} is no seed: expected host:port, dns://host:port or srv://_mesh._tcp.example.org")


def parse_dns_server(text: str) -> str:
    """Read the address of a DNS server, ``ip`` or ``ip:port``, and return it with its port (53 when it has none).

    Raises:
        ValueError: ``text`` is neither.
    """
    try:
        address = Address(text, 53) if _is_ip(text) else parse_address(text)
    except ValueError:
        address = Address("", 0)
    if address.port == 0 or not _is_ip(address.host):
        raise ValueError(f"{text!r} is no DNS server: expected an IP address, with a port if it is not 53")
    return str(address)


def _with_port(text: str, rest: str) -> Address:
    address = parse_address(rest)
    if address.port == 0:
        raise ValueError(f"{text!r} names no port to dial")
    return address


def _check_name(text: str, name: str) -> None:
    if len(name) > _NAME_MAX or not _NAME.match(name):
        raise ValueError(f"{text!r} holds no name that can be looked up")


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
