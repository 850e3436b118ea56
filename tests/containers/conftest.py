"""The image, built once, and the clusters that are run from it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .engine import BASE_IMAGE, IMAGE, docker, measured, missing
from .project import Project, Replica, free_ports

SECONDS = pytest.StashKey[dict[str, float]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what takes time before the first test."""
    config.stash[SECONDS] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell how long the images took: on a fresh machine that is most of this suite."""
    for what, seconds in config.stash.get(SECONDS, {}).items():
        terminalreporter.write_line(f"{what}: {seconds:.1f} s")


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    """The image of this checkout, on a base that is pulled, or made here where no registry answers."""
    if os.environ.get("NO_DOCKER") == "1":
        pytest.skip("NO_DOCKER=1: this machine has no container engine")
    lacking = missing()
    assert not lacking, lacking
    seconds = request.config.stash[SECONDS]
    seconds["base image"] = measured(str(BASE_IMAGE))
    project = Project("compose.yaml")
    seconds["image"] = measured("docker", *project.words("build", "--quiet"), env={"LIMINAL_IMAGE": IMAGE})
    yield IMAGE
    docker("image", "rm", IMAGE)


def _run(project: Project, *words: str) -> Iterator[Project]:
    try:
        project.up(*words)
        yield project
    finally:
        project.down()
    assert not project.left_over()


@pytest.fixture(scope="module")
def three(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    """``compose.yaml`` with other host ports, so that a cluster that somebody runs here is left alone."""
    ports = free_ports(6)
    lines = ["services:"]
    for name, (client, http) in zip(("n1", "n2", "n3"), zip(ports[::2], ports[1::2], strict=True), strict=True):
        lines.append(f'  {name}: {{ports: !override ["127.0.0.1:{client}:7600", "127.0.0.1:{http}:7602"]}}')
    more = tmp_path_factory.mktemp("compose") / "ports.yaml"
    more.write_text("\n".join(lines))
    for project in _run(Project("compose.yaml", more)):
        yield project.replicas("n1", "n2", "n3")


@pytest.fixture
def scaled(image: str) -> Iterator[Project]:
    """``compose.scale.yaml`` with two nodes."""
    yield from _run(Project("compose.scale.yaml"), "--scale", "node=2")
