"""Clusters of containers for tests: brought up by the files that people use, and gone when the test is over."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
import urllib.request
from collections.abc import Callable, Collection, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from .engine import COMPOSE, IMAGE, docker, inspect, iptables

__all__ = ["Project", "Replica", "free_ports", "until", "whole"]

PREFIX = "liminal-test"
PATIENCE_S = 50.0
"""Ten times what the longest wait should take: the 5 s of silence after which a session is over."""

PAUSE_S = 0.2
HTTP_S = 5.0


class Project:
    """A compose project with a name of its own.

    Args:
        file: the name of a file in ``compose/``.
        more: a further file, which says what a test needs to be different.
    """

    def __init__(self, file: str, more: Path | None = None) -> None:
        self.name = f"{PREFIX}-{os.getpid()}-{file.partition('.yaml')[0].replace('.', '-')}"
        self._volumes: set[str] = set()
        files = [COMPOSE / file, *([more] if more else [])]
        self._words = [
            "compose",
            "--project-name",
            self.name,
            *(word for one in files for word in ("--file", str(one))),
        ]

    def words(self, *words: str) -> list[str]:
        """Return the words behind ``docker`` for a command of ``docker compose`` about this project."""
        return [*self._words, *words]

    def compose(self, *words: str) -> str:
        """Run ``docker compose`` for this project."""
        return docker(*self.words(*words), env={"LIMINAL_IMAGE": IMAGE})

    def up(self, *words: str) -> None:
        """Start what is not running, without a build."""
        self.compose("up", "--detach", "--no-build", *words)

    def replicas(self, *services: str) -> list[Replica]:
        """Return the nodes of these services, in the order of their names and numbers."""
        found = [Replica(self, one) for one in self._containers()]
        return sorted((one for one in found if one.service in services), key=lambda one: (one.service, one.index))

    def _containers(self) -> list[str]:
        return docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.name}").split()

    def left_over(self) -> list[str]:
        """Return what the engine and the packet filter hold of this project after :meth:`down`."""
        label = f"label=com.docker.compose.project={self.name}"
        kinds = (("container", "--all"), ("network",), ("volume",))
        found = [
            f"{kind} {one}"
            for kind, *words in kinds
            for one in docker(kind, "ls", *words, "--quiet", "--filter", label).split()
        ]
        found += sorted(self._volumes & set(docker("volume", "ls", "--quiet").split()))
        return [*found, *(rule for rule in iptables("--list-rules", "DOCKER-USER").splitlines() if self.name in rule)]

    def down(self) -> None:
        """Take everything away: rules, containers, networks and volumes, also those without a name."""
        for rule in iptables("--list-rules", "DOCKER-USER").splitlines():
            if self.name in rule:
                iptables("--delete", *rule.split()[1:])
        # Volumes without a name do not bear the project's label.
        self._volumes |= {
            mount["Name"] for one in self._containers() for mount in inspect(one)["Mounts"] if "Name" in mount
        }
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")


class Replica:
    """One node in its container."""

    def __init__(self, project: Project, container: str) -> None:
        labels = inspect(container)["Config"]["Labels"]
        self.project = project
        self.container = container
        self.service: str = labels["com.docker.compose.service"]
        self.index = int(labels["com.docker.compose.container-number"])
        self.known_as = ""

    def __repr__(self) -> str:
        return f"{self.service}[{self.index}]"

    @property
    def address(self) -> str:
        """Its IP address, which may change when it is connected to its network again."""
        (network,) = inspect(self.container)["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    @property
    def url(self) -> str:
        """Where a client on the host connects."""
        return f"liminal://127.0.0.1:{self.port(7600)}"

    @property
    def http(self) -> str:
        """Where the host asks it over HTTP."""
        return f"http://127.0.0.1:{self.port(7602)}"

    @property
    def name(self) -> str:
        """The node's name, as it told when it was first asked."""
        self.known_as = self.known_as or str(self.ask("node")["name"])
        return self.known_as

    def port(self, inside: int) -> int:
        """Return the host's port for one of the container's, which is open on 127.0.0.1 and nowhere else."""
        (published,) = inspect(self.container)["NetworkSettings"]["Ports"][f"{inside}/tcp"]
        assert published["HostIp"] == "127.0.0.1"
        return int(published["HostPort"])

    def ask(self, page: str) -> dict[str, Any]:
        """Return a page of ``/api/v1``."""
        with urllib.request.urlopen(f"{self.http}/api/v1/{page}", timeout=HTTP_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def run(self, *command: str) -> str:
        """Run a command in the container."""
        return docker("exec", self.container, *command)

    def linked(self) -> set[str]:
        """Return the names of the nodes with which it has a link."""
        return {link["peer"] for link in self.ask("links")["links"] if link["up"]}

    def alive(self) -> set[str]:
        """Return the names of the nodes that it holds for alive, its own included."""
        return {member["name"] for member in self.ask("members")["members"] if member["state"] == "alive"}


def free_ports(count: int) -> list[int]:
    """Return so many ports of 127.0.0.1 that are free now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


async def until(what: str, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> float:
    """Ask again and again until the condition holds; return the seconds that it took. No answer counts as no."""
    start = time.monotonic()
    last: object = None
    while time.monotonic() - start < patience_s:
        try:
            if await asyncio.to_thread(condition):
                return time.monotonic() - start
            last = "it does not hold"
        except (OSError, HTTPException) as error:
            last = error
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"waited {patience_s:g} s in vain until {what}: {last}")


async def whole(replicas: Sequence[Replica]) -> float:
    """Wait until each of them is alive for, and linked with, all others; return the seconds that it took."""

    def condition() -> bool:
        names = {one.name for one in replicas}
        return all(_sees(one, names) for one in replicas)

    return await until(f"{replicas} are one mesh", condition)


def _sees(one: Replica, names: Collection[str]) -> bool:
    return one.alive() == set(names) and one.linked() == set(names) - {one.name}
