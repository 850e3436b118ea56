"""File descriptors: a node does not start with bounds that its process has no descriptors for (CN5)."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import replace

import pytest

from liminal_mesh.node.config import LimitsConfig, NodeConfig
from liminal_mesh.node.descriptors import RESERVED, allow_descriptors, check_descriptors
from liminal_mesh.node.environment import REAL
from liminal_mesh.node.errors import ConfigError
from liminal_mesh.node.node import Node

from ..nodes import node_config

LIMITS = LimitsConfig(connections=1000, handshakes=10, peers=100)


def refused(allowed: int, *, listeners: int = 2, meshed: bool = False) -> str:
    """Return what is said when a process may have so many descriptors; "" when they are enough."""
    try:
        check_descriptors(LIMITS, listeners, meshed, lambda _: allowed)
    except ConfigError as error:
        (problem,) = error.problems
        assert problem.path == "limits.connections"
        return problem.message
    return ""


def test_cn5_what_a_node_may_need_is_the_sum_of_its_bounds() -> None:
    """Clients, newcomers at each listener, two links for each peer, and a reserve for all else."""
    alone, meshed = 1000 + 2 * 10 + RESERVED, 1000 + 3 * 10 + 2 * 100 + RESERVED

    assert (refused(alone), refused(meshed, listeners=3, meshed=True)) == ("", "")
    assert str(alone) in refused(alone - 1)
    assert str(meshed) in refused(meshed - 1, listeners=3, meshed=True)


def test_cn5_the_error_says_what_there_is_and_what_to_do() -> None:
    """The settings, both figures, how to have more, and what would do with what there is."""
    said = refused(1024)
    assert "is 1000; with limits.handshakes = 10 at each of 2 listeners and 256 in reserve that makes 1276" in said
    assert "this process may have 1024: let it have more (ulimit -Hn, " in said
    assert said.endswith("or lower limits.connections to 748")
    assert "limits.peers = 100 with two links each" in refused(1024, listeners=3, meshed=True)
    assert refused(300, listeners=3, meshed=True).endswith("or lower limits.connections and limits.peers")


async def test_cn5_a_node_without_descriptors_does_not_start_and_opens_nothing() -> None:
    """It asks for what it may need, and takes no for an answer; with less it starts."""
    asked = []

    def few(wanted: int) -> int:
        asked.append(wanted)
        return 400

    config = node_config("a", limits={"connections": 200, "handshakes": 8, "peers": 4})
    with pytest.raises(ConfigError, match=r"limits.connections: is 200; .* makes 488 .* to 112"):
        await Node(config, environment=replace(REAL, descriptors=few)).start()
    less = NodeConfig(**{**dict(config), "limits": LimitsConfig(connections=112, handshakes=8, peers=4)})
    async with Node(less, environment=replace(REAL, descriptors=few)) as node:
        assert node.addresses
    assert asked == [488, 400]


@pytest.fixture
def soft() -> Iterator[int]:
    """Lower the soft limit of this process for a test; return it."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    yield 600
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_cn5_the_soft_limit_is_raised_as_far_as_it_is_wanted(soft: int) -> None:
    """It is never lowered, and the hard limit stays."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted, allowed in ((100, soft), (soft, soft), (700, 700), (650, 700)):
        assert allow_descriptors(wanted) == allowed
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (allowed, hard)


def test_cn5_no_more_is_allowed_than_the_hard_limit(soft: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft one is raised up to it; if the system has none, or one below it, that is what counts."""
    limits = [soft, 900]

    def setrlimit(_: int, both: tuple[int, int]) -> None:
        limits[:] = both

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert (allow_descriptors(1000), limits) == (900, [900, 900])
    limits[:] = soft, resource.RLIM_INFINITY
    assert (allow_descriptors(1000), limits) == (1000, [1000, resource.RLIM_INFINITY])
    limits[:] = resource.RLIM_INFINITY, resource.RLIM_INFINITY
    assert allow_descriptors(1000) > 1000

    def refuses(_: int, both: tuple[int, int]) -> None:
        raise ValueError("above what the system allows")

    monkeypatch.setattr(resource, "setrlimit", refuses)
    limits[:] = soft, resource.RLIM_INFINITY
    assert (allow_descriptors(1000), limits) == (soft, [soft, resource.RLIM_INFINITY])
