"""The container engine of this machine, spoken with by its command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["BASE_IMAGE", "COMPOSE", "IMAGE", "docker", "inspect", "iptables", "measured", "missing"]

COMPOSE = Path(__file__).parents[2] / "compose"
BASE_IMAGE = COMPOSE / "base-image"
IMAGE = "liminal-mesh:test"
"""Not the tag that people run, so that a test takes nothing from them."""

WORK_S = 120.0
"""For one command of the engine, a build included."""


def run(*command: str, timeout: float = WORK_S, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it wrote on stdout.

    Raises:
        AssertionError: it failed, with what it said.
    """
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=timeout, check=False
    )
    said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {said}"
    return done.stdout


def docker(*words: str, timeout: float = WORK_S, env: Mapping[str, str] | None = None) -> str:
    """Run a command of the engine."""
    return run("docker", *words, timeout=timeout, env=env)


def inspect(container: str) -> dict[str, Any]:
    """Return what the engine knows of a container."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", container))
    return found[0]


def iptables(*words: str) -> str:
    """Run ``iptables``, which waits for others that change the rules."""
    return run(shutil.which("iptables") or "/usr/sbin/iptables", "--wait", "10", *words)


def missing() -> str:
    """Return what this machine lacks for these tests and what to do about it, or "" when all is there."""
    for command, advice in (
        (("docker", "version"), "start it, or set NO_DOCKER=1 where there is none"),
        (("docker", "compose", "version"), "run .ci/compose-plugin"),
    ):
        try:
            run(*command, timeout=30)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(command)} does not answer: {advice}. {error}"
    try:
        iptables("--list-rules", "DOCKER-USER")
    except (AssertionError, OSError) as error:
        return f"links between containers are cut by iptables, as root: {error}"
    return ""


def measured(*command: str, env: Mapping[str, str] | None = None) -> float:
    """Run a command; return the seconds that it took."""
    start = time.monotonic()
    run(*command, env=env)
    return time.monotonic() - start
