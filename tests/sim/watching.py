"""What a test asks of the nodes of a world."""

from __future__ import annotations

from typing import TypeVar

from liminal_mesh.cluster.effects import Notice

from .host import End, Host

__all__ = ["all_linked", "control_link", "link", "notices", "of"]

T = TypeVar("T")


def of(kind: type[T], host: Host) -> list[T]:
    """Return the effects of one kind that a node asked for so far."""
    return [effect for effect in host.effects if isinstance(effect, kind)]


def notices(host: Host) -> list[str]:
    """Return the notices that a node gave so far."""
    return [notice.event for notice in of(Notice, host)]


def all_linked(*hosts: Host) -> bool:
    """Whether each of these nodes has a session with each other one."""
    return all(set(host.core.sessions()) == {other.me.name for other in hosts} - {host.me.name} for host in hosts)


def link(host: Host, name: str) -> End:
    """Return a node's end of its session."""
    return host.ends[host.core.sessions()[name].conn]


def control_link(host: Host, name: str) -> End:
    """Return a node's end of its control link."""
    return host.control_ends[host.control._links[name].conn]
