"""What a node that runs takes of a configuration that has changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from liminal_mesh.cluster.frames import Hello
from liminal_mesh.node import status
from liminal_mesh.node.cli.reloading import Reloader
from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.config_sources import LoadedConfig
from liminal_mesh.node.errors import ConfigError, Problem
from liminal_mesh.node.lines import ROOT
from liminal_mesh.node.node import Node

from ...live.raw_peer import raw_seed

FREE: dict[str, Any] = {"listen": "127.0.0.1:0"}


def config(level: str = "info", seeds: tuple[str, ...] = (), mesh: bool = True, **more: Any) -> LoadedConfig:
    """Return a configuration on free ports."""
    cluster = {**FREE, "seeds": seeds} if mesh else None
    values = {"name": "a", "client": FREE, "http": FREE, "log": {"level": level}, "cluster": cluster, **more}
    return LoadedConfig(NodeConfig.model_validate(values), {"log.level": f"node.toml:{len(level)}"}, None)


@pytest.fixture(autouse=True)
def level() -> Iterator[logging.Logger]:
    """Leave the level of our log as it was."""
    logger = logging.getLogger(ROOT)
    before = logger.level
    logger.setLevel("INFO")
    yield logger
    logger.setLevel(before)


def fields(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Return the fields of the last line."""
    found: dict[str, Any] = caplog.records[-1].fields  # type: ignore[attr-defined]
    return found


async def test_seeds_and_level_are_taken_and_the_rest_waits_for_a_restart(
    caplog: pytest.LogCaptureFixture, level: logging.Logger
) -> None:
    """What was taken is in force from then on; what waits is named each time, until it is taken back."""
    wanted = [config("debug", ("127.0.0.1:1",), drain_timeout="9s"), config("debug", ("127.0.0.1:1",))]
    async with Node(config()) as node:
        reloader = Reloader(node, lambda: wanted.pop(0))
        assert node.running.peering is not None
        reloader.reload()
        first = fields(caplog)
        assert first["changed"] == {"cluster.seeds": ("127.0.0.1:1",), "log.level": "debug"}
        assert (first["needs_restart"], caplog.records[-1].levelname) == (["drain_timeout"], "WARNING")
        assert [one.seed for one in node.running.peering.seeds()] == ["127.0.0.1:1"]
        assert level.level == logging.DEBUG
        shown = status.config(node.running)
        assert (shown["config"]["log"]["level"], shown["origins"]["log.level"]) == ("debug", "node.toml:5")
        assert shown["config"]["cluster"]["seeds"] == ["127.0.0.1:1"]
        assert shown["config"]["drain_timeout"] == 30

        reloader.reload()
        assert (fields(caplog)["changed"], fields(caplog)["needs_restart"]) == ({}, [])
        assert [event["kind"] for event in node.running.hub.events] == ["reloaded", "reloaded"]


async def test_seeds_that_are_taken_as_soon_as_a_node_has_started_are_dialled() -> None:
    """Also when it had none before: no dial is lost in its first turns."""
    async with raw_seed() as seed, Node(config()) as node:
        Reloader(node, lambda: config(seeds=(seed.address,))).reload()
        assert await (await seed.visitor()).expect(Hello)


async def test_a_node_that_becomes_quiet_says_so_first(caplog: pytest.LogCaptureFixture, level: logging.Logger) -> None:
    """The line would be below its new level."""
    async with Node(config()) as node:
        Reloader(node, lambda: config("error")).reload()
        assert fields(caplog)["changed"] == {"log.level": "error"}
        assert level.level == logging.ERROR


async def test_a_wrong_configuration_changes_nothing(caplog: pytest.LogCaptureFixture, level: logging.Logger) -> None:
    """All that is wrong is told, each with its place; the next one that is right is taken."""
    problems = [Problem("cluster.seeds[0]", "is none"), Problem("log.level", "is none")]
    loads: list[LoadedConfig | Exception] = [ConfigError(problems), config("debug", ("127.0.0.1:1",))]

    def load() -> LoadedConfig:
        next_one = loads.pop(0)
        if isinstance(next_one, Exception):
            raise next_one
        return next_one

    async with Node(config(seeds=("127.0.0.1:2",))) as node:
        reloader = Reloader(node, load)
        assert node.running.peering is not None
        reloader.reload()
        assert fields(caplog)["problems"] == [str(problem) for problem in problems]
        assert [one.seed for one in node.running.peering.seeds()] == ["127.0.0.1:2"]
        assert level.level == logging.INFO
        (event,) = [one for one in node.running.hub.events if one["kind"] == "reload_refused"]
        assert event["problems"] == [str(problem) for problem in problems]
        reloader.reload()
        assert [one.seed for one in node.running.peering.seeds()] == ["127.0.0.1:1"]


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False)])
async def test_a_mesh_does_not_come_or_go_while_a_node_runs(
    caplog: pytest.LogCaptureFixture, before: bool, after: bool
) -> None:
    """It is one thing that needs a restart, with all that is in it."""
    async with Node(config(mesh=before)) as node:
        Reloader(node, lambda: config(seeds=("127.0.0.1:1",) if after else (), mesh=after)).reload()
    told = next(one.fields for one in caplog.records if one.getMessage().startswith("reloaded"))  # type: ignore[attr-defined]
    assert (told["changed"], told["needs_restart"]) == ({}, ["cluster"])
