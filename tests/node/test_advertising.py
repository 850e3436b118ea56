"""What a node tells its peers to dial."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from liminal_mesh.cluster import Address
from liminal_mesh.node.advertising import advertised
from liminal_mesh.node.config import ClusterConfig
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
