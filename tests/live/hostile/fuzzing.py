"""Connections that send garbage: frames changed at random, before and after authentication, and every way to end.

A kind of connection is where it goes and how far it gets before it talks. What it says is drawn from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgpack
from msgspec import Raw, structs

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
    QUEUE_SCOPE,
    Address,
    ClientPublish,
    Connect,
    Credit,
    Declaration,
    Declare,
    Demonitor,
    Disconnect,
    Envelope,
    Heads,
    Join,
    Leave,
    Lost,
    MonitorProcess,
    NodeId,
    NoRoute,
    Offer,
    OpenMailbox,
    OptionKey,
    ProcessLink,
    ProcessMonitor,
    ProcessUnlink,
    Publish,
    Reason,
    Receipt,
    Request,
    Subscribe,
    Taken,
    Unsubscribe,
    UnwatchGroup,
    UnwatchMembers,
    WatchGroup,
    WatchMembers,
    queue_name,
)
from liminal_mesh.cluster.codec import Codec
from liminal_mesh.cluster.control_frames import Greeting
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.cluster.frames import (
    Ack,
    Adopt,
    AdoptAck,
    Auth,
    Heartbeat,
    Hello,
    Position,
    Redundant,
    Refusal,
    SnapBegin,
    SnapChunk,
    Sync,
    Welcome,
)
from liminal_mesh.cluster.handshake import CONTROL
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState

from ...cluster.mutations import mutate
from ...golden.make import CLIENT as CLIENT_SAMPLES
from ...golden.make import CONTROL as CONTROL_SAMPLES
from ...golden.make import LINK as LINK_SAMPLES
from ...hostile.allowed import FROM_CLIENTS, FROM_MEMBERS
from ..raw_peer import NOWHERE, RawClient, RawConnection, RawControl, RawPeer, hello, members

__all__ = ["KINDS", "fuzz"]

NAMES: Final = 20
"""How many names the peers have; each connection is a later run of one of them."""

TRAPPING: Final = (1, 2)
"""Processes that do not end with those that are linked with them: the node's own, and a connection's."""

DUE_MAX: Final = 12
"""How much of a conversation may make sense: a node that finds one frame wrong looks at no other."""

OFFER_S: Final = 0.2
"""How long a peer waits for something to be offered."""

READ_S: Final = 0.05
"""How long one listens that does not leave at once: the node may have nothing to say, and need not close."""

ITEMS: Final = [Envelope(number, number, 1, 1, number % 5, b"x" * number) for number in range(1, 9)]
KEYED: Final = [Envelope(9, 9, 1, 1, 0, b"x", {OptionKey.KEY: Raw(msgpack.packb("a key"))})]


@dataclass(frozen=True)
class Talk:
    """What a connection may say: what is ``due`` there, with the right content, and ``anything``, all or part of it."""

    due: Sequence[Frame]
    anything: Sequence[Frame]


def link_talk(mine: Hello, offered: Offer | None) -> Talk:
    """Return what a peer may say that has been ``offered`` something, or has not."""
    epoch = mine.epoch
    own = [
        structs.replace(frame, epoch=epoch) if "epoch" in frame.__struct_fields__ else frame
        for frame in LINK_SAMPLES
        if not isinstance(
            frame, Hello | Welcome | Auth | Refusal | Adopt | AdoptAck | Redundant | Heartbeat | Ack | Sync
        )
        and not isinstance(frame, Receipt | Offer | Taken | NoRoute)
    ]
    due = [
        *own,
        Publish(epoch, "ticks", 1, ITEMS),
        Publish(epoch, "m.x", 0, ITEMS),
        Publish(epoch, "m.x", 9, KEYED),
        Lost(epoch, "ticks", 1, 9),
        Heads(epoch, 1, [("ticks", 9), ("m.y", 3)]),
        Offer(epoch, "m.x", 1, [("g", 0)], True, 1, ITEMS[:1]),
        Offer(epoch, "m.z", 1, [("g", 2), ("h", 1)], False, 0, KEYED),
        SnapBegin(0, epoch, 1, 1, 0),
        SnapChunk(0, epoch, 1, [("ticks", [1])]),
        Sync(0, 1, 1, 0),
        Sync(4, 1, 0, 0),
        Ack(0, 1, 0),
        Heartbeat(1, 1, [Position(0, 1, 1)], []),
        Receipt([]),
        Declare(True, True, [Declaration("ticks", True, "")]),
        *(ProcessLink(7, number, number) for number in TRAPPING),
        *(ProcessMonitor(number, number) for number in TRAPPING),
        *(ProcessUnlink(7, number, number, 0) for number in TRAPPING),
    ]
    if offered is not None:
        (group, _), *_ = offered.claims
        count = len(offered.items)
        due += [Taken(group, offered.number, count), NoRoute(group, offered.number, count, Reason.FULL)] * 8
    return Talk(due, [frame for frame in LINK_SAMPLES if not isinstance(frame, Hello)] + due)


CLIENT_OPENING: Final[list[Frame]] = [
    Subscribe(1, 1, "m.>", 8, "cluster", 100),
    Subscribe(2, 3, "ticks", 8, "", 100, "readers"),
    OpenMailbox(3, 2, 8, True),
    OpenMailbox(4, 4, 8, False),
    Join(5, 2, "workers.de", "", 0),
    WatchGroup(6, 5, 0, "ticks"),
    WatchMembers(7, 6),
    MonitorProcess(8, 7, "a", 1, 1),
]
"""What opens a stream of each kind, under the numbers of the samples and others."""

CLIENT_DUE: Final[list[Frame]] = [
    *(frame for frame in CLIENT_SAMPLES if type(frame).__name__ in FROM_CLIENTS and not isinstance(frame, Disconnect)),
    ClientPublish(3, 1, "ticks", "", 0, ITEMS),
    ClientPublish(30, 2, "m.x", "nodes", 50, [*ITEMS, *KEYED]),
    Credit(1, 1),
    Unsubscribe(3),
    UnwatchGroup(5),
    UnwatchMembers(6),
    Demonitor(7),
    Leave(9, 2, "workers.de"),
    Request(10, "members"),
]

CLIENT_TALK: Final = Talk(CLIENT_DUE, [*CLIENT_SAMPLES, *CLIENT_OPENING, *CLIENT_DUE])

CONTROL_TALK: Final = Talk(
    [frame for frame in CONTROL_SAMPLES if type(frame).__name__ in FROM_MEMBERS and not isinstance(frame, Refusal)],
    CONTROL_SAMPLES,
)


def says(number: int, rng: random.Random, *, control: bool) -> Hello:
    """Return what a peer says first: a name before or after the node's, so that either side decides."""
    mine = hello(f"{rng.choice('0z')}{number % NAMES}", epoch=1 + number)
    return structs.replace(mine, capabilities=[CONTROL] if control else [])


# --- how far they get -------------------------------------------------------------------------------


async def strange_client(raw: RawConnection, rng: random.Random, number: int) -> Talk:
    """Say nothing sensible."""
    return Talk([], [Connect(1, 1, "raw"), *CLIENT_SAMPLES])


async def client(raw: RawConnection, rng: random.Random, number: int) -> Talk:
    """Be let in, and open some streams, or none."""
    assert isinstance(raw, RawClient)
    await raw.greet()
    if rng.random() < 0.7:
        raw.send(*CLIENT_OPENING)
    return CLIENT_TALK


async def strange_peer(raw: RawConnection, rng: random.Random, number: int) -> Talk:
    """Say nothing sensible, or Hello and then nothing sensible."""
    mine = says(number, rng, control=False)
    talk = Talk([], [mine, *(frame for frame in LINK_SAMPLES if not isinstance(frame, Hello))])
    if number // len(talk.anything) % 2:
        raw.send(mine)
    return talk


async def peer(raw: RawConnection, rng: random.Random, number: int) -> Talk:
    """Have a session, or be on the way to one; have members, and be offered what is published, or not."""
    assert isinstance(raw, RawPeer)
    mine = says(number, rng, control=False)
    if rng.random() < 0.2:
        await raw.shake_hands(mine)
        return Talk([], link_talk(mine, None).anything)
    await raw.join(mine)
    offered = None
    if rng.random() < 0.5:
        queues = {queue_name("m.mine", f"g{number % NAMES}"): [3]}
        for scope, groups in ((CHANNEL_SCOPE, {"ticks": [1], "m.*": [2]}), (QUEUE_SCOPE, queues)):
            raw.send(*members(NodeId(mine.name, mine.epoch), scope, groups))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OFFER_S):
                offered = await raw.expect(Offer)
    return link_talk(mine, offered)


async def strange_member(raw: RawConnection, rng: random.Random, number: int) -> Talk:
    """Say that it is to be a control link, and then nothing sensible."""
    mine = says(number, rng, control=True)
    talk = Talk([], [mine, *CONTROL_SAMPLES])
    if number // len(talk.anything) % 2:
        raw.send(mine)
        if rng.random() < 0.8:  # what comes with it is not looked at: it is handed to another thread
            await raw.expect(Welcome)
    return talk


async def member(raw: RawConnection, rng: random.Random, number: int) -> Talk:
    """Have a control link, or be on the way to one."""
    assert isinstance(raw, RawControl)
    mine = says(number, rng, control=True)
    await raw.shake_hands(mine)
    if rng.random() < 0.2:
        return Talk([], CONTROL_SAMPLES)
    record = MemberRecord(mine.name, mine.epoch, 0, RecordState.ALIVE, NOWHERE)
    raw.send(Greeting(record, 0, int(mine.name < "a") * number, 0))
    return CONTROL_TALK


Begin = Callable[[RawConnection, random.Random, int], Awaitable[Talk]]

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
        raw.send_bytes(conversation(rng, talk, raw.codec, number))
        await end(raw, rng)
    return True


def conversation(rng: random.Random, talk: Talk, codec: Codec, number: int) -> bytes:
    """Return what makes sense, as far as it is ``due``, and then garbage: any frames, some of them changed.

    Each frame has its turn to begin with, as it is and changed, since of a stranger no second one is looked at.
    """
    due = [codec.encode(frame) for frame in rng.choices(talk.due, k=rng.randint(0, DUE_MAX))] if talk.due else []
    good = [codec.encode(frame) for frame in talk.anything]
    turn, first = divmod(number, len(good))
    rest = [mutate(rng, good) if rng.random() < 0.6 else rng.choice(good) for _ in range(rng.randint(0, 5))]
    return b"".join([*due, mutate(rng, [good[first]]) if turn % 4 > 1 else good[first], *rest])


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
