"""``compose.scale.yaml`` as it is run: nobody has a name, and one name stands for all."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from liminal_mesh import connect

from .cuts import apart
from .engine import docker
from .hearing import account, everywhere, hear, numbers
from .project import Project, Replica, until, whole

pytestmark = [pytest.mark.live, pytest.mark.timeout(100, func_only=True)]

LOOKUP = """
import asyncio, json, aiodns

async def main():
    found = await aiodns.DNSResolver(timeout=2.0, tries=3).query_dns("node", "A")
    print(json.dumps(sorted(record.data.addr for record in found.answer)))

asyncio.run(main())
"""


def looked_up(replica: Replica) -> list[str]:
    """Return what compose's own resolver answers in this container for the name of the service."""
    found: list[str] = json.loads(replica.run("/opt/liminal/bin/python", "-c", LOOKUP))
    return found


def has_resolved(replica: Replica, addresses: list[str]) -> bool:
    """Whether the node's seed is that name, and stood for some of these addresses when it was last looked up."""
    (seed,) = replica.ask("discovery")["seeds"]
    stands_for = set(seed["addresses"])
    return seed["seed"] == "dns://node:7601" and set() < stands_for <= {f"{one}:7601" for one in addresses}


async def test_five_nodes_find_each_other_by_the_name_of_their_service(scaled: Project) -> None:
    """Two, then five: the resolver names every replica, and all are one mesh. One is cut off, and comes back."""
    replicas = scaled.replicas("node")
    await whole(replicas)
    assert await asyncio.to_thread(looked_up, replicas[0]) == sorted(one.address for one in replicas)

    await asyncio.to_thread(scaled.up, "--scale", "node=5")
    replicas = scaled.replicas("node")
    assert len(replicas) == 5
    addresses = sorted(one.address for one in replicas)
    await until("the resolver names all five", lambda: looked_up(replicas[0]) == addresses)
    await whole(replicas)
    assert len({one.name for one in replicas}) == 5
    assert all(has_resolved(one, addresses) for one in replicas)
    await a_replica_that_is_cut_off_is_missed_and_found_again(replicas)


async def a_replica_that_is_cut_off_is_missed_and_found_again(replicas: list[Replica]) -> None:
    """The others go on without a gap; the lonely one is alive and not ready, and hears again when it is back."""
    names = [one.name for one in replicas]
    *others, lonely = replicas
    async with AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(connect(one.url)) for one in others]
        ears = [await stack.enter_async_context(bus.subscribe("orders", wait="cluster")) for bus in buses]
        async with numbers(buses[0], "orders"):
            await everywhere(buses[0], "orders", "before", set(names[1:4]))
            with apart(lonely):
                await until(
                    "the others miss it", lambda: all(lonely.name not in one.alive() | one.linked() for one in others)
                )
                lonely.run("liminal", "health")
                await until("it says that it is not ready", lambda: not is_ready(lonely))
            await whole(replicas)
            assert await asyncio.to_thread(looked_up, replicas[0]) == sorted(one.address for one in replicas)
        back = await stack.enter_async_context(connect(lonely.url))
        ear = await stack.enter_async_context(back.subscribe("orders", wait="cluster"))
        last = await everywhere(buses[0], "orders", "after", set(names[1:]))
        for one in ears:
            assert account(await hear(one, last.message_id), names[0]) == []
        assert account(await hear(ear, last.message_id), names[0]) == []


def is_ready(replica: Replica) -> bool:
    """Whether the health check in the container says so."""
    status = docker("exec", replica.container, "sh", "-c", "liminal health --ready >/dev/null 2>&1; echo $?").strip()
    assert status in {"0", "3"}
    return status == "0"
