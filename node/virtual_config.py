"""What a mesh for tests is told: the names of its nodes, and the configuration of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Final

from pydantic import BaseModel

from liminal_mesh.cluster import NODE_NAME

from .config import ChannelConfig, NodeConfig
from .errors import ConfigError, Problem

__all__ = ["CLIENT_PORT", "MESH_PORT", "node_configs", "node_names"]

CLIENT_PORT: Final = 7600
"""Where every node listens for clients, on its own host."""

MESH_PORT: Final = 7601
"""Where it listens for its peers."""

OWN: Final = {
    "name": "names are given as Cluster(nodes=[...])",
    "channels": "channels are given as Cluster(channels=[...])",
    "client.listen": "each node has an address of its own: cluster.client(name) connects to it",
    "cluster.listen": "each node has an address of its own",
    "cluster.advertise": "each node has an address of its own",
    "cluster.seeds": "the nodes know each other's addresses already, and other seeds can only be names",
}
"""Keys that are not the user's to set for all nodes, and what to do instead."""


def node_names(nodes: int | Sequence[str]) -> tuple[str, ...]:
    """Return the names of so many nodes, or those that were given.

    Raises:
        ValueError: that many nodes have no names, or two have one, or one is none.
    """
    if isinstance(nodes, int):
        if not 1 <= nodes <= len(ascii_lowercase):
            raise ValueError(f"{nodes} nodes: there may be 1 to {len(ascii_lowercase)}, or more by their names")
        return tuple(ascii_lowercase[:nodes])
    names = tuple(nodes)
    wrong = [name for name in names if not NODE_NAME.match(name)]
    if not names or wrong or len(set(names)) < len(names):
        raise ValueError(f"{', '.join(names)!r}: nodes need names of their own, 1 to 63 of A-Z, a-z, 0-9, _ and -")
    return names


def node_configs(
    hosts: Mapping[str, str], channels: Iterable[ChannelConfig | str], config: Mapping[str, Any]
) -> dict[str, NodeConfig]:
    """Return the configuration of each node.

    Args:
        hosts: of the nodes, by name.
        channels: of every node.
        config: more keys, for every node; ``data_dir`` is a folder in which each has its own.

    Raises:
        ConfigError: something is wrong with them, or is not the user's to set.
    """
    if isinstance(channels, str):
        raise ConfigError([Problem("channels", f"is a list of names: write channels=[{channels!r}]")])
    covered = [ChannelConfig(name=one) if isinstance(one, str) else one for one in channels]
    more = dict(config)
    sections = {key: _section(more, key) for key in ("client", "cluster")}
    seeds = sections["cluster"].get("seeds")
    by_name = isinstance(seeds, Sequence) and all("://" in str(seed) for seed in seeds)
    given = {*more, *(f"{key}.{name}" for key, section in sections.items() for name in section)}
    if by_name:
        given.discard("cluster.seeds")
    if problems := [Problem(key, f"cannot be set for all nodes: {why}") for key, why in OWN.items() if key in given]:
        raise ConfigError(problems)
    return {name: _config(name, hosts, covered, more, sections) for name in hosts}


def _section(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    section = config.get(key, {})
    if isinstance(section, BaseModel):
        return section.model_dump(exclude_unset=True)
    if not isinstance(section, Mapping):
        raise ConfigError([Problem(key, f"has to be a table, not {section!r}")])
    return dict(section)


def _config(
    name: str,
    hosts: Mapping[str, str],
    channels: list[ChannelConfig],
    more: Mapping[str, Any],
    sections: Mapping[str, dict[str, Any]],
) -> NodeConfig:
    cluster: dict[str, Any] = {"seeds": [f"{host}:{MESH_PORT}" for other, host in hosts.items() if other != name]}
    own: dict[str, Any] = {
        "name": name,
        "channels": channels,
        "client": {**sections["client"], "listen": f"{hosts[name]}:{CLIENT_PORT}"},
        "cluster": {**cluster, **sections["cluster"], "listen": f"{hosts[name]}:{MESH_PORT}"},
    }
    folder = more.get("data_dir")
    if isinstance(folder, str | os.PathLike):
        own["data_dir"] = Path(folder) / name  # a node's folder is its own
    return NodeConfig(**{**more, **own})
