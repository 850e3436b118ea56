"""Strangers that connect and take their time: cut at the deadline, and out of the way of others long before.

Sixty-four are all that a listener takes at once, and all the control links that may be on their way at once. Times are
virtual, and so they are exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest

from liminal_mesh.cluster import CLIENT_CODEC, Connect, Disconnect
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient, RawControl, RawPeer
from .places import PLACES, Outside, Stand, says

PLACES_MAX: Final = 64
TIMEOUT_S: Final = 5.0
PATIENCE_S: Final = 1.0
SLACK_S: Final = 0.1

FIRST: Final = {
    "client, not greeted": CLIENT_CODEC.encode(Connect(1, 1, "slow")),
    "mesh, first frame": LINK_CODEC.encode(says("z", control=False)),
    "data, welcomed": LINK_CODEC.encode(says("z", control=False)),
    "control, welcomed": CONTROL_CODEC.encode(says("z", control=True)),
    "control, awaited to greet": CONTROL_CODEC.encode(says("z", control=True)),
}
"""The states in which somebody may dawdle, and bytes that trickle there."""


async def client(node: Node, outside: Outside, name: str) -> None:
    """Come in as a client does."""
    async with RawClient.to(node.addresses["client"], outside.network) as raw:
        await raw.greet(name)


async def peer(node: Node, outside: Outside, name: str) -> None:
    """Come in as a peer does."""
    async with RawPeer.to(node.addresses["mesh"], outside.network) as raw:
        await raw.join(says("z" + name, control=False))


async def member(node: Node, outside: Outside, name: str) -> None:
    """Come in as a member does, over a control link; it dials again when it is turned away."""
    while True:
        async with RawControl.to(node.addresses["mesh"], outside.network) as raw:
            try:
                await raw.shake_hands(says("0" + name, control=True))
            except asyncio.IncompleteReadError:
                await asyncio.sleep(0.1)
            else:
                return


HONEST: Final = {"client": client, "mesh": peer, "data": peer, "control": member}
"""Who wants to get in meanwhile, by the first word of the state."""


@asynccontextmanager
async def besieged(place: str) -> AsyncIterator[tuple[Node, Outside, list[Stand]]]:
    """Run a node all of whose places are taken."""
    async with Cluster(["m"], latency=(0.0, 0.0)) as cluster, AsyncExitStack() as stack:
        node = cluster["m"]
        outside = Outside(cluster._network.host("127.0.0.99"), "127.0.0.99")
        slow = [
            await stack.enter_async_context(PLACES[place](node, outside, f"slow{number}"))
            for number in range(PLACES_MAX)
        ]
        yield node, outside, slow


def refusals(node: Node) -> dict[str, int]:
    """Return how many connections the node has refused or cut off on all its ports, by reason."""
    run = node.running
    assert run.peering is not None
    assert run.control is not None
    return {**run.server.refusals, **run.peering.refusals, **run.control.refusals}


async def trickle(stand: Stand, data: bytes) -> None:
    """Send a byte a second."""
    for index in range(len(data)):
        stand.raw.send_bytes(data[index : index + 1])
        await asyncio.sleep(1.0)


@pytest.mark.parametrize("place", FIRST)
@pytest.mark.parametrize("trickling", [False, True], ids=["silent", "a byte a second"])
async def test_those_that_dawdle_are_cut_at_the_deadline(place: str, trickling: bool) -> None:
    """All of them, when nobody else wants their place; not a byte of theirs buys time."""
    async with besieged(place) as (node, _, slow):
        began = asyncio.get_running_loop().time()
        tasks = [asyncio.create_task(trickle(stand, FIRST[place])) for stand in slow if trickling]
        await asyncio.sleep(TIMEOUT_S - SLACK_S)
        assert all(stand.raw.open for stand in slow)
        said = [await stand.raw.ended() for stand in slow]
        assert asyncio.get_running_loop().time() < began + TIMEOUT_S + SLACK_S
        for task in tasks:
            task.cancel()
        if place.startswith("client"):
            assert [[frame.code for frame in one if isinstance(frame, Disconnect)] for one in said] == [
                ["handshake"]
            ] * PLACES_MAX
        else:
            assert said == [[]] * PLACES_MAX
        assert refusals(node) == {"handshake": PLACES_MAX}


@pytest.mark.parametrize("place", FIRST)
async def test_those_that_dawdle_keep_nobody_out_for_longer_than_they_have_without_others(place: str) -> None:
    """CN8: one makes room after a fifth of its time, and hears why if it is a client; the others keep their places."""
    async with besieged(place) as (node, outside, slow):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await HONEST[place.partition(",")[0]](node, outside, "honest")
        assert PATIENCE_S - SLACK_S < loop.time() - began < PATIENCE_S + SLACK_S
        (gone,) = [stand for stand in slow if not stand.raw.open]
        assert gone is slow[0]
        said = await gone.raw.ended()
        if place.startswith("client"):
            assert [frame.code for frame in said if isinstance(frame, Disconnect)] == ["crowded"]
        else:
            assert not said
        assert refusals(node).keys() == {"crowded"}
        assert refusals(node)["crowded"] == 1 or place.startswith("control")  # whose dials are turned away until then


@pytest.mark.parametrize("place", FIRST)
async def test_those_that_come_again_and_again_do_not_keep_others_out_either(place: str) -> None:
    """Twice as many as there are places, each of which dials again as soon as it is put out."""

    async def nag(name: str) -> None:
        for number in range(1000):
            try:
                async with PLACES[place](node, outside, f"{name}-{number}") as stand:
                    await stand.raw.ended()
            except asyncio.IncompleteReadError:
                await asyncio.sleep(0.1)

    async with Cluster(["m"]) as cluster:
        node = cluster["m"]
        outside = Outside(cluster._network.host("127.0.0.99"), "127.0.0.99")
        loop = asyncio.get_running_loop()
        nagging = [asyncio.create_task(nag(f"n{number}")) for number in range(2 * PLACES_MAX)]
        for number in range(5):
            await asyncio.sleep(0.7)
            began = loop.time()
            await HONEST[place.partition(",")[0]](node, outside, f"honest{number}")
            assert loop.time() - began < 3 * PATIENCE_S
        for task in nagging:
            task.cancel()
        await asyncio.wait(nagging)


async def test_a_thousand_that_come_at_once_and_get_on_with_it_all_get_in() -> None:
    """However few places there are: none of them is put out for another."""
    async with Cluster(["m"], config={"limits": {"handshakes": 4}}) as cluster:
        node = cluster["m"]
        outside = Outside(cluster._network.host("127.0.0.99"), "127.0.0.99")
        await asyncio.gather(*(client(node, outside, f"c{number}") for number in range(1000)))
        assert node.running.server.refusals == {}
