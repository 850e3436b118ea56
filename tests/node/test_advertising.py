"""What a node tells its peers to dial, and where they may send their clients."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from liminal_mesh.cluster import Address
from liminal_mesh.node.advertising import advertised, advertised_to_clients
from liminal_mesh.node.config import ClientConfig, ClusterConfig
from liminal_mesh.node.environment import REAL

LISTEN = Address("127.0.0.1", 41234)
IN_A_CONTAINER = dataclasses.replace(REAL, host_name=lambda: "4be2c1d0a9f8")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "127.0.0.1:41234"),
        ({"advertise": "a.example:9"}, "a.example:9"),
        ({"advertise": "auto"}, "4be2c1d0a9f8:41234"),
    ],
)
def test_peers_are_told_what_is_configured_or_the_hosts_name_or_where_we_listen(
    said: dict[str, Any], told: str
) -> None:
    """With the real port where port 0 took a free one."""
    assert advertised(ClusterConfig(**said), LISTEN, IN_A_CONTAINER) == told


def test_the_real_world_knows_the_name_of_this_machine() -> None:
    """Which is one word that can stand in front of a port."""
    told = advertised(ClusterConfig(advertise="auto"), LISTEN, REAL)

    assert told.endswith(":41234")
    assert len(told) > len(":41234")


@pytest.mark.parametrize(
    ("said", "listen", "mesh", "told"),
    [
        ({}, "127.0.0.1", "127.0.0.1:7601", "127.0.0.1:41234"),
        ({}, "127.0.0.1", "a.example:7601", ""),
        ({}, "::1", "10.0.0.1:7601", ""),
        ({}, "10.0.0.1", "a.example:7601", "10.0.0.1:41234"),
        ({}, "10.0.0.1", "127.0.0.1:7601", "10.0.0.1:41234"),
        ({}, "0.0.0.0", "a.example:7601", "a.example:41234"),
        ({}, "::", "[fd00::1]:7601", "[fd00::1]:41234"),
        ({}, "0.0.0.0", "127.0.0.1:7601", "127.0.0.1:41234"),
        ({"advertise": "lb.example:443"}, "127.0.0.1", "a.example:7601", "lb.example:443"),
        ({"advertise": "a.example:0"}, "0.0.0.0", "10.0.0.1:7601", "a.example:41234"),
        ({"advertise": "auto"}, "0.0.0.0", "10.0.0.1:7601", "4be2c1d0a9f8:41234"),
    ],
)
def test_other_nodes_are_told_where_our_clients_connect_if_they_could(
    said: dict[str, Any], listen: str, mesh: str, told: str
) -> None:
    """What listens everywhere is told as the host that peers dial; what only this machine reaches is not told."""
    client = ClientConfig(**said)
    assert advertised_to_clients(client, Address(listen, 41234), mesh, IN_A_CONTAINER) == told
