"""Thousands of connections that send garbage, on each port, before and after authentication.

``LIMINAL_FUZZ_SEED`` repeats a run; ``LIMINAL_PROVE`` makes twenty thousand connections of two.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from liminal_mesh.node import Client, Message, Subscription, connect
from liminal_mesh.node.node import Node

from ...nodes import DEADLINE_S, linked, node_config
from ...usage import descriptors, resident_bytes
from .fuzzing import KINDS, fuzz

PROVE = bool(os.environ.get("LIMINAL_PROVE"))
CONNECTIONS = (20_000 if PROVE else 2_000) // len(KINDS)
SEED = int(os.environ.get("LIMINAL_FUZZ_SEED") or secrets.randbits(32))
AT_ONCE = 40
WARM = 80
"""What is taken for good when the first connections come: caches, arenas, the names of peers."""

SLACK = 5
GROWTH_BYTES_MAX = 24 << 20

pytestmark = [pytest.mark.live, pytest.mark.timeout(900 if PROVE else 60)]

REASONS = {
    "cluster", "cookie", "crowded", "full", "handshake", "leaving", "name-in-use", "protocol", "stale-epoch", "version",
}  # fmt: skip
"""Why a connection may be refused, or cut off; whatever else is a defect."""


@asynccontextmanager
async def bystanders() -> AsyncIterator[tuple[Node, Node, Client, Subscription]]:
    """Run two nodes, and a client with a subscription that get on with their work."""
    async with (
        Node(node_config("a", limits={"handshake_timeout": 1}, drain_timeout=0.1)) as a,
        Node(node_config("b", [str(a.addresses["mesh"])], drain_timeout=0.1)) as b,
        connect(f"liminal://{a.addresses['client']}") as client,
        client.subscribe("m.mine", wait="cluster") as mine,
    ):
        await linked([a, b])
        yield a, b, client, mine


def counts(node: Node) -> Counter[str]:
    """Return how much there is of everything that a connection costs."""
    run = node.running
    assert run.peering is not None
    assert run.control is not None
    return Counter(
        descriptors=descriptors(),
        tasks=len(asyncio.all_tasks()),
        clients=len(run.server.connections),
        peers=len(run.peering._ledger.contacts),
        members=len(run.control._conns),
        newcomers=sum(len(listener._newcomers) for listener in run.listeners.values()),
        processes=sum(run.hub.processes.statistics().processes.values()),
        subscriptions=sum(map(len, run.registry.groups(0).values())),
    )


async def quiet(node: Node, baseline: Counter[str]) -> None:
    """Wait until there is no more of anything than there was."""
    async with asyncio.timeout(DEADLINE_S):
        while any(number > baseline[name] + SLACK for name, number in counts(node).items()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # nobody tells of all of these


@pytest.mark.parametrize("kind", KINDS)
async def test_fuzzed_connections_leave_the_node_as_it_was_and_others_served(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """CN9, ME8: what the bystanders say arrives, over the same link; nothing is left behind, and nothing broke."""
    print(f"LIMINAL_FUZZ_SEED={SEED}")
    rng, reached, sent = random.Random(f"{SEED} {kind}"), 0, 0
    async with bystanders() as (a, b, client, mine):
        mesh, began = a.running.hub.mesh, counts(a)
        assert mesh is not None
        link = mesh.links["b"].g
        warm = 0
        for start in range(0, CONNECTIONS, AT_ONCE):
            if start >= WARM and not warm:
                await quiet(a, began)
                warm = resident_bytes()
            async with asyncio.TaskGroup() as tasks:
                fuzzing = [
                    tasks.create_task(fuzz(kind, a.addresses, random.Random(rng.random()), number))
                    for number in range(start, min(start + AT_ONCE, CONNECTIONS))
                ]
                await client.publish("m.mine", sent)
                await b.publish("m.mine", sent + 1)
                sent += 2
            reached += sum(task.result() for task in fuzzing)
        got = [await message(mine) for _ in range(sent)]
        assert sorted(one.payload for one in got if isinstance(one.payload, int)) == list(range(sent))
        assert mesh.links["b"].g == link
        await quiet(a, began)
        grown = resident_bytes() - warm
        a.running.registry.validate()
        reasons = refusals(a)

    print(f"{reached} of {CONNECTIONS} talked, {dict(reasons)}, {grown >> 10} KiB")
    assert reached > CONNECTIONS / 2
    assert reasons
    assert reasons.keys() <= REASONS
    broken = [one for one in caplog.records if one.exc_info or one.levelno > logging.WARNING]
    assert not broken, broken
    assert grown < GROWTH_BYTES_MAX, f"{grown >> 20} MiB"


def refusals(node: Node) -> Counter[str]:
    """Return how many connections a node has refused or cut off, by reason."""
    run = node.running
    assert run.peering is not None
    assert run.control is not None
    return Counter({**run.server.refusals}) + Counter({**run.peering.refusals}) + Counter({**run.control.refusals})


async def message(mine: Subscription) -> Message:
    """Return the next message of ours."""
    async with asyncio.timeout(DEADLINE_S):
        one = await anext(mine)
    assert isinstance(one, Message)
    return one
