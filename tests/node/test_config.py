"""The model of the configuration, as a program builds it."""

import os
from pathlib import Path
from typing import Any

import pytest

from liminal_mesh.node.config import ChannelConfig, ClusterConfig, LimitsConfig, NodeConfig
from liminal_mesh.node.config_problems import LATER, section_at
from liminal_mesh.node.errors import ConfigError


def problems(**data: Any) -> dict[str, str]:
    """Return the problems of a configuration by path."""
    with pytest.raises(ConfigError) as refusal:
        NodeConfig(**data)
    return {problem.path: problem.message for problem in refusal.value.problems}


def test_a_configuration_without_a_word_is_safe() -> None:
    """Everything stays on loopback, and no mesh port opens."""
    config = NodeConfig()

    assert config.client.address.loopback
    assert config.http.address.loopback
    assert config.cluster is None


def test_a_program_writes_durations_and_sizes_as_numbers_or_text() -> None:
    """Seconds and bytes in the end."""
    config = NodeConfig.model_validate(
        {"drain_timeout": "250ms", "limits": {"max_frame": "2MiB", "inbox_bytes": 1_000_000}}
    )

    assert config.drain_timeout == 0.25
    assert config.limits.max_frame == 2 << 20
    assert config.limits.inbox_bytes == 1_000_000


def test_neither_the_environment_nor_a_file_changes_what_a_program_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded node reads only its arguments."""
    monkeypatch.setenv("LIMINAL_NAME", "other")

    assert NodeConfig(name="a").name == "a"
    assert NodeConfig(name="a", cluster=ClusterConfig(cookie_file=Path("/nowhere/at/all"))).name == "a"


def test_a_configuration_is_frozen() -> None:
    """What a node was told does not change under it; lists become tuples."""
    config = NodeConfig(channels=[ChannelConfig(name="a")])

    assert isinstance(config.channels, tuple)
    with pytest.raises(ValueError, match="frozen"):
        config.name = "b"


def test_a_section_that_is_wrong_by_itself_is_a_config_error() -> None:
    """Never an error of a library's, wherever it is built."""
    with pytest.raises(ConfigError, match="empty token"):
        ChannelConfig(name="a..b")
    with pytest.raises(ConfigError, match="did you mean 'seeds'"):
        ClusterConfig(seds=["b:7601"])  # type: ignore[call-arg]


def test_all_problems_are_reported_together_each_with_its_path() -> None:
    """HC2: one look is enough to mend a file."""
    found = problems(
        name="a b",
        drain_timeout="0s",
        nmae="a",
        channels=[{"name": "a", "durable": True}, {"nam": "b"}, 3, {"name": "b", "inbox": {"overflow": "drop"}}],
        cluster={"seeds": ["b:7601", "dns://mesh", "srv://_mesh._tcp.internal:1"], "members": ["a"], "listen": 7},
        http={"allowed_hosts": "a.example"},
        data_dir=7,
        limits={"peers": 0, "write_deadline": 0, "max_frame": "1MB"},
    )

    assert found["name"] == "'a b' is no node name: 1 to 63 of A-Z a-z 0-9 _ -"
    assert "above zero" in found["drain_timeout"]
    assert found["nmae"] == "unknown key; did you mean 'name'?"
    assert found["channels[0].durable"] == "durable channels are not available in this version"
    assert found["channels[1].name"] == "is missing"
    assert found["channels[1].nam"] == "unknown key; did you mean 'name'?"
    assert found["channels[2]"] == "has to be a table, not 3"
    assert "'drop-oldest'" in found["channels[3].inbox.overflow"]
    assert "expected host:port" in found["cluster.seeds[1]"]
    assert "names a port" in found["cluster.seeds[2]"]
    assert found["cluster.members"] == "is not available in this version"
    assert "cluster.listen" in found
    assert found["http.allowed_hosts"] == "has to be a list, not 'a.example'"
    assert found["data_dir"] == "has to be a path, not 7"
    assert {"limits.peers", "limits.write_deadline", "limits.max_frame"} <= found.keys()
    assert len(found) == 17


KEYS = {
    "": "name data_dir drain_timeout client http log cluster auth channels groups routing_rules limits",
    "client": "listen tls allow_insecure",
    "http": "listen tls allow_insecure allowed_hosts",
    "log": "level format",
    "cluster": "name listen advertise seeds cookie_file cookie_files expected ready members dial_overrides dns_servers "
    "profile fast_death allow_insecure_peers tls",
    "channels": "name durable schema inbox retention dedup copies ack partitions partition_by restart",
    "channels.inbox": "messages bytes overflow",
    "channels.dedup": "window mode",
    "channels.restart": "attempts within",
}
"""What programs and files may count on."""


@pytest.mark.parametrize(
    "path", [f"{section}.{key}".strip(".") for section, keys in KEYS.items() for key in keys.split()]
)
def test_a_key_is_there_or_is_told_apart_from_a_misspelling(path: str) -> None:
    """And never both: what is here by now is not announced for later."""
    *section, name = path.split(".")
    model = section_at(NodeConfig, section)
    assert model is not None
    assert (name in model.model_fields) is not (path in LATER)


def test_nothing_else_is_announced() -> None:
    """A key that only we know of would be a promise."""
    assert {f"{section}.{key}".strip(".") for section, keys in KEYS.items() for key in keys.split()} >= LATER


@pytest.mark.parametrize("name", LimitsConfig.model_fields)
def test_no_bound_can_be_zero_or_unlimited(name: str) -> None:
    """HC2: every bound is a bound, and says what it bounds."""
    for value in (0, -1, float("inf"), None):
        assert f"limits.{name}" in problems(limits={name: value})
    assert LimitsConfig.model_fields[name].description


@pytest.mark.parametrize("listener", ["client", "http"])
def test_a_listener_off_loopback_has_to_be_called_insecure(listener: str) -> None:
    """There are no tokens yet, so the file has to say it in words."""
    assert "whoever reaches it" in problems(**{listener: {"listen": "0.0.0.0:7700"}})[f"{listener}.listen"]
    NodeConfig.model_validate({listener: {"listen": "0.0.0.0:7700", "allow_insecure": True}})


@pytest.mark.parametrize("value", [1, "true", "yes", None])
def test_insecurity_is_said_with_true_and_nothing_like_it(value: object) -> None:
    """What opens a door is not guessed."""
    assert "client.allow_insecure" in problems(client={"allow_insecure": value})


@pytest.mark.parametrize(
    "cluster",
    [
        {"listen": "10.0.0.1:7601"},
        {"listen": "[::]:7601", "advertise": "a:7601"},
        {"seeds": ["b.example:7601"]},
        {"dial_overrides": {"b": "192.168.0.2:7601"}},
    ],
)
def test_a_mesh_off_loopback_needs_a_cookie_and_the_word_insecure(cluster: dict[str, Any]) -> None:
    """Listening there and dialling there are the same risk."""
    assert problems(cluster=cluster).keys() == {"cluster.cookie_file", "cluster.allow_insecure_peers"}
    NodeConfig.model_validate({"cluster": {**cluster, "cookie_file": "cookie", "allow_insecure_peers": True}})


def test_a_mesh_on_loopback_needs_nothing() -> None:
    """A developer's three nodes start at once."""
    assert NodeConfig.model_validate({"cluster": {"seeds": ["localhost:7611", "127.0.0.1:7621"]}}).cluster


def test_peers_must_be_able_to_dial_what_is_advertised() -> None:
    """No node tells others to dial nothing."""
    secure: dict[str, Any] = {"cookie_file": "cookie", "allow_insecure_peers": True}

    assert "cannot dial" in problems(cluster={"listen": "0.0.0.0:7601", **secure})["cluster.advertise"]
    assert "cannot dial" in problems(cluster={"advertise": "0.0.0.0:7601"})["cluster.advertise"]
    assert "cannot dial" in problems(cluster={"advertise": "a:0"})["cluster.advertise"]
    NodeConfig.model_validate({"cluster": {"listen": "0.0.0.0:7601", "advertise": "auto", **secure}})
    assert "no address" in problems(cluster={"advertise": "automatic"})["cluster.advertise"]


@pytest.mark.parametrize("path", ["client.listen", "client.advertise", "cluster.advertise", "http.listen"])
def test_no_host_has_a_name_that_nobody_can_look_up(path: str) -> None:
    """An empty label, or one of more than 63 bytes: whoever was told of it could not even try."""
    section, _, key = path.partition(".")
    for host in ("a..b", "x" * 64):
        assert "no host can be called" in problems(**{section: {key: f"{host}:7600"}})[path]


def test_two_listeners_cannot_have_one_port() -> None:
    """HC2: unless each takes a free one, or they have addresses of their own."""
    found = problems(client={"listen": "127.0.0.1:7602"}, cluster={"listen": "127.0.0.1:7602"})

    assert found == {
        "http.listen": "port 7602 is that of client.listen already",
        "cluster.listen": "port 7602 is that of http.listen already",
    }
    NodeConfig.model_validate({"client": {"listen": "127.0.0.1:0"}, "http": {"listen": "127.0.0.1:0"}})
    NodeConfig.model_validate({"client": {"listen": "127.0.0.2:7602"}})


def test_a_channel_is_declared_once() -> None:
    """HC2: the second declaration is named with the first."""
    channels = [{"name": "a"}, {"name": "b.*"}, {"name": "a"}, {"name": "b.*"}]

    assert problems(channels=channels) == {
        "channels[2].name": "'a' is channels[0] already",
        "channels[3].name": "'b.*' is channels[1] already",
    }


def test_bounds_that_cannot_hold_together_are_refused() -> None:
    """A frame has to fit into its lane, an inbox into the node."""
    assert "limits.max_frame" in problems(limits={"max_frame": "16MiB"})
    assert "limits.envelope" in problems(limits={"envelope": "2MiB"})
    assert "limits.inbox_bytes" in problems(limits={"inbox_bytes": "65MiB"})
    assert "limits.max_frame" in problems(limits={"slowed_bytes_connection": "512KiB"})
    assert "limits.slowed_bytes_connection" in problems(limits={"slowed_bytes_connection": "65MiB"})
    assert "channels[0].inbox.bytes" in problems(channels=[{"name": "a", "inbox": {"bytes": "1GiB"}}])


def test_a_majority_is_of_an_expected_number() -> None:
    """Readiness cannot wait for half of nothing."""
    assert "cluster.ready" in problems(cluster={"ready": "majority"})
    NodeConfig(cluster=ClusterConfig(ready="majority", expected=3))


def test_the_cookie_ring_holds_two() -> None:
    """One key, or a pair of them for a rotation."""
    ring = [Path("new"), Path("old")]

    assert ClusterConfig(cookie_files=ring).cookie_paths == tuple(ring)
    assert ClusterConfig(cookie_file=ring[0]).cookie_paths == (ring[0],)
    assert ClusterConfig().cookie_paths == ()
    assert "cluster.cookie_files" in problems(cluster={"cookie_files": ["a", "b", "c"]})
    assert "cluster.cookie_files" in problems(cluster={"cookie_file": "a", "cookie_files": ["b"]})


def test_this_file_runs_without_variables_of_ours() -> None:
    """The tests mean what they say on any machine."""
    assert not [name for name in os.environ if name.startswith("LIMINAL_") and "__" in name]
