"""What a node tells of itself."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import Any

import pytest

from liminal_mesh.node import status
from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.node import Node

from ..nodes import mesh, node_config, until

LONE: dict[str, Any] = {"client": {"listen": "127.0.0.1:0"}, "http": {"listen": "127.0.0.1:0"}}


async def test_a_lone_node_is_ready_and_knows_itself() -> None:
    """ME6: without a mesh there is no membership condition."""
    async with Node(NodeConfig(name="solo", **LONE)) as node:
        run = node.running
        ready, about = status.ready(run), status.node(run)

        assert status.health(run)["alive"] is True
        assert (ready["ready"], ready["unmet"]) == (True, [])
        assert [one["name"] for one in ready["conditions"]] == ["starting", "listeners", "draining", "failed"]
        assert about == {
            "name": "solo",
            "epoch": str(node.epoch),
            "version": run.version,
            "state": "ready",
            "cluster": None,
            "addresses": {name: str(address) for name, address in node.addresses.items()},
        }
        assert [one["name"] for one in status.members(run)["members"]] == ["solo"]
        assert status.links(run) == {"node": "solo", "links": [], "missing": []}


async def test_each_node_of_a_mesh_shows_all_members_and_its_links() -> None:
    """In the shapes of the contract; epochs as text."""
    async with mesh(3) as (a, b, c):
        await until(a, lambda: not status.links(a.running)["missing"])
        members = status.members(a.running)["members"]
        links = status.links(a.running)

        assert [one["name"] for one in members] == ["a", "b", "c"]
        for one, node in zip(members, (a, b, c), strict=True):
            assert one == {
                "name": node.name,
                "epoch": str(node.epoch),
                "incarnation": 0,
                "state": "alive",
                "reachable": True,
                "stalled": False,
                "address": str(node.addresses["mesh"]),
            }
        assert [(one["peer"], one["epoch"], one["up"]) for one in links["links"]] == [
            ("b", str(b.epoch), True),
            ("c", str(c.epoch), True),
        ]
        assert {"rtt_ms", "queued_bytes"} <= links["links"][0].keys()
        assert links["missing"] == []


async def test_a_link_that_should_stand_is_shown_as_down_and_as_missing() -> None:
    """Also from a peer that has it still, as long as that says so; one that left is not missed."""
    async with mesh(2) as (a, b):
        assert b.running.hub.mesh is not None
        for link in tuple(b.running.hub.mesh.links.values()):
            link.wire.abort("a test cuts it")
        run = a.running
        assert run.hub.mesh is not None
        gone = run.hub.mesh.links
        await until(a, lambda: not gone)

        [link] = status.links(run)["links"]
        assert (link["peer"], link["up"], link["rtt_ms"], link["queued_bytes"]) == ("b", False, None, 0)
        assert not status.members(run)["members"][1]["reachable"]

        await until(a, lambda: bool(gone))
        await b.stop()
        await until(a, lambda: not gone)
        assert status.links(run)["links"] == []
        assert status.members(run)["members"][1]["state"] == "left"


async def test_groups_name_the_pids_and_nodes_of_all_members() -> None:
    """A subscription is a member of its channel's group."""
    async with (
        mesh(2) as (a, b),
        b.subscribe("ticks", wait="cluster") as one,
        a.subscribe("m.>", wait="cluster") as other,
    ):
        expected = [
            {"scope": "channel", "name": "m.>", "members": [{"pid": str(other.id), "node": "a"}]},
            {"scope": "channel", "name": "ticks", "members": [{"pid": str(one.id), "node": "b"}]},
        ]
        for node in (a, b):
            assert status.groups(node.running)["groups"] == expected


async def test_groups_that_share_stand_beside_the_channels_own() -> None:
    """Under a name of their own; a channel counts their members, and says which groups there are."""
    async with (
        mesh(2) as (a, b),
        b.subscribe("ticks", wait="cluster"),
        b.subscribe("ticks", group="g", wait="cluster") as one,
        a.subscribe(">", group="g", wait="cluster") as other,
        a.subscribe("ticks", group="h", wait="cluster"),
    ):
        groups = [one for one in status.groups(b.running)["groups"] if one["scope"] == "queue"]
        [ticks] = status.channels(b.running)["channels"]

        assert groups[0] == {
            "scope": "queue", "name": ">:g", "members": [{"pid": str(other.id), "node": "a"}],
            "channel": ">", "group": "g",
        }  # fmt: skip
        assert [group["name"] for group in groups] == [">:g", "ticks:g", "ticks:h"]
        assert groups[1]["members"] == [{"pid": str(one.id), "node": "b"}]
        assert (ticks["subscribers"], ticks["local_subscribers"], ticks["nodes"]) == (4, 2, ["a", "b"])
        assert ticks["groups"] == [
            {"name": "g", "members": 2, "nodes": ["a", "b"]},
            {"name": "h", "members": 1, "nodes": ["a"]},
        ]


async def test_channels_are_those_configured_by_name_and_those_in_use() -> None:
    """Subscribers count the whole mesh, patterns too; published counts this node."""
    async with mesh(2) as (a, b), b.subscribe("m.x", wait="cluster"), a.subscribe("m.>", wait="cluster"):
        before = status.channels(a.running)
        await a.publish("m.x", b"1")
        await a.publish("m.x", b"2", key="k")
        after = {one["name"]: one for one in status.channels(a.running)["channels"]}
        process = a.running.hub.exchange.resolve("m.x").pid

        assert [one["name"] for one in before["channels"]] == ["ticks"]
        assert before["families"] == [{"name": "m.*", "durable": False, "schema": None, "disagrees": []}]
        assert after["ticks"]["in_use"] is False
        assert after["m.x"] == {
            "name": "m.x",
            "durable": False,
            "schema": None,
            "versions": [],
            "disagrees": [],
            "subscribers": 2,
            "local_subscribers": 1,
            "nodes": ["a", "b"],
            "groups": [],
            "published": 2,
            "in_use": True,
            "state": "open",
            "reason": "",
            "restarts": 0,
            "pressure": None,
            "pid": str(process),
            "keys": {"remembered": 1, "in_flight": 0},
        }


async def test_connections_and_events_are_listed() -> None:
    """With times since 1970."""
    async with mesh(2) as (a, b), connect(f"liminal://{a.addresses['client']}") as client:
        [one] = status.connections(a.running)["connections"]
        events = status.events(a.running)["events"]

        assert one["pid"] == str(client.pid)
        assert {"client", "address", "since"} <= one.keys()
        assert one["since"] > 1_000_000_000
        assert {"kind": "link_up", "peer": "b", "epoch": str(b.epoch)}.items() <= events[-1].items()
        assert events[-1]["at"] > 1_000_000_000
        assert json.dumps(status.events(a.running))


@pytest.mark.parametrize(
    ("cluster", "needed"),
    [({"ready": "joined"}, 2), ({"ready": "majority", "expected": 5}, 3)],
    ids=lambda one: str(one),
)
async def test_readiness_waits_for_the_mesh_that_it_is_to_wait_for(cluster: dict[str, object], needed: int) -> None:
    """And says how much of it is there."""
    async with Node(node_config("a", cluster=cluster)) as a:
        ready = status.ready(a.running)
        assert ready["unmet"] == ["membership"]
        assert ready["conditions"][2] == {
            "name": "membership",
            "met": False,
            "demand": cluster["ready"],
            "linked": 1,
            "needed": needed,
            "missing": [],
            "unresolved": {},
            "unreached": {},
        }
        assert status.node(a.running)["state"] == "waiting"
    async with mesh(needed, cluster=cluster) as (a, *_):
        assert status.ready(a.running)["unmet"] == []


async def test_readiness_names_who_is_missing() -> None:
    """A peer that was linked, and is not."""
    async with mesh(2, cluster={"ready": "joined"}) as (a, b):
        assert b.running.hub.mesh is not None
        a_mesh = a.running.hub.mesh
        assert a_mesh is not None
        for link in tuple(b.running.hub.mesh.links.values()):
            link.wire.abort("a test cuts it")
        await until(a, lambda: not a_mesh.links)
        assert status.ready(a.running)["conditions"][2]["missing"] == ["b"]
        assert status.health(a.running)["alive"] is True


async def test_readiness_counts_whom_the_mesh_holds_alive_and_this_node_can_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A suspect that is linked counts and is missed all the same; who left is neither, however long it still reads."""
    async with Node(node_config("a", cluster={"ready": "majority", "expected": 9})) as a:
        [me] = a.running.members()
        others = [
            replace(me, name="linked"),
            replace(me, name="stalled", stalled=True),
            replace(me, name="suspect", state="suspect"),
            replace(me, name="unreachable", reachable=False),
            replace(me, name="dead", state="dead", reachable=False),
            replace(me, name="zombie", state="dead"),
            replace(me, name="left", state="left"),
        ]
        monkeypatch.setattr(a.running.hub, "members", lambda: (me, *others))
        condition = status.ready(a.running)["conditions"][2]
        assert (condition["met"], condition["linked"], condition["needed"]) == (False, 4, 5)
        assert condition["missing"] == ["suspect", "unreachable", "dead", "zombie"]


async def test_readiness_names_the_seeds_that_nobody_answers_at() -> None:
    """ME6: the node starts, serves and keeps trying; a seed that is the node itself, or a peer, is none of these."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with Node(node_config("a", [address], cluster={"ready": "joined"})) as a:
            run = a.running
            await until(a, lambda: bool(status.ready(run)["conditions"][2]["unreached"]))
            ready = status.ready(run)
            assert ready["unmet"] == ["membership"]
            assert ready["conditions"][2]["unreached"] == {address: "nothing-listens"}
            assert (await a.publish("ticks", b"x")).message_id
    async with mesh(2) as (_, b):
        assert status.ready(b.running)["conditions"][2]["unreached"] == {}


async def test_unmet_conditions_come_in_a_fixed_order() -> None:
    """HC1: whatever happened first."""
    async with Node(node_config("a", cluster={"ready": "joined"})) as a:
        run = a.running
        run.hub.mesh_failed(RuntimeError("another node has this name"))
        run.hub.draining = True
        run.server.stop_listening("it leaves")
        ready = status.ready(run)
        assert ready["unmet"] == ["listeners", "membership", "draining", "failed"]
        assert ready["conditions"][1]["closed"] == ["client"]
        assert ready["conditions"][4]["error"] == "another node has this name"
        assert status.node(run)["state"] == "failed"
        run.hub.failure = None
        assert status.node(run)["state"] == "draining"
