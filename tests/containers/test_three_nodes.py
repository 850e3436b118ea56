"""``compose.yaml`` as it is run: clients on the host, links that are cut, nodes that are killed and stopped."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence

import pytest

from liminal_mesh import Gap, Message, connect

from .cuts import cut
from .engine import docker, inspect
from .hearing import account, everywhere, hear, numbers
from .project import PATIENCE_S, Replica, until, whole

pytestmark = [pytest.mark.live, pytest.mark.timeout(100, func_only=True)]


def states(node: Replica) -> dict[str, str]:
    """Return the state of each member, as ``liminal members --json`` on the host tells it."""
    words = [sys.executable, "-m", "liminal_mesh", "members", "--http", node.http, "--json"]
    told = subprocess.run(words, capture_output=True, check=True, timeout=PATIENCE_S).stdout
    return {member["name"]: member["state"] for member in json.loads(told)["members"]}


def is_healthy(node: Replica) -> bool:
    """Whether the engine's health check, which asks ``liminal health --ready``, says so."""
    return bool(inspect(node.container)["State"]["Health"]["Status"] == "healthy")


async def test_a_client_of_each_node_hears_every_publish(three: list[Replica]) -> None:
    """Through the published ports, in order, without a gap; and the health checks agree."""
    await whole(three)
    n1, n2, n3 = three
    async with (
        connect(n1.url) as a,
        connect(n2.url) as b,
        connect(n3.url) as c,
        a.subscribe("orders", wait="cluster") as at_a,
        b.subscribe("orders", wait="cluster") as at_b,
        c.subscribe("orders", wait="cluster") as at_c,
    ):
        for number in range(100):
            outcome = await a.publish("orders", number, ack="nodes")
            assert outcome.nodes == {"n2": "delivered", "n3": "delivered"}
        for subscription in (at_a, at_b, at_c):
            heard = await hear(subscription, outcome.message_id)
            assert [item.payload for item in heard if isinstance(item, Message)] == list(range(100))
            assert account(heard, "n1") == []
    await until("all are healthy", lambda: all(map(is_healthy, three)))


async def test_two_nodes_that_are_cut_off_from_one_another_cost_nobody_else_anything(three: list[Replica]) -> None:
    """The third hears everything; the two are told what they missed, and hear each other again once it is healed."""
    await whole(three)
    n1, n2, n3 = three
    async with (
        connect(n1.url) as a,
        connect(n2.url) as b,
        connect(n3.url) as c,
        b.subscribe("orders", wait="cluster") as at_b,
        c.subscribe("orders", wait="cluster") as at_c,
    ):
        async with numbers(a, "orders"):
            await everywhere(a, "orders", "before", {"n2", "n3"})
            with cut(n1, n2):
                await until("n1 and n2 miss one another", lambda: n1.linked() == {"n3"} == n2.linked())
                assert n3.linked() == {"n1", "n2"}
                assert (await c.publish("orders", "meanwhile", ack="nodes")).nodes["n2"] == "delivered"
            await whole(three)
        last = await everywhere(a, "orders", "after", {"n2", "n3"})

        of_b, of_c = await hear(at_b, last.message_id), await hear(at_c, last.message_id)
        assert account(of_c, "n1") == []
        gaps = account(of_b, "n1")
        assert {gap.reason for gap in gaps} == {"link"}
        missed = sum(gap.count for gap in gaps)
        assert len(payloads(of_b, "n1")) + missed == len(payloads(of_c, "n1"))
        assert payloads(of_b, "n3") == ["meanwhile"]


def payloads(heard: Sequence[Message | Gap], origin: str) -> list[object]:
    """Return what was heard of one origin."""
    return [item.payload for item in heard if isinstance(item, Message) and item.origin == origin]


async def test_a_killed_node_is_missed_at_once_and_comes_back_as_another_run(three: list[Replica]) -> None:
    """A monitor tells it, the others go on, and the clients of the node come back to it by themselves."""
    await whole(three)
    n1, n2, n3 = three
    epochs = {member["name"]: int(member["epoch"]) for member in n1.ask("members")["members"]}
    async with (
        connect(n1.url) as a,
        connect(n2.url) as b,
        connect(n3.url) as c,
        b.subscribe("orders", wait="cluster") as at_b,
        c.subscribe("orders", wait="cluster") as at_c,
        a.monitor(b.pid) as monitor,
    ):
        async with numbers(a, "orders"):
            await everywhere(a, "orders", "before", {"n2", "n3"})
            await asyncio.to_thread(docker, "kill", "--signal", "KILL", n2.container)
            assert (await monitor.down(timeout=PATIENCE_S)).reason == "noconnection"
            for other in (n1, n3):
                await until(f"{other} misses n2", lambda: "n2" not in other.alive() | other.linked())  # noqa: B023
            assert states(n1)["n2"] != "alive"
            await everywhere(a, "orders", "meanwhile", {"n3"})

            await asyncio.to_thread(docker, "start", n2.container)
            await whole(three)
        last = await everywhere(a, "orders", "after", {"n2", "n3"})

        assert states(n1) == dict.fromkeys(("n1", "n2", "n3"), "alive")
        epoch = next(int(one["epoch"]) for one in n1.ask("members")["members"] if one["name"] == "n2")
        assert epoch > epochs["n2"]
        assert account(await hear(at_c, last.message_id), "n1") == []
        gaps = account(await hear(at_b, last.message_id), "n1")
        assert {gap.reason for gap in gaps} == {"link"}


async def test_a_stopped_node_leaves_and_is_back_when_it_is_started(three: list[Replica]) -> None:
    """It drains within its time and ends with 0, and nobody holds it for alive."""
    await whole(three)
    n1, n2, n3 = three
    await asyncio.to_thread(docker, "stop", n3.container)
    assert inspect(n3.container)["State"]["ExitCode"] == 0
    for other in (n1, n2):
        await until(f"{other} knows that n3 has left", lambda: "n3" not in other.alive() | other.linked())  # noqa: B023
    await asyncio.to_thread(docker, "start", n3.container)
    await whole(three)
