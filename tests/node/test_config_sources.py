"""The sources of a configuration, their order, and where each value and each problem came from."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liminal_mesh.node.config_sources import load_config
from liminal_mesh.node.config_text import to_toml
from liminal_mesh.node.errors import ConfigError, Problem

FILE = """\
name = "from-file"
drain_timeout = "10s"

[cluster]
seeds = [
  "127.0.0.1:7611",
]
dial_overrides = { b = "127.0.0.1:7621" }

[log]
level = "warning"

[[channels]]
name = "orders"

[[channels]]
name = "metrics.*"
inbox = { messages = 16, bytes = "64KiB" }
ack = "nodes"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good file."""
    path = tmp_path / "node.toml"
    path.write_text(FILE)
    return path


def refused(path: Path | None, environ: Mapping[str, str] | None = None, **overrides: object) -> list[Problem]:
    with pytest.raises(ConfigError) as refusal:
        load_config(path, environ, overrides)
    return list(refusal.value.problems)


def test_without_a_file_everything_is_a_default() -> None:
    """A node without a file starts safely on loopback."""
    loaded = load_config(None, {}, {})

    assert loaded.config.client.listen == "127.0.0.1:7600"
    assert loaded.origin("client.listen") == "default"


def test_a_file_is_read_whole(file: Path) -> None:
    """Sections, lists, inline tables."""
    config = load_config(file, {}, {}).config

    assert config.cluster
    assert config.cluster.seeds == ("127.0.0.1:7611",)
    assert config.cluster.dial_overrides == {"b": "127.0.0.1:7621"}
    assert [channel.name for channel in config.channels] == ["orders", "metrics.*"]
    assert config.channels[1].inbox.messages == 16
    assert config.channels[1].ack == "nodes"


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(file: Path) -> None:
    """And each value remembers who set it."""
    environ = {"LIMINAL_NAME": "from-environment", "LIMINAL_LOG__LEVEL": "error", "LIMINAL_LIMITS__PEERS": "7"}
    loaded = load_config(file, environ, {"log.level": "debug", "name": None})
    config = loaded.config

    assert (config.log.level, config.name, config.drain_timeout, config.limits.peers) == (
        "debug",
        "from-environment",
        10.0,
        7,
    )
    assert loaded.origin("log.level") == "command line"
    assert loaded.origin("name") == "LIMINAL_NAME"
    assert loaded.origin("drain_timeout") == "node.toml:2"
    assert loaded.origin("channels[1].inbox.messages") == "node.toml:18"
    assert loaded.origin("http.listen") == "default"
    assert loaded.origin("cluster.listen") == "default"


def test_the_document_has_the_origin_of_every_value(file: Path) -> None:
    """What a table in one line leaves out is a default, and does not come from that line."""
    document = load_config(file, {"LIMINAL_LOG__LEVEL": "error"}, {}).document()

    assert document["file"] == str(file)
    assert document["config"]["channels"][1]["inbox"]["messages"] == 16
    assert document["config"]["channels"][1]["restart"] == {"attempts": 5, "within": 60.0}
    origins = document["origins"]
    assert origins["channels[1].inbox.messages"] == "node.toml:18"
    assert origins["channels[1].inbox.overflow"] == "default"
    assert origins["channels[0].inbox.messages"] == "default"
    assert origins["log.level"] == "LIMINAL_LOG__LEVEL"
    assert origins["cluster.listen"] == "default"


WAYS = """\
client.listen = "127.0.0.1:0"
http = { listen = "127.0.0.1:0" }
[cluster]
name = "c"
[cluster.dial_overrides]
b = "127.0.0.1:1"
[[channels]]
name = "x"
[channels.inbox]
messages = 7
[[channels.pressure]]
at = 0.5
slow = 2
[[channels]]
name = "y"
inbox.messages = 8
[channels.schema]
description = \"""
[limits]
peers = 3\"""
[limits]
peers = 9
"""


def test_a_value_is_of_its_line_however_the_file_is_written(tmp_path: Path) -> None:
    """Dotted keys, tables within channels, tables that are values; what is beside them is a default."""
    path = tmp_path / "node.toml"
    path.write_text(WAYS)
    loaded = load_config(path, {}, {})

    given = {key: origin for key, origin in loaded.document()["origins"].items() if origin != "default"}
    assert given == {
        "client.listen": "node.toml:1",
        "http.listen": "node.toml:2",
        "cluster.name": "node.toml:4",
        "cluster.dial_overrides": "node.toml:5",
        "channels[0].name": "node.toml:8",
        "channels[0].inbox.messages": "node.toml:10",
        "channels[0].pressure[0].at": "node.toml:12",
        "channels[0].pressure[0].slow": "node.toml:13",
        "channels[1].name": "node.toml:15",
        "channels[1].inbox.messages": "node.toml:16",
        "channels[1].schema": "node.toml:17",
        "limits.peers": "node.toml:22",
    }
    lines = to_toml(loaded.config, loaded.origin).split("\n")
    shown = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in lines}
    assert (shown["allowed_hosts"], shown["schema"], shown["restart"]) == ("default", "node.toml:17", "default")


def test_a_table_of_the_environment_takes_the_place_of_the_files(file: Path) -> None:
    """HC2: whatever is wrong with it is wrong there."""
    [problem] = refused(file, {"LIMINAL_CLUSTER__DIAL_OVERRIDES": "b=nowhere"})
    assert (problem.path, problem.place) == ("cluster.dial_overrides.b", "LIMINAL_CLUSTER__DIAL_OVERRIDES")


def test_the_environment_spells_every_kind_of_value() -> None:
    """Lists are divided by commas, tables are pairs, durations and sizes are as in the file."""
    config = load_config(
        None,
        {
            "LIMINAL_DRAIN_TIMEOUT": "250ms",
            "LIMINAL_CLIENT__LISTEN": "0.0.0.0:7600",
            "LIMINAL_CLIENT__ALLOW_INSECURE": "true",
            "LIMINAL_CLUSTER__SEEDS": "127.0.0.1:7611, localhost:7621",
            "LIMINAL_CLUSTER__DIAL_OVERRIDES": "b=127.0.0.1:1,c=127.0.0.1:2",
            "LIMINAL_CLUSTER__EXPECTED": "3",
            "LIMINAL_LIMITS__MAX_FRAME": "2MiB",
        },
        {},
    ).config

    assert config.drain_timeout == 0.25
    assert config.client.allow_insecure is True
    assert config.cluster
    assert config.cluster.seeds == ("127.0.0.1:7611", "localhost:7621")
    assert config.cluster.dial_overrides == {"b": "127.0.0.1:1", "c": "127.0.0.1:2"}
    assert config.cluster.expected == 3
    assert config.limits.max_frame == 2 << 20


def test_variables_that_are_not_ours_and_empty_ones_are_left_alone() -> None:
    """Kubernetes makes such names for a service called liminal, compose such values for what is not set."""
    environ = {
        "LIMINAL_URL": "liminal://b:7600",
        "LIMINAL_HTTP_URL": "http://b:7602",
        "LIMINAL_PORT": "tcp://10.0.0.1:7600",
        "LIMINAL_CLIENT": "tcp://10.0.0.1:7600",
        "LIMINAL_SERVICE_HOST": "10.0.0.1",
        "LIMINAL_CLUSTER__ADVERTISE": "",
    }

    assert load_config(None, environ, {}).config == load_config(None, {}, {}).config


def test_the_environment_is_held_to_the_same_rules() -> None:
    """HC2: a misspelt or bad variable is named, with what was probably meant."""
    found = refused(
        None,
        {
            "LIMINAL_CLUSTER__SEDS": "b:7601",
            "LIMINAL_CLUSTRE__SEEDS": "b:7601",
            "LIMINAL_LIMITS__PEERS": "many",
            "LIMINAL_CLIENT__ALLOW_INSECURE": "maybe",
            "LIMINAL_CHANNELS__0__NAME": "orders",
        },
    )

    assert {problem.place: problem.path for problem in found} == {
        "LIMINAL_CLUSTER__SEDS": "cluster.seds",
        "LIMINAL_CLUSTRE__SEEDS": "clustre.seeds",
        "LIMINAL_LIMITS__PEERS": "limits.peers",
        "LIMINAL_CLIENT__ALLOW_INSECURE": "client.allow_insecure",
        "LIMINAL_CHANNELS__0__NAME": "channels",
    }
    assert "did you mean 'seeds'?" in str(next(problem for problem in found if "SEDS" in problem.place))


def test_a_section_that_only_the_environment_makes_must_be_a_safe_one() -> None:
    """HC2: half a mesh, off loopback and without a secret, is refused with the variable that made it."""
    found = refused(None, {"LIMINAL_CLUSTER__SEEDS": "10.0.0.5:7601"})

    assert {problem.path: problem.place for problem in found} == {
        "cluster.cookie_file": "LIMINAL_CLUSTER__SEEDS",
        "cluster.allow_insecure_peers": "LIMINAL_CLUSTER__SEEDS",
    }


def test_problems_of_all_kinds_and_sources_come_together_with_their_lines(tmp_path: Path) -> None:
    """HC2: keys, values of wrong types, no time at all, what does not go together, and files that are not there."""
    path = tmp_path / "node.toml"
    path.write_text(
        """\
nmae = "a"
data_dir = "node.toml"
drain_timeout = 0
[client]
listen = "0.0.0.0:7600"
[cluster]
listen = "127.0.0.1:7602"
cookie_file = "cookie"
[[channels]]
name = "a"
[[channels]]
nam = "b"
[[channels]]
name = "a"
inbox = { overflow = "drop" }
[limits]
peers = 0
groups = "many"
"""
    )
    found = {problem.path: problem.place for problem in refused(path, {}, **{"log.level": "loud"})}

    assert found == {
        "nmae": "node.toml:1",
        "data_dir": "node.toml:2",
        "drain_timeout": "node.toml:3",
        "client.listen": "node.toml:5",
        "cluster.listen": "node.toml:7",
        "cluster.cookie_file": "node.toml:8",
        "channels[1].nam": "node.toml:12",
        "channels[1].name": "node.toml:11",
        "channels[2].name": "node.toml:14",
        "channels[2].inbox.overflow": "node.toml:15",
        "limits.peers": "node.toml:17",
        "limits.groups": "node.toml:18",
        "log.level": "command line",
    }
    lines = [int(place.rpartition(":")[2]) for place in found.values() if ":" in place]
    assert lines == sorted(lines)
    assert list(found)[-1] == "log.level"


def test_paths_in_a_file_are_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file means the same from wherever the node is started."""
    (tmp_path / "cookie").write_text(secrets.token_hex(32) + "\n")
    path = tmp_path / "node.toml"
    path.write_text('data_dir = "data"\n[cluster]\ncookie_file = "cookie"\n')
    monkeypatch.chdir("/")

    config = load_config(path, {}, {}).config

    assert config.data_dir == tmp_path / "data"
    assert config.cluster
    assert config.cluster.cookie_file == tmp_path / "cookie"
    assert load_config(None, {"LIMINAL_DATA_DIR": "tmp"}, {}).config.data_dir == Path("tmp")


@pytest.mark.parametrize("text", ["name = ", "a = 1\na = 2", "x = " + "[" * 3000, '"\x00" = 1'])
def test_a_file_that_is_no_toml_is_one_problem_with_its_file(tmp_path: Path, text: str) -> None:
    """Nothing else is reported then, since nothing else is known."""
    path = tmp_path / "node.toml"
    path.write_text(text)

    (problem,) = refused(path)
    assert problem.place == str(path)
    assert problem.message.startswith("cannot be read")


def test_a_file_that_is_not_there_is_a_problem_too(tmp_path: Path) -> None:
    """With the system's own words."""
    (problem,) = refused(tmp_path / "missing.toml")
    assert problem.message == "cannot be read: No such file or directory"


_VALUES = st.recursive(
    st.booleans() | st.integers(-1, 3) | st.sampled_from(["a", "b:7601", "5s", "", "drop-oldest", "0.0.0.0:1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "inbox", "messages", "listen", "seeds", "b", "x y"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
_KEYS = st.sampled_from(["name", "channels", "cluster", "client", "limits", "log", "groups", "x y"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(_KEYS, _VALUES, max_size=4), st.dictionaries(st.sampled_from(["NAME", "LOG__LEVEL"]), st.text("ab"))
)
def test_whatever_a_file_holds_it_loads_or_is_a_config_error(
    tmp_path: Path, tree: dict[str, Any], environ: dict[str, str]
) -> None:
    """Never another error, and never one without its path."""
    path = tmp_path / "node.toml"
    path.write_text("".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in tree.items()))
    problems: tuple[Problem, ...] = ()
    try:
        load_config(path, {f"LIMINAL_{name}": text for name, text in environ.items()}, {})
    except ConfigError as error:
        problems = error.problems

    assert all(problem.path and problem.message for problem in problems)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
