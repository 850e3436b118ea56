"""Hundreds of connections that send mutated conversations, on each port, before and after authentication.

``LIMINAL_FUZZ_SEED`` repeats a run; ``LIMINAL_FUZZ_CONNECTIONS`` says how many connections for each of the four.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from liminal_mesh.cluster import ClientPublish, Connect, Envelope, Heads, Lost, Publish, Subscribe
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.cluster.frames import Adopt, AdoptAck, Heartbeat, Hello, Position, Range, SnapBegin, SnapChunk, Sync
from liminal_mesh.node import Client, Message, Subscription, connect
from liminal_mesh.node.node import Node

from ...golden.make import CLIENT, LINK
from ...nodes import DEADLINE_S, linked, node_config
from ..raw_peer import RawClient, RawConnection, RawPeer, hello

pytestmark = pytest.mark.live

CONNECTIONS = int(os.environ.get("LIMINAL_FUZZ_CONNECTIONS", "200"))
SEED = int(os.environ.get("LIMINAL_FUZZ_SEED") or secrets.randbits(32))
AT_ONCE = 20
EPOCH = 7
ITEMS = [Envelope(number, number, 1, 1, number % 5, b"x" * number) for number in range(1, 9)]

LINK_TALK: list[Frame] = [
    *LINK,
    Publish(EPOCH, "ticks", 1, ITEMS),
    Publish(EPOCH, "m.x", 0, ITEMS),
    Lost(EPOCH, "ticks", 1, 9),
    Heads(EPOCH, 1, [("ticks", 9), ("m.y", 3)]),
    Range(0, EPOCH, 1, 1, [("ticks", [1])], [], 0),
    SnapBegin(0, EPOCH, 1, 1, 0),
    SnapChunk(0, EPOCH, 1, [("ticks", [1])]),
    Sync(0, 1, 1, 0),
    Heartbeat(1, 1, [Position(0, 1, 1)], []),
]
CLIENT_TALK: list[Frame] = [
    *CLIENT,
    Subscribe(1, 1, "m.>", 8, "cluster", 100),
    Subscribe(2, 2, "ticks", 8, "", 100),
    ClientPublish(3, 1, "ticks", "", 0, ITEMS),
    ClientPublish(30, 2, "m.x", "nodes", 50, ITEMS),
]


def mutated(rng: random.Random, connection: type[RawConnection], frames: list[Frame]) -> bytes:
    """Return a conversation with a few faults: flipped bits, cuts, repeats, lies about lengths."""
    talk = [bytearray(connection.codec.encode(rng.choice(frames))) for _ in range(rng.randint(1, 6))]
    for wire in talk:
        if rng.random() < 0.4:
            continue
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(wire))
            match rng.randrange(5):
                case 0:
                    wire[place] ^= 1 << rng.randrange(8)
                case 1:
                    wire[place] = rng.choice((0x00, 0x7F, 0x80, 0xC1, 0xDD, 0xDF, 0xFF))
                case 2:
                    wire[place:place] = rng.randbytes(rng.randint(1, 9))
                case 3 if len(wire) > 6:
                    del wire[max(place, 5) :]
                case _:
                    wire[4] = rng.choice(tuple(connection.codec.table))
        if rng.random() < 0.9:  # else the length is a lie
            wire[:4] = max(0, len(wire) - 4).to_bytes(4, "big")
    return b"".join(talk)


async def before(connection: type[RawConnection], node: Node, rng: random.Random, name: str) -> None:
    """Say anything at once."""
    del name
    first: dict[type[RawConnection], Frame] = {RawPeer: hello("z"), RawClient: Connect(1, 1, "raw")}
    async with connection.to(node.addresses[PORTS[connection]]) as one:
        talk: list[Frame] = LINK_TALK if connection is RawPeer else CLIENT_TALK
        one.send_bytes(mutated(rng, connection, [first[connection], first[connection], *talk]))
        await the_end(one, rng)


async def after(connection: type[RawConnection], node: Node, rng: random.Random, name: str) -> None:
    """Say anything once authenticated."""
    async with connection.to(node.addresses[PORTS[connection]]) as one:
        if isinstance(one, RawPeer):
            if rng.random() < 0.8:
                await one.join(hello(rng.choice("0z") + name, epoch=EPOCH))  # so that either side decides
            else:
                await one.shake_hands(hello("z" + name, epoch=EPOCH))
                one.send(AdoptAck((await one.expect(Adopt)).g))
        elif isinstance(one, RawClient):
            await one.greet()
        talk = [frame for frame in LINK_TALK if not isinstance(frame, Hello)]
        one.send_bytes(mutated(rng, connection, talk if connection is RawPeer else CLIENT_TALK))
        await the_end(one, rng)


PORTS: dict[type[RawConnection], str] = {RawPeer: "mesh", RawClient: "client"}


async def the_end(one: RawConnection, rng: random.Random) -> None:
    """Leave at once, or read until the node closes or has nothing more to say for a moment."""
    if rng.random() < 0.2:
        return
    try:
        async with asyncio.timeout(0.2):
            while await one.reader.read(65536):
                pass
    except (TimeoutError, ConnectionError):
        pass


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


@pytest.mark.parametrize("connection", PORTS, ids=PORTS.values())
@pytest.mark.parametrize("authenticated", [False, True], ids=["before", "after"])
async def test_fuzzed_connections_leave_the_node_alive_and_others_served(
    connection: type[RawConnection], authenticated: bool
) -> None:
    """Every message of the bystanders arrives, from the node's client as from its peer, and the link is the same."""
    rng = random.Random(SEED)
    print(f"LIMINAL_FUZZ_SEED={SEED}")
    async with bystanders() as (a, b, client, mine):
        mesh = a.running.hub.mesh
        assert mesh is not None
        link = mesh.links["b"].g
        fuzz = after if authenticated else before
        sent = 0
        for start in range(0, CONNECTIONS, AT_ONCE):
            async with asyncio.TaskGroup() as tasks:
                for number in range(start, start + AT_ONCE):
                    tasks.create_task(fuzz(connection, a, random.Random(rng.random()), str(number)))
                await client.publish("m.mine", sent)
                await b.publish("m.mine", sent + 1)
                sent += 2
        got = [await message(mine) for _ in range(sent)]

        assert sorted(one.payload for one in got if isinstance(one.payload, int)) == list(range(sent))
        assert mesh.links["b"].g == link
        a.running.registry.validate()


async def message(mine: Subscription) -> Message:
    """Return the next message of ours."""
    async with asyncio.timeout(DEADLINE_S):
        one = await anext(mine)
    assert isinstance(one, Message)
    return one
