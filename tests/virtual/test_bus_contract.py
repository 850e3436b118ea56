"""The contract of the Bus, held by nodes and clients of a cluster: what passes on sockets passes in memory."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from liminal_mesh.node.bus import Bus
from liminal_mesh.testing import Cluster

from ..contracts import (
    test_bus,
    test_bus_causal,
    test_bus_keys,
    test_bus_members,
    test_bus_mesh,
    test_bus_payloads,
    test_bus_pressure,
    test_bus_publish,
    test_bus_queues,
    test_bus_schemas,
    test_bus_subscribe,
    test_bus_subscription_life,
    test_bus_traces,
    test_bus_where,
    test_channels,
    test_groups,
)
from ..contracts.conftest import LIMITS, channels
from ..contracts.holders import Held, Pair

SUITES = (
    test_bus,
    test_bus_causal,
    test_bus_keys,
    test_bus_members,
    test_bus_mesh,
    test_bus_payloads,
    test_bus_pressure,
    test_bus_publish,
    test_bus_queues,
    test_bus_schemas,
    test_bus_subscribe,
    test_bus_subscription_life,
    test_bus_traces,
    test_bus_where,
    test_channels,
    test_groups,
)

REAL = {"test_a_message_tells_where_it_comes_from", "test_a_client_that_lost_its_connection_says_what_it_missed"}
"""What compares the bus's clock with the machine's, or connects over sockets of its own."""


async def hold(kind: str, name: str, cluster: Cluster, stack: AsyncExitStack) -> Bus:
    """Hold a node of the cluster."""
    if kind == "node":
        return cluster[name]
    return await stack.enter_async_context(cluster.client(name, name=f"client-of-{name}"))


@pytest.fixture(params=["node", "client"])
async def held(request: pytest.FixtureRequest) -> AsyncIterator[Held]:
    """A lone node, held in each way."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(nodes=1, channels=channels(), config={"limits": LIMITS}))
        yield Held(await hold(request.param, "a", cluster, stack), cluster["a"])


@pytest.fixture(params=["node-node", "client-client", "node-client", "client-node"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Two linked nodes, each held in some way."""
    here, there = request.param.split("-")
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(nodes=2, channels=channels(), config={"limits": LIMITS}))
        buses = await hold(here, "a", cluster, stack), await hold(there, "b", cluster, stack)
        yield Pair(*buses, cluster["a"], cluster["b"])


def _contract() -> dict[str, Any]:
    """Return the tests of the contract that need nothing but a bus."""
    tests = {name: value for module in SUITES for name, value in vars(module).items() if name.startswith("test_")}
    return {
        name: value
        for name, value in tests.items()
        if {"held", "pair"} & set(inspect.signature(value).parameters) and name not in REAL
    }


globals().update(_contract())


def test_the_contract_was_found() -> None:
    """An empty suite would hold for ever."""
    assert len(_contract()) > 40
