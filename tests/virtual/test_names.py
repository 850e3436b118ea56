"""Whole nodes whose seeds are names, in virtual time: answers change, fail, and never come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from liminal_mesh.cluster import PipeHost, Record
from liminal_mesh.node import status
from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

SEED = "dns://mesh.test:7601"
COOKIE = "0123456789abcdef" * 4


@pytest.fixture
def by_name(tmp_path: Path) -> dict[str, Any]:
    """Return what nodes need to be told if all they know is a name; a mesh of names needs a cookie."""
    cookie = tmp_path / "cookie"
    cookie.write_text(COOKIE)
    cookie.chmod(0o600)
    return {"cluster": {"seeds": [SEED], "cookie_file": str(cookie), "allow_insecure_peers": True}}


def kinds(node: Node, kind: str) -> list[dict[str, object]]:
    """Return a node's events of a kind."""
    return [event for event in node.running.hub.events if event["kind"] == kind]


async def test_nodes_that_know_one_name_are_a_mesh(by_name: dict[str, Any]) -> None:
    """Each is behind the name itself."""
    cluster = Cluster(nodes=3, config=by_name)
    cluster.name("mesh.test", "a", "b", "c")
    async with cluster:
        assert cluster.now < 5
        for node in cluster.nodes.values():
            [event] = kinds(node, "seed_resolved")
            assert event["seed"] == SEED


async def test_a_cluster_of_names_that_do_not_exist_stays_apart(by_name: dict[str, Any]) -> None:
    """Until the name is there; each node says once why it is alone, and its status says it all the while."""
    cluster = Cluster(nodes=2, config=by_name)
    with pytest.raises(TimeoutError, match="a does not know b"):
        async with cluster:
            raise AssertionError("it was whole")

    cluster = Cluster(nodes=["a"], config=by_name)
    async with cluster:
        await asyncio.sleep(600)
        [event] = kinds(cluster["a"], "seed_unresolved")
        assert event["reason"] == "NXDOMAIN"
        [seed] = status.discovery(cluster["a"].running)["seeds"]
        assert (seed["seed"], seed["addresses"], seed["failure"]) == (SEED, [], "NXDOMAIN")
        cluster.name("mesh.test", "a")
        await asyncio.sleep(8)
        [event] = kinds(cluster["a"], "seed_resolved")
        [dial] = status.discovery(cluster["a"].running)["dials"]
        assert (dial["code"], dial["peer"]) == ("self", "a")


async def test_a_lookup_that_never_ends_is_a_timeout(by_name: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The node starts without it, and stops in the midst of it."""

    async def hang(_host: PipeHost, _name: str, _kinds: Sequence[str]) -> tuple[()]:
        await asyncio.get_running_loop().create_future()
        return ()

    monkeypatch.setattr(PipeHost, "lookup", hang)
    async with Cluster(nodes=["a"], config=by_name) as cluster:
        assert cluster.now < 2
        assert "starting" in status.ready(cluster["a"].running)["unmet"]
        await asyncio.sleep(5)
        [event] = kinds(cluster["a"], "seed_unresolved")
        assert event["reason"] == "timeout"
        assert status.ready(cluster["a"].running)["ready"]
        await cluster.stop("a")


async def test_a_node_that_moves_is_found_by_its_name(by_name: dict[str, Any]) -> None:
    """What a failing lookup takes away is nothing; what an answer leaves out is dialled no more."""
    cluster = Cluster(nodes=2, config=by_name)
    cluster.name("mesh.test", "a", "b")
    async with cluster:
        cluster._network.names["mesh.test"] = "SERVFAIL"
        await cluster.kill("b")
        await asyncio.sleep(30)
        await cluster.restart("b")
        await cluster.linked(10)
        [event] = kinds(cluster["a"], "seed_unresolved")
        assert (event["reason"], len(event["last_good"])) == ("SERVFAIL", 2)  # type: ignore[arg-type]

        cluster._network.names["mesh.test"] = {"A": [Record("127.9.9.9")]}
        await asyncio.sleep(10)
        dials = status.discovery(cluster["a"].running)["dials"]
        assert [dial["address"] for dial in dials if dial["seed"]] == ["127.9.9.9:7601"]


async def test_the_same_seed_gives_the_same_lookups(by_name: dict[str, Any]) -> None:
    """Names are no source of chance."""
    told = []
    for _ in range(2):
        cluster = Cluster(nodes=3, seed=7, config=by_name)
        cluster.name("mesh.test", "a", "c")
        async with cluster:
            await asyncio.sleep(60)
            told.append([(event["at"], event["kind"]) for event in cluster["b"].running.hub.events])
    assert told[0] == told[1]
