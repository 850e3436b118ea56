"""The configuration that is in force, and how another one changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.config_sources import LoadedConfig
from liminal_mesh.node.in_force import InForce

LEVELS = ("debug", "info", "warning", "error")


def loaded(origins: dict[str, str] | None = None, **values: Any) -> LoadedConfig:
    """Return a configuration as a file would say it."""
    return LoadedConfig(NodeConfig.model_validate(values), origins or {}, None)


def test_what_changes_is_taken_with_its_origin_and_the_rest_waits() -> None:
    """Down to the value; a section that is new is one."""
    in_force = InForce(loaded({"log.level": "node.toml:2"}, log={"level": "error"}))

    taken = in_force.take(
        loaded({"log.level": "LIMINAL_LOG__LEVEL"}, log={"level": "debug", "format": "json"}, cluster={})
    )

    assert (taken.changed, taken.waiting) == ({"log.level": "debug"}, ("cluster", "log.format"))
    assert (in_force.loaded.config.log.level, in_force.loaded.config.log.format) == ("debug", "auto")
    assert in_force.loaded.origin("log.level") == "LIMINAL_LOG__LEVEL"
    assert in_force.loaded.config.cluster is None


def test_what_goes_back_to_its_default_comes_from_there() -> None:
    """The line that said it is gone."""
    in_force = InForce(loaded({"log.level": "node.toml:2"}, log={"level": "error"}))
    in_force.take(loaded())

    assert in_force.loaded.config.log.level == "info"
    assert in_force.loaded.document()["origins"]["log.level"] == "default"


_CONFIGS = st.builds(
    lambda level, seeds, timeout, name: loaded(
        log={"level": level}, cluster={"seeds": seeds}, drain_timeout=timeout, name=name
    ),
    st.sampled_from(LEVELS),
    st.lists(st.sampled_from(["b:1", "c:2"]).map(lambda seed: f"127.0.0.1:{seed[-1]}"), max_size=2),
    st.integers(1, 3),
    st.sampled_from(["a", "b"]),
)


@given(_CONFIGS, st.lists(_CONFIGS, max_size=3))
def test_taking_twice_changes_nothing_more_and_what_waits_never_changes(
    first: LoadedConfig, later: list[LoadedConfig]
) -> None:
    """What is in force is the start, with the last of what may change."""
    in_force = InForce(first)
    for one in later:
        taken = in_force.take(one)
        again = in_force.take(one)
        assert (again.changed, again.waiting) == ({}, taken.waiting)
    last, config = (later or [first])[-1].config, in_force.loaded.config
    assert config.log.level == last.log.level
    assert (config.name, config.drain_timeout) == (first.config.name, first.config.drain_timeout)
    assert config.cluster is not None
    assert last.cluster is not None
    assert config.cluster.seeds == last.cluster.seeds


def test_a_configuration_in_code_came_from_the_program_where_it_says_something() -> None:
    """Every value has an origin, however deep it is; Python's paths are text."""
    config = NodeConfig.model_validate(
        {
            "data_dir": Path("data"),
            "client": {"listen": "127.0.0.1:0"},
            "channels": [{"name": "a"}, {"name": "b", "inbox": {"messages": 3}}],
        }
    )
    document = LoadedConfig.in_code(config).document()

    said = {path for path, origin in document["origins"].items() if origin != "default"}
    assert said == {"data_dir", "client.listen", "channels[0].name", "channels[1].name", "channels[1].inbox.messages"}
    assert {document["origins"][path] for path in said} == {"program"}
    assert document["origins"]["channels[1].inbox.overflow"] == "default"
    assert document["origins"]["limits.peers"] == "default"
    assert (document["config"]["data_dir"], document["file"]) == ("data", None)
