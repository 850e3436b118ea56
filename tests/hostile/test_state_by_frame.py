"""Every frame in every state of a connection, on each port: the answer is what the rules of ``allowed`` say (CN3, CN8).

All types of all three tables are sent in each state, and some that are in none; a frame that is added to a table is
among them from then on. What is seen is what the connection's other end sees, and what the node counts and has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import pytest

from liminal_mesh.cluster import CLIENT_CODEC, Disconnect
from liminal_mesh.cluster.codec import LINK_CODEC, Codec
from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

from ..golden.make import CLIENT, CONTROL, LINK
from ..live.raw_peer import header
from .allowed import DUE, OVER, rule
from .places import HELD, PLACES, Outside, Stand, held_client, hold_up

CODECS: Final[dict[str, Codec]] = {
    "client": CLIENT_CODEC, "mesh": LINK_CODEC, "data": LINK_CODEC, "control": CONTROL_CODEC,
}  # fmt: skip
"""What is spoken in a state, by the first word of its name."""

SAMPLES: Final = {
    codec: {block[4]: block for block in map(codec.encode, reversed(frames))}
    for codec, frames in ((CLIENT_CODEC, CLIENT), (LINK_CODEC, LINK), (CONTROL_CODEC, CONTROL))
}
"""A good frame of each type."""

TYPES: Final = sorted({kind for samples in SAMPLES.values() for kind in samples} | {0x00, 0x3F, 0x7E, 0x7F, 0x80, 0xFF})
TOLD: Final = "client, told that the node leaves"
"""The state that no other connection of the node can be beside."""

LOOK_S: Final = 0.05
"""Virtual seconds in which everything is answered."""

CLOSED_ALREADY: Final = {"client, refused": 1, "data, closed by the node": 1, "control, closed by the node": 1}
"""How many protocol errors made the state itself; elsewhere it is none."""


class Eye:
    """Sees what a node makes of frames."""

    def __init__(self, node: Node) -> None:
        self._run = node.running

    @property
    def errors(self) -> int:
        """Protocol errors that were counted."""
        peering, control = self._run.peering, self._run.control
        assert peering is not None
        assert control is not None
        return sum(one.refusals.get("protocol", 0) for one in (self._run.server, peering, control))

    @property
    def skipped(self) -> int:
        """Frames of unknown types that were counted."""
        mesh, control = self._run.hub.mesh, self._run.control
        assert mesh is not None
        assert control is not None
        return self._run.server.unknown_frames + mesh.unknown_frames + control.unknown_frames

    @property
    def effects(self) -> tuple[object, ...]:
        """What frames can change for others; what holds a client up while the node drains is its own."""
        counts, groups = self._run.hub.exchange.statistics, self._run.registry.groups(0)
        return counts.published, counts.received, {name: pids for name, pids in groups.items() if name != HELD}


async def answer(place: str, stand: Stand, eye: Eye, block: bytes) -> str:
    """Send a frame, and say what became of it, in the words of :func:`.allowed.rule`; other words are defects."""
    raw = stand.raw
    errors, skipped, effects = eye.errors, eye.skipped, eye.effects
    raw.send_bytes(stand.before + block)
    await asyncio.sleep(LOOK_S)
    errors, skipped = eye.errors - errors, eye.skipped - skipped
    if raw.open:
        counted = errors, skipped
        return {(0, 0): "stands", (0, 1): "skipped"}.get(counted, f"stands: {errors} errors, {skipped} skipped")
    if eye.effects != effects or skipped:
        return f"closed: {skipped} skipped, {eye.effects}, where {effects} was"
    said = await raw.ended()
    told = [frame.code for frame in said if isinstance(frame, Disconnect)]
    if place in OVER:
        seen = (errors, told) == (CLOSED_ALREADY.get(place, 0), ["protocol"] * (place == "client, refused"))
        return "no effect" if seen else f"over: {errors} errors, told {told}"
    if errors == 0 and not told:
        return "end"
    if errors == 1 and told == ["protocol"] * (place.startswith("client") and place != TOLD):
        return "refused"
    return f"closed: {errors} errors, told {told}"


def block_of(place: str, stand: Stand, kind: int) -> tuple[str, bytes]:
    """Return what a type is called in a state ("" if it is unknown there), and a good frame of it if there is one."""
    codec = CODECS[place.partition(",")[0]]
    if place == "mesh, first frame" and kind in stand.due:
        return "Hello", stand.due[kind]
    if kind in codec.table:
        return codec.table[kind].kind.__name__, stand.due.get(kind) or SAMPLES[codec][kind]
    known = next((samples[kind] for samples in SAMPLES.values() if kind in samples), header(3, kind) + b"\xc1\xc1")
    return "", known


@pytest.mark.parametrize("place", sorted(PLACES.keys() - {TOLD}))
async def test_each_frame_is_answered_as_the_rules_say(place: str) -> None:
    """And nothing of a frame that is refused, skipped or late has happened; whoever is beside it is served on."""
    wrong = []
    async with running() as (cluster, node, outside):
        eye = Eye(node)
        async with AsyncExitStack() as stack, cluster.client("m") as client, client.subscribe("ticks") as ticks:
            stands: dict[int, Stand] = {}
            if place == "client, while the node drains":
                for kind in TYPES:
                    stands[kind] = await stack.enter_async_context(PLACES[place](node, outside, f"n{kind}"))
            if place.endswith("while the node drains"):
                await stack.enter_async_context(draining(cluster, outside))
            for kind in TYPES:
                async with AsyncExitStack() as own:
                    if kind not in stands:
                        stands[kind] = await own.enter_async_context(PLACES[place](node, outside, f"n{kind}"))
                    wrong += await difference(place, stands[kind], eye, kind)
            if not node.running.hub.draining:
                await client.publish("ticks", "the last")
                assert getattr(await anext(ticks), "payload", None) == "the last"
    assert not wrong, "\n".join(wrong)


async def test_each_frame_is_answered_as_the_rules_say_when_the_client_was_told_that_the_node_leaves() -> None:
    """It may go by itself, and until then it is here as before; a second last word it does not hear."""
    wrong = []
    for kind in TYPES:
        async with running() as (_, node, outside), PLACES[TOLD](node, outside, f"n{kind}") as stand:
            wrong += await difference(TOLD, stand, Eye(node), kind)
    assert not wrong, "\n".join(wrong)


async def difference(place: str, stand: Stand, eye: Eye, kind: int) -> list[str]:
    """Send a frame of a type, and say what of the answer is not as the rules say."""
    name, block = block_of(place, stand, kind)
    got, right = await answer(place, stand, eye, block), rule(place, name)
    return [] if got == right else [f"{kind:#04x} {name or 'unknown'}: {got}, and the rule is: {right}"]


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Cluster, Node, Outside]]:
    """Run a node, and a host on which the connections are made."""
    async with Cluster(["m"], config={"drain_timeout": "60s", "limits": {"handshakes": 1000}}) as cluster:
        yield cluster, cluster["m"], Outside(cluster._network.host("127.0.0.99"), "127.0.0.99")


@asynccontextmanager
async def draining(cluster: Cluster, outside: Outside) -> AsyncIterator[None]:
    """Let the node stop, which tells no client before it has taken what is its own."""
    node = cluster["m"]
    async with held_client(node, outside, "slow"):
        await hold_up(node)
        stopping = asyncio.create_task(cluster.stop("m"))
        await asyncio.sleep(LOOK_S)
        assert node.running.hub.draining
        yield
        assert not stopping.done()
    await stopping


def test_every_state_has_a_place_and_every_type_a_sample() -> None:
    """So that a frame that is new is sent everywhere."""
    assert PLACES.keys() == DUE.keys()
    for codec, samples in SAMPLES.items():
        assert samples.keys() == codec.table.keys()
    names = {row.kind.__name__ for codec in SAMPLES for row in codec.table.values()}
    assert {name for listed in DUE.values() for name in listed} <= names
