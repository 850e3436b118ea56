"""How a raw connection gets into every state of the protocols, and what is due there, with the right content."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from liminal_mesh.cluster import (
    CLIENT_CODEC,
    QUEUE_SCOPE,
    Address,
    Connect,
    Disconnect,
    Envelope,
    Network,
    NodeId,
    NoRoute,
    Offer,
    Reason,
    Subscribe,
    Subscribed,
    Taken,
    derive_key,
    queue_name,
)
from liminal_mesh.cluster.codec import LINK_CODEC, Codec
from liminal_mesh.cluster.control_frames import CONTROL_CODEC, Greeting
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.cluster.frames import (
    Ack,
    Adopt,
    AdoptAck,
    Drain,
    Heartbeat,
    Hello,
    Range,
    SnapBegin,
    SnapChunk,
    SnapEnd,
    Sync,
    Welcome,
)
from liminal_mesh.cluster.handshake import CONTROL, NO_FACTS, Handshake
from liminal_mesh.cluster.network import Port
from liminal_mesh.cluster.publish_frames import Heads, Lost, Publish, Receipt
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState
from liminal_mesh.node.node import Node

from ..live.raw_peer import NOWHERE, RawClient, RawConnection, RawControl, RawPeer, hello, members
from ..nodes import until

__all__ = ["HELD", "PLACES", "Outside", "Place", "Stand", "held_client", "hold_up", "says"]

EPOCH: Final = 7
"""The epoch of every raw peer."""

HELD: Final = "held"
"""The channel of which a client that is held up does not take enough."""

ITEM: Final = Envelope(1, 1, 1, 1, 0, b"x")


@dataclass(frozen=True)
class Outside:
    """Where raw connections come from: a network, and the host on it that they are on."""

    network: Network
    host: str


@dataclass
class Stand:
    """A connection in a state.

    Attributes:
        raw: the connection.
        due: what is due now and whose content matters, by type; for the rest any good frame will do.
        before: what goes out in one piece in front of the next frame, and brings the state about.
    """

    raw: RawConnection
    due: Mapping[int, bytes] = field(default_factory=dict)
    before: bytes = b""


Place = Callable[[Node, Outside, str], AbstractAsyncContextManager[Stand]]
"""Brings a connection with a node into a state, under a name that nobody else has."""


def due(codec: Codec, *frames: Frame) -> dict[int, bytes]:
    """Return frames as they go out, by type."""
    blocks = [codec.encode(frame) for frame in frames]
    return {block[4]: block for block in blocks}


# --- clients ----------------------------------------------------------------------------------------


@asynccontextmanager
async def new_client(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Connect."""
    async with RawClient.to(node.addresses["client"], outside.network) as raw:
        yield Stand(raw)


@asynccontextmanager
async def open_client(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Be let in."""
    async with new_client(node, outside, name) as stand:
        assert isinstance(stand.raw, RawClient)
        await stand.raw.greet(name)
        yield stand


@asynccontextmanager
async def held_client(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Be let in, and take no more than the first message of a channel: the node waits with its goodbye."""
    async with open_client(node, outside, name) as stand:
        stand.raw.send(Subscribe(4711, 4711, HELD, 1, "", 0))
        await stand.raw.expect(Subscribed)
        yield stand


@asynccontextmanager
async def refused_client(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Greet twice, which no client does."""
    async with open_client(node, outside, name) as stand:
        stand.before = CLIENT_CODEC.encode(Connect(1, 1, name))
        yield stand


@asynccontextmanager
async def leaving_client(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Say goodbye."""
    async with open_client(node, outside, name) as stand:
        stand.before = CLIENT_CODEC.encode(Disconnect("bye", ""))
        yield stand


@asynccontextmanager
async def told_client(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Hear that the node leaves, which waits for somebody else, and stay."""
    async with held_client(node, outside, "slow"), open_client(node, outside, name) as stand:
        await hold_up(node)
        stopping = asyncio.create_task(node.stop())
        await stand.raw.expect(Disconnect)
        yield stand
    await stopping


async def hold_up(node: Node) -> None:
    """Let more wait for a client that is held up than it takes."""
    for _ in range(3):
        await node.publish(HELD, b"x")


# --- the handshake, of links of either kind ---------------------------------------------------------


def says(name: str, *, control: bool) -> Hello:
    """Return what a peer says first."""
    return structs.replace(hello(name, epoch=EPOCH), capabilities=[CONTROL] if control else [])


@asynccontextmanager
async def new_link(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Connect to the mesh port, where links of both kinds begin."""
    async with RawPeer.to(node.addresses["mesh"], outside.network) as raw:
        either = due(LINK_CODEC, says("z" + name, control=False)) | due(CONTROL_CODEC, says("z" + name, control=True))
        yield Stand(raw, either)


def welcomed(kind: type[RawPeer]) -> Place:
    """Return what says Hello, and is answered."""

    @asynccontextmanager
    async def place(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
        async with kind.to(node.addresses["mesh"], outside.network) as raw:
            mine = says("z" + name, control=kind is RawControl)
            handshake = Handshake(mine, [derive_key(b"", mine.cluster)], "dialler", lambda _: NO_FACTS)
            raw.send(*handshake.open())
            yield Stand(raw, due(kind.codec, *handshake.received(await raw.expect(Welcome))))

    return place


def dialled(kind: type[RawPeer]) -> Place:
    """Return what the node dials as its seed, and gets its Hello."""

    @asynccontextmanager
    async def place(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
        port = outside.network.bind(Address(outside.host, 0), 16)
        mesh = node.running.hub.mesh
        assert mesh is not None
        mesh.reseed([str(port.address)])
        try:
            raw = await caller(port, kind)
            mine = says("z" + name, control=kind is RawControl)
            handshake = Handshake(mine, [derive_key(b"", mine.cluster)], "listener", lambda _: NO_FACTS)
            yield Stand(raw, due(kind.codec, *handshake.received(await raw.expect(Hello))))
            await raw.close()
        finally:
            mesh.reseed([])
            port.close()

    return place


async def caller(port: Port, kind: type[RawPeer]) -> RawPeer:
    """Return the next connection that is to be a link of this kind."""
    while True:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await port.accept(lambda: protocol)  # noqa: B023 - awaited here
        raw = kind.over(reader, protocol)
        if await raw.begins_with(kind.codec.encode(says("z", control=False))[4]):
            return raw
        await raw.close()


# --- data links -------------------------------------------------------------------------------------


@asynccontextmanager
async def offered(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Prove to be a peer of a higher name, which is offered a session."""
    async with RawPeer.to(node.addresses["mesh"], outside.network) as raw:
        await raw.shake_hands(says("z" + name, control=False))
        yield Stand(raw, due(LINK_CODEC, AdoptAck((await raw.expect(Adopt)).g)))


@asynccontextmanager
async def awaited(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Prove to be a peer of a lower name, which is to offer one."""
    async with RawPeer.to(node.addresses["mesh"], outside.network) as raw:
        await raw.shake_hands(says("0" + name, control=False))
        yield Stand(raw, due(LINK_CODEC, Adopt(EPOCH, 1)))


def session(lead: str) -> Place:
    """Return what joins under a name that begins like this."""

    @asynccontextmanager
    async def place(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
        async with RawPeer.to(node.addresses["mesh"], outside.network) as raw:
            number = await raw.join(says(lead + name, control=False))
            true = [
                Publish(EPOCH, "news.de", 0, [ITEM]),
                Offer(EPOCH, "news.de", 1, [("readers", 0)], True, 0, [ITEM]),
                Lost(EPOCH, "news.de", 1, 9),
                Heads(EPOCH, 0, [("news.de", 9)]),
                Heartbeat(1, number, [], []),
                Range(0, EPOCH, 1, 1, [("news.de", [1])], [], 0),
                SnapBegin(0, EPOCH, 1, 1, 0),
                SnapChunk(0, EPOCH, 1, [("news.de", [1])]),
                SnapEnd(0, EPOCH, 1),
                Sync(0, node.epoch, 0, 0),
                Ack(0, node.epoch, 0),
                Receipt([]),
            ]
            yield Stand(raw, due(LINK_CODEC, *true))

    return place


@asynccontextmanager
async def offered_something(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Have a member of a group, and be offered what was published for it."""
    async with session("z")(node, outside, name) as stand:
        queue = queue_name("news.de", name)
        stand.raw.send(*members(NodeId("z" + name, EPOCH), QUEUE_SCOPE, {queue: [1]}))
        await until(node, lambda: queue in node.running.registry.groups(QUEUE_SCOPE))
        await node.publish("news.de", b"x")
        first = (await stand.raw.expect(Offer)).number
        answers = Taken(name, first, 1), NoRoute(name, first, 1, Reason.ABSENT)
        yield Stand(stand.raw, {**stand.due, **due(LINK_CODEC, *answers)})


@asynccontextmanager
async def leaving_peer(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Say goodbye, and stay connected."""
    async with session("z")(node, outside, name) as stand:
        stand.raw.send(Drain("stopping"))
        yield stand


@asynccontextmanager
async def closed_link(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Say Hello within a session."""
    async with session("z")(node, outside, name) as stand:
        stand.before = LINK_CODEC.encode(says("z", control=False))
        yield stand


# --- control links ----------------------------------------------------------------------------------


def greeting(name: str, g: int) -> Greeting:
    """Return what a member greets with."""
    return Greeting(MemberRecord(name, EPOCH, 0, RecordState.ALIVE, NOWHERE), 0, g, 0)


@asynccontextmanager
async def awaited_to_greet(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Prove to be a member of a higher name, which greets first."""
    async with RawControl.to(node.addresses["mesh"], outside.network) as raw:
        await raw.shake_hands(says("z" + name, control=True))
        yield Stand(raw, due(CONTROL_CODEC, greeting("z" + name, 0)))


@asynccontextmanager
async def greeted(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Prove to be a member of a lower name, and be greeted."""
    async with RawControl.to(node.addresses["mesh"], outside.network) as raw:
        await raw.shake_hands(says("0" + name, control=True))
        await raw.expect(Greeting)
        yield Stand(raw, due(CONTROL_CODEC, greeting("0" + name, 1)))


@asynccontextmanager
async def member_under(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Be a member of a higher name, whose link the node numbers."""
    async with awaited_to_greet(node, outside, name) as stand:
        stand.raw.send_bytes(*stand.due.values())
        await stand.raw.expect(Greeting)
        yield Stand(stand.raw)


@asynccontextmanager
async def member_above(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Be a member of a lower name, which numbers its link with the node."""
    async with greeted(node, outside, name) as stand:
        stand.raw.send_bytes(*stand.due.values())
        yield Stand(stand.raw)


@asynccontextmanager
async def closed_control(node: Node, outside: Outside, name: str) -> AsyncIterator[Stand]:
    """Say Hello over a link."""
    async with member_under(node, outside, name) as stand:
        stand.before = CONTROL_CODEC.encode(says("z", control=True))
        yield stand


PLACES: Final[dict[str, Place]] = {
    "client, not greeted": new_client,
    "client, open": open_client,
    "client, while the node drains": held_client,
    "client, told that the node leaves": told_client,
    "client, refused": refused_client,
    "client, gone by its own word": leaving_client,
    "mesh, first frame": new_link,
    "data, welcomed": welcomed(RawPeer),
    "data, dialled": dialled(RawPeer),
    "data, offered a session": offered,
    "data, awaited to offer one": awaited,
    "data, session that the node decided on": session("z"),
    "data, session that the peer decided on": session("0"),
    "data, session with an offer that is not answered": offered_something,
    "data, after the peer's goodbye": leaving_peer,
    "data, while the node drains": session("z"),
    "data, closed by the node": closed_link,
    "control, welcomed": welcomed(RawControl),
    "control, dialled": dialled(RawControl),
    "control, awaited to greet": awaited_to_greet,
    "control, greeted": greeted,
    "control, link that the node decided on": member_under,
    "control, link that the peer decided on": member_above,
    "control, while the node drains": member_under,
    "control, closed by the node": closed_control,
}
"""The states of connections, and the way into each."""
