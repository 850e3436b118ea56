"""What ``compose/`` says agrees with the configuration model; for that no engine has to be there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from liminal_mesh.cluster import parse_seed
from liminal_mesh.node.config import ClusterConfig, NodeConfig
from liminal_mesh.node.config_sources import LoadedConfig, load_config
from liminal_mesh.node.units import parse_duration

COMPOSE = Path(__file__).parents[1] / "compose"
FILES = ("compose.yaml", "compose.scale.yaml")
COOKIE = "d3f0a97b1c5e48826a4fb0c9e7d15238f6ab94c07e1d52b3986ca0f47e2b815d"
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Loader(yaml.SafeLoader):  # type: ignore[misc] # it has no annotations
    """YAML as compose reads it, with its tag for a list that replaces another."""


Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def read(file: str) -> dict[str, Any]:
    """Return a compose file, with the services that it extends put in, and the variables' defaults."""
    text = VARIABLE.sub(lambda found: found[2] or "", (COMPOSE / file).read_text())
    document: dict[str, Any] = yaml.load(text, Loader)  # the loader is a safe one
    for name, service in document["services"].items():
        if other := service.pop("extends", None):
            base = read(other["file"])["services"][other["service"]]
            environment = {**base.get("environment", {}), **service.get("environment", {})}
            document["services"][name] = {**base, **service, "environment": environment}
    return document


NODES = [
    pytest.param(file, name, service, id=f"{file}-{name}")
    for file in FILES
    for name, service in read(file)["services"].items()
    if name != "cookie"
]
EACH_NODE = pytest.mark.parametrize(("file", "name", "service"), NODES)


def image_says(word: str) -> list[str]:
    """Return what follows a word at the beginning of a line of the Dockerfile."""
    text = (COMPOSE / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(f"{word} ")]


def load(service: Mapping[str, Any], folder: Path) -> LoadedConfig:
    """Put a node's configuration together as it is in its container, but for the folders."""
    cookie = folder / "cookie"
    cookie.write_text(COOKIE)
    (config,) = service["configs"]
    assert service["command"] == ["serve", "--config", config["target"]]
    environ = {**service["environment"], "LIMINAL_CLUSTER__COOKIE_FILE": str(cookie), "LIMINAL_DATA_DIR": str(folder)}
    return load_config(COMPOSE / "node.toml", environ)


def cluster_of(config: NodeConfig) -> ClusterConfig:
    """Return the section ``[cluster]``, which has to be there."""
    assert config.cluster is not None
    return config.cluster


def mounts(service: Mapping[str, Any]) -> dict[str, str]:
    """Return what is mounted, by the folder in the container; "" is a volume without a name."""
    split = [volume.removesuffix(":ro").rpartition(":") for volume in service["volumes"]]
    return {target: source for source, _, target in split}


def test_both_files_hold_the_nodes_that_they_are_made_for() -> None:
    """A comparison over no service would hold for ever."""
    assert [set(read(file)["services"]) for file in FILES] == [{"cookie", "n1", "n2", "n3"}, {"cookie", "node"}]


@pytest.mark.parametrize("file", FILES)
def test_one_service_builds_the_image_and_no_registry_is_asked_for_it(file: str) -> None:
    """Otherwise each service leaves an image behind, and the name is looked for where anybody may be."""
    services = read(file)["services"]

    assert [name for name, service in services.items() if "build" in service] == ["cookie"]
    assert {service["pull_policy"] for service in services.values()} == {"never"}
    assert len({service["image"] for service in services.values()}) == 1


@EACH_NODE
def test_the_environment_is_the_models(file: str, name: str, service: dict[str, Any], tmp_path: Path) -> None:
    """Every variable is a key, with a value that it takes; what is off loopback says in words that it is."""
    loaded = load(service, tmp_path)
    config, cluster = loaded.config, cluster_of(loaded.config)

    assert {name for name, value in service["environment"].items() if value} <= set(loaded.origins.values())
    assert config.client.allow_insecure
    assert config.http.allow_insecure
    assert cluster.allow_insecure_peers
    assert config.name == (name if file == "compose.yaml" else None)
    assert cluster.expected == (3 if file == "compose.yaml" else None)
    assert [channel.name for channel in config.channels] == ["orders", "metrics.>"]


@EACH_NODE
def test_the_seeds_are_services_at_the_port_where_they_listen(
    file: str, name: str, service: dict[str, Any], tmp_path: Path
) -> None:
    """And what a node tells its peers to dial is a name that the network of the project knows."""
    cluster = cluster_of(load(service, tmp_path).config)
    services = set(read(file)["services"]) - {"cookie"}

    seeds = [parse_seed(seed) for seed in cluster.seeds]
    assert {seed.host for seed in seeds} == services
    assert {seed.port for seed in seeds} == {cluster.address.port}
    assert {seed.text.startswith("dns://") for seed in seeds} == {file == "compose.scale.yaml"}
    if file == "compose.yaml":
        assert cluster.advertise == f"{name}:{cluster.address.port}"
    else:
        assert cluster.advertise == "auto"


@EACH_NODE
def test_the_host_opens_clients_and_http_on_loopback_and_nothing_else(
    file: str, name: str, service: dict[str, Any], tmp_path: Path
) -> None:
    """At the ports where the node listens, on every address of its container."""
    config = load(service, tmp_path).config
    published = [port.split(":") for port in service["ports"]]

    assert {host for host, _, _ in published} == {"127.0.0.1"}
    assert [int(inside) for _, _, inside in published] == [config.client.address.port, config.http.address.port]
    listen = [config.client.address, config.http.address, cluster_of(config).address]
    assert {address.host for address in listen} == {"0.0.0.0"}
    assert image_says("EXPOSE") == [" ".join(str(port) for port in sorted(address.port for address in listen))]


def test_no_two_nodes_share_a_port_of_the_host() -> None:
    """The engine would refuse the second."""
    ports = [port for service in read("compose.yaml")["services"].values() for port in service.get("ports", [])]
    outside = [port.split(":")[1] for port in ports]

    assert len(outside) == len(set(outside)) == 6


@EACH_NODE
def test_the_health_check_is_a_verb_that_asks_the_node_that_runs_there(
    file: str, name: str, service: dict[str, Any], tmp_path: Path
) -> None:
    """With the words that the verb takes, and the port that it asks when it is told none."""
    kind, command, *words = service["healthcheck"]["test"]
    assert (kind, command, words) == ("CMD", "liminal", ["health", "--ready"])

    nobody = ["--http", "http://127.0.0.1:1"]
    done = subprocess.run([sys.executable, "-m", "liminal_mesh", *words, *nobody], capture_output=True, timeout=30)
    assert done.returncode == 1, done.stderr
    assert load(service, tmp_path).config.http.address.port == NodeConfig().http.address.port


@EACH_NODE
def test_a_node_may_write_in_its_own_volume_and_nowhere_else(
    file: str, name: str, service: dict[str, Any], tmp_path: Path
) -> None:
    """It is nobody, has no capabilities, and has time to drain before it is killed."""
    (folder,) = image_says("VOLUME")
    assert mounts(service)[folder] == (name if file == "compose.yaml" else "")
    assert any(f"LIMINAL_DATA_DIR={folder}" in line for line in image_says("ENV"))
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [service["user"]] == image_says("USER")
    assert parse_duration(service["stop_grace_period"]) > load(service, tmp_path).config.drain_timeout


@pytest.mark.parametrize("file", FILES)
def test_the_cookie_is_made_where_the_nodes_look_for_it(file: str) -> None:
    """None stands in a file that is kept, and the nodes can only read it."""
    services = read(file)["services"]
    cookie = services.pop("cookie")
    (folder,) = mounts(cookie)

    assert cookie["network_mode"] == "none"
    for service in services.values():
        where = service["environment"]["LIMINAL_CLUSTER__COOKIE_FILE"]
        assert where.startswith(f"{folder}/")
        assert f"liminal cookie new {where}" in cookie["entrypoint"][-1]
        assert f"{mounts(cookie)[folder]}:{folder}:ro" in service["volumes"]
        assert service["depends_on"] == {"cookie": {"condition": "service_completed_successfully"}}


def test_the_example_names_the_variables_that_are_read() -> None:
    """With the values that they have without it."""
    lines = [line for line in (COMPOSE / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    read_there = {found[1]: found[2] for file in FILES for found in VARIABLE.finditer((COMPOSE / file).read_text())}

    assert dict(line.split("=", 1) for line in lines) == read_there
