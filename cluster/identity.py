"""Who is who: nodes, their runs, the processes in them, and addresses.

A node is ``(name, epoch)``: the epoch is one run of the name, so that a restarted node is another
node to everything that holds its identity. An address is an attribute of a node, never its identity.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["NODE_NAME", "Address", "NodeId", "Pid", "parse_address"]

NODE_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
"""A node's name, as a pattern for ``match``."""


class NodeId(NamedTuple):
    """One run of one named node."""

    name: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.name}.{self.epoch}"


class Pid(NamedTuple):
    """A process of the bus, printed ``node.epoch.number``; never used again once it has ended."""

    node: str
    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.node}.{self.epoch}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> Pid:
        """Read a pid as it is printed.

        Raises:
            ValueError: ``text`` is no pid.
        """
        node, _, rest = text.partition(".")
        epoch, _, number = rest.partition(".")
        if not NODE_NAME.match(node) or not (epoch.isdecimal() and number.isdecimal()):
            raise ValueError(f"{text!r} is no pid: expected name.epoch.number")
        return cls(node, int(epoch), int(number))


class Address(NamedTuple):
    """Where something listens: a host name or an IP address without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it, judged by the text alone (no lookup)."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


def parse_address(text: str) -> Address:
    """Read ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: ``text`` is not of that form, no host can have that name, it has a character that cannot be seen, or
            the port is not in 0..65535.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is no address: an IPv6 host is written in brackets, [::1]:7601")
    if not colon or not host or " " in host or not host.isprintable() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address: expected host:port, such as 127.0.0.1:7601")
    try:
        host.encode("idna")  # as whoever looks it up does
    except UnicodeError:
        raise ValueError(f"{text!r} is no address: no host can be called {host!r}") from None
    return Address(host, int(port))
