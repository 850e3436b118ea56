"""Connections that send garbage: frames changed at random, before and after authentication, and every way to end.

A kind of connection is where it goes and how far it gets before it talks. What it says is drawn from a seed.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import structs

from liminal_mesh.cluster import Address, ClientPublish, Connect, Envelope, Heads, Lost, Publish, Subscribe
from liminal_mesh.cluster.control_frames import Greeting
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.cluster.frames import Heartbeat, Hello, Position, Range, SnapBegin, SnapChunk, Sync, Welcome
from liminal_mesh.cluster.handshake import CONTROL
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState

from ...cluster.mutations import mutate
from ...golden.make import CLIENT as CLIENT_SAMPLES
from ...golden.make import CONTROL as CONTROL_SAMPLES
from ...golden.make import LINK as LINK_SAMPLES
from ..raw_peer import NOWHERE, RawClient, RawConnection, RawControl, RawPeer, hello

__all__ = ["KINDS", "fuzz"]

NAMES: Final = 20
"""How many names the peers have; each connection is a later run of one of them."""

READ_S: Final = 0.05
"""How long one listens that does not leave at once: the node may have nothing to say, and need not close."""

ITEMS: Final = [Envelope(number, number, 1, 1, number % 5, b"x" * number) for number in range(1, 9)]


def link_talk(epoch: int) -> list[Frame]:
    """Return frames that a peer of this epoch may say."""
    return [
        *(frame for frame in LINK_SAMPLES if not isinstance(frame, Hello)),
        Publish(epoch, "ticks", 1, ITEMS),
        Publish(epoch, "m.x", 0, ITEMS),
        Lost(epoch, "ticks", 1, 9),
        Heads(epoch, 1, [("ticks", 9), ("m.y", 3)]),
        Range(0, epoch, 1, 1, [("ticks", [1])], [], 0),
        SnapBegin(0, epoch, 1, 1, 0),
        SnapChunk(0, epoch, 1, [("ticks", [1])]),
        Sync(0, 1, 1, 0),
        Heartbeat(1, 1, [Position(0, 1, 1)], []),
    ]


CLIENT_TALK: Final[list[Frame]] = [
    *CLIENT_SAMPLES,
    Subscribe(1, 1, "m.>", 8, "cluster", 100),
    Subscribe(2, 2, "ticks", 8, "", 100),
    ClientPublish(3, 1, "ticks", "", 0, ITEMS),
    ClientPublish(30, 2, "m.x", "nodes", 50, ITEMS),
]


def says(number: int, rng: random.Random, *, control: bool) -> Hello:
    """Return what a peer says first: a name before or after the node's, so that either side decides."""
    mine = hello(f"{rng.choice('0z')}{number % NAMES}", epoch=1 + number)
    return structs.replace(mine, capabilities=[CONTROL] if control else [])


# --- how far they get -------------------------------------------------------------------------------


async def strange_client(raw: RawConnection, rng: random.Random, number: int) -> list[Frame]:
    """Say nothing sensible."""
    return [Connect(1, 1, "raw"), *CLIENT_TALK]


async def client(raw: RawConnection, rng: random.Random, number: int) -> list[Frame]:
    """Be let in."""
    assert isinstance(raw, RawClient)
    await raw.greet()
    return CLIENT_TALK


async def strange_peer(raw: RawConnection, rng: random.Random, number: int) -> list[Frame]:
    """Say nothing sensible, or Hello and then nothing sensible."""
    mine = says(number, rng, control=False)
    if rng.random() < 0.5:
        raw.send(mine)
    return [mine, *link_talk(mine.epoch)]


async def peer(raw: RawConnection, rng: random.Random, number: int) -> list[Frame]:
    """Have a session, or be on the way to one."""
    assert isinstance(raw, RawPeer)
    mine = says(number, rng, control=False)
    await (raw.join(mine) if rng.random() < 0.8 else raw.shake_hands(mine))
    return link_talk(mine.epoch)


async def strange_member(raw: RawConnection, rng: random.Random, number: int) -> list[Frame]:
    """Say that it is to be a control link, and then nothing sensible."""
    mine = says(number, rng, control=True)
    if rng.random() < 0.8:
        raw.send(mine)
        if rng.random() < 0.8:  # what comes with it is not looked at: it is handed to another thread
            await raw.expect(Welcome)
    return [mine, *CONTROL_SAMPLES]


async def member(raw: RawConnection, rng: random.Random, number: int) -> list[Frame]:
    """Have a control link, or be on the way to one."""
    assert isinstance(raw, RawControl)
    mine = says(number, rng, control=True)
    await raw.shake_hands(mine)
    if rng.random() < 0.8:
        record = MemberRecord(mine.name, mine.epoch, 0, RecordState.ALIVE, NOWHERE)
        raw.send(Greeting(record, 0, int(mine.name < "a") * number, 0))
    return CONTROL_SAMPLES


Begin = Callable[[RawConnection, random.Random, int], Awaitable[list[Frame]]]

KINDS: Final[dict[str, tuple[str, type[RawConnection], Begin]]] = {
    "client, before": ("client", RawClient, strange_client),
    "client, after": ("client", RawClient, client),
    "data, before": ("mesh", RawPeer, strange_peer),
    "data, after": ("mesh", RawPeer, peer),
    "control, before": ("mesh", RawControl, strange_member),
    "control, after": ("mesh", RawControl, member),
}
"""The port, what is spoken there, and what comes before the garbage; before or after authentication."""


# --- one connection ---------------------------------------------------------------------------------


async def fuzz(kind: str, ports: Mapping[str, Address], rng: random.Random, number: int) -> bool:
    """Connect, begin, talk garbage, and end; return whether the node let it get as far as the garbage."""
    port, speaks, begin = KINDS[kind]
    async with speaks.to(ports[port]) as raw:
        try:
            talk = await begin(raw, rng, number)
        except (asyncio.IncompleteReadError, AssertionError):
            return False  # another one of that name was faster
        raw.send_bytes(garbage(rng, [raw.codec.encode(frame) for frame in talk]))
        await end(raw, rng)
    return True


def garbage(rng: random.Random, good: list[bytes]) -> bytes:
    """Return a conversation, some of it changed."""
    return b"".join(mutate(rng, good) if rng.random() < 0.6 else rng.choice(good) for _ in range(rng.randint(1, 6)))


async def end(raw: RawConnection, rng: random.Random) -> None:
    """Close, or say that nothing more comes, or reset; at once, or after having listened for a moment."""
    try:
        if rng.random() < 0.4:
            await listen(raw)
        match rng.randrange(3):
            case 0:
                raw.writer.write_eof()
                await listen(raw)
            case 1:
                lingering = struct.pack("ii", 1, 0)
                raw.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
                raw.writer.transport.abort()
    except OSError:  # the node was faster
        pass


async def listen(raw: RawConnection) -> None:
    """Read until the node closes, or has nothing more to say for a moment."""
    try:
        async with asyncio.timeout(READ_S):
            while await raw.reader.read(65536):
                pass
    except (TimeoutError, ConnectionError):
        pass
