"""Links between containers that are cut: each end hears nothing more of the other, and nobody is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .engine import docker, iptables
from .project import Replica

__all__ = ["apart", "cut"]


@contextmanager
def cut(one: Replica, other: Replica) -> Iterator[None]:
    """Drop every packet between two containers, both ways; each still has everybody else, and the host."""
    ends = [(one.address, other.address), (other.address, one.address)]
    drop = ("--match", "comment", "--comment", one.project.name, "--jump", "DROP")
    rules = [("--source", source, "--destination", target, *drop) for source, target in ends]
    try:
        for rule in rules:
            iptables("--insert", "DOCKER-USER", *rule)
        yield
    finally:
        for rule in rules:
            iptables("--delete", "DOCKER-USER", *rule)


@contextmanager
def apart(one: Replica) -> Iterator[None]:
    """Take a container off its network, and back; it has no address and no names meanwhile, perhaps another after."""
    network = f"{one.project.name}_default"
    docker("network", "disconnect", network, one.container)
    try:
        yield
    finally:
        # Without the alias the name of its service does not stand for it again.
        docker("network", "connect", "--alias", one.service, network, one.container)
