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
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from liminal_mesh.cluster import CLIENT_CODEC, ControlPlane, Leave, Mesh, NoRoute, Wire
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.cluster.control_link import ControlLink
from liminal_mesh.cluster.frame import Row
from liminal_mesh.cluster.frames import Refusal
from liminal_mesh.cluster.handshake import Handshake
from liminal_mesh.cluster.swim import Swim
from liminal_mesh.cluster.swim_frames import SwimNack
from liminal_mesh.cluster.wire import WireOwner
from liminal_mesh.node import Client, Message, Subscription, connect
from liminal_mesh.node.connection import Connection
from liminal_mesh.node.guests import Guests
from liminal_mesh.node.node import Node
from liminal_mesh.node.offers import Offers
from liminal_mesh.node.server import Server

from ...hostile.allowed import ENDING, FROM_CLIENTS, FROM_MEMBERS, FROM_PEERS
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


async def fuzzed(kind: str, number_of: int) -> None:
    """Make so many connections that send garbage; what the bystanders say arrives, and nothing of it is left behind."""
    print(f"LIMINAL_FUZZ_SEED={SEED}")
    rng, talked, sent = random.Random(f"{SEED} {kind}"), 0, 0
    async with bystanders() as (a, b, client, mine):
        mesh, began = a.running.hub.mesh, counts(a)
        assert mesh is not None
        link = mesh.links["b"].g
        warm = 0
        for start in range(0, number_of, AT_ONCE):
            if start >= WARM and not warm:
                await quiet(a, began)
                warm = resident_bytes()
            async with asyncio.TaskGroup() as tasks:
                fuzzing = [
                    tasks.create_task(fuzz(kind, a.addresses, random.Random(rng.random()), number))
                    for number in range(start, min(start + AT_ONCE, number_of))
                ]
                while not all(task.done() for task in fuzzing):
                    await client.publish("m.mine", sent)
                    await b.publish("m.mine", sent + 1)
                    assert {(await message(mine)).payload, (await message(mine)).payload} == {sent, sent + 1}
                    sent += 2
            talked += sum(task.result() for task in fuzzing)
        assert mesh.links["b"].g == link
        await quiet(a, began)
        grown = resident_bytes() - warm
        a.running.registry.validate()
        reasons = refusals(a)

    print(f"{talked} of {number_of} talked, {dict(reasons)}, {grown >> 10} KiB")
    assert talked > number_of / 2
    assert reasons
    assert reasons.keys() <= REASONS
    assert grown < GROWTH_BYTES_MAX, f"{grown >> 20} MiB"


def watch(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return what will count the frames that the nodes have taken, and had nothing against, by their class."""
    taken: Counter[str] = Counter()

    def count(owner: type[WireOwner], table: Mapping[int, Row]) -> None:
        whole = owner.wire_frame

        def wire_frame(self: WireOwner, wire: Wire, kind: int, body: memoryview) -> None:
            whole(self, wire, kind, body)
            if kind in table and not wire._closing:
                taken[table[kind].kind.__name__] += 1

        monkeypatch.setattr(owner, "wire_frame", wire_frame)

    for owner, codec in ((Server, CLIENT_CODEC), (Mesh, LINK_CODEC), (ControlPlane, CONTROL_CODEC)):
        count(owner, codec.table)
    return taken


DUE = {
    "client, after": FROM_CLIENTS,
    "data, after": FROM_PEERS | {"Taken", "NoRoute"},
    "control, after": FROM_MEMBERS,
}
"""What a node takes from whom it has let in."""


@pytest.mark.parametrize("kind", KINDS)
async def test_fuzzed_connections_leave_the_node_as_it_was_and_others_served(
    kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CN9, ME8: over the same link, and nothing broke, whatever came; and everything came that may."""
    taken = watch(monkeypatch)
    await fuzzed(kind, CONNECTIONS)
    broken = [one for one in caplog.records if one.exc_info or one.levelno > logging.WARNING]
    assert not broken, broken
    missed = DUE.get(kind, frozenset()) - ENDING - taken.keys()
    assert not missed, taken


def breaks(owner: type, name: str, when: Callable[..., bool]) -> Callable[[pytest.MonkeyPatch], None]:
    """Return what lets a method break, for some arguments."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        whole = getattr(owner, name)

        def broken(self: object, *given: object) -> object:
            if when(self, *given):
                raise ArithmeticError("planted")
            return whole(self, *given)

        monkeypatch.setattr(owner, name, broken)

    return plant


DEFECTS = {
    "client, before": breaks(Connection, "frame", lambda one, kind, _: one.state == "connect" and kind == 0x42),
    "client, after": breaks(Guests, "frame", lambda _, frame: isinstance(frame, Leave)),
    "data, before": breaks(
        Handshake, "received", lambda one, frame: one.state == "auth" and isinstance(frame, Refusal)
    ),
    "data, after": breaks(Offers, "answered", lambda _, __, frame: isinstance(frame, NoRoute)),
    "control, before": breaks(ControlLink, "admit", lambda one, kind: one.state == "auth" and kind == 0x53),
    "control, after": breaks(Swim, "received", lambda _, __, frame, ___: isinstance(frame, SwimNack)),
}
"""In one frame, in one state."""


@pytest.mark.parametrize("kind", KINDS)
async def test_a_planted_defect_is_found_and_costs_its_connection_alone(
    kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By so many connections as are made here every time; the log says on which port, and in which frame."""
    DEFECTS[kind](monkeypatch)
    await fuzzed(kind, 2_000 // len(KINDS))
    broken = [one for one in caplog.records if one.exc_info or one.levelno > logging.WARNING]
    fields = [getattr(one, "fields", {}) for one in broken]
    assert {one["event"] for one in fields} == {"connection_crashed" if "client" in kind else "link_crashed"}
    assert {one["frame"] for one in fields} == {FRAMES[kind]}


FRAMES = {
    "client, before": "0x42", "client, after": "0x74", "data, before": "0x04", "data, after": "0x26",
    "control, before": "0x53", "control, after": "0x43",
}  # fmt: skip
"""That of each defect."""


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
