"""Peers that know the cookie and break the protocol: their connection ends, and nothing else does."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from liminal_mesh.cluster import (
    Envelope,
    Heads,
    Lost,
    Mesh,
    NoRoute,
    Offer,
    Publish,
    Reason,
    Receipt,
    ReceiptRun,
    Taken,
)
from liminal_mesh.cluster.control_frames import Greeting
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.cluster.frames import (
    Ack,
    Adopt,
    AdoptAck,
    Auth,
    Heartbeat,
    Peer,
    Ping,
    Pong,
    Range,
    Redundant,
    SnapBegin,
)
from liminal_mesh.cluster.handshake import CONTROL
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState, Rumour, SwimAck, SwimGossip, SwimPing
from liminal_mesh.node import Gap, Message, connect
from liminal_mesh.node.node import Node

from ...nodes import linked, node_config, until
from ..raw_peer import NOWHERE, RawControl, RawPeer, header, hello
from .conftest import logged

pytestmark = pytest.mark.live

EPOCH = 7
ITEM = Envelope(1, 1, 1, 1, 0, b"x")


def mesh_of(node: Node) -> Mesh:
    """Return a node's side of the mesh."""
    mesh = node.running.hub.mesh
    assert mesh is not None
    return mesh


@asynccontextmanager
async def two(**more: Any) -> AsyncIterator[tuple[Node, Node]]:
    """Run two nodes that are linked, and see that they still are in the end."""
    async with (
        Node(node_config("a", drain_timeout=0.1, **more)) as a,
        Node(node_config("b", [str(a.addresses["mesh"])], drain_timeout=0.1)) as b,
    ):
        await linked([a, b])
        before = mesh_of(a).links["b"].g
        yield a, b
        async with b.subscribe("ticks", wait="cluster"):
            assert (await a.publish("ticks", 1, ack="nodes")).nodes["b"] == "delivered"
        assert mesh_of(a).links["b"].g == before


@asynccontextmanager
async def joined(a: Node, name: str = "z") -> AsyncIterator[RawPeer]:
    """Run a raw peer with a session."""
    async with RawPeer.to(a.addresses["mesh"]) as peer:
        await peer.join(hello(name, epoch=EPOCH))
        yield peer


async def thrown_out(a: Node, caplog: pytest.LogCaptureFixture, name: str = "z") -> str:
    """Wait until the peer's session is over, and return what the log says it did wrong."""
    await until(a, lambda: name not in mesh_of(a).links)
    return str((await logged(caplog, "protocol_error", peer=name))["reason"])


async def alive(peer: RawPeer, number: int = 4711) -> None:
    """See that the session goes on."""
    peer.send(Ping(number))
    while (await peer.expect(Pong)).id != number:
        pass


@pytest.mark.parametrize("size", [(1 << 20) + 1, 1 << 31, (1 << 32) - 1, 0])
async def test_a_lying_length_ends_the_session_from_the_header_alone(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What it claims is never awaited, and the log names it."""
    async with two() as (a, _), joined(a) as peer:
        peer.send_bytes(header(size))
        await peer.ended()
        assert (str(size) if size else "empty frame") in await thrown_out(a, caplog)


@pytest.mark.parametrize("offer", [Adopt(EPOCH + 1, 5), Adopt(EPOCH, 0)], ids=["of another run", "gone by"])
async def test_an_offer_that_cannot_be_taken_ends_the_connection_alone(offer: Adopt) -> None:
    """The peer decides, and its first session stands on another connection."""
    async with two() as (a, _), RawPeer.to(a.addresses["mesh"]) as peer, RawPeer.to(a.addresses["mesh"]) as again:
        mine = hello("0", epoch=EPOCH)
        await peer.join(mine)
        await again.shake_hands(hello("0", epoch=EPOCH, run=mine.run))
        again.send(offer)
        await again.ended()
        await alive(peer)
        assert mesh_of(a).links["0"].g == 1


async def test_promised_frames_cost_no_memory_until_they_come() -> None:
    """Fifty sessions that announce the largest frame each."""
    async with two() as (a, _), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(joined(a, f"z{number}")) for number in range(50)]
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for peer in peers:
            peer.send_bytes(header(1 << 20, 0x20) + b"\x94")
        await alive_elsewhere(a)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20


async def alive_elsewhere(a: Node) -> None:
    """See that the node takes another peer, which turns its loop more than once."""
    async with joined(a, "zz") as other:
        await alive(other)


WRONG: dict[str, list[Frame]] = {
    "hello": [Auth(0, 0, 0, bytes(32))],
    "hello, a heartbeat": [Heartbeat(1, 1, [], [])],
    "hello, a publish": [Publish(EPOCH, "ticks", 0, [ITEM])],
    "hello, a listener's frame": [AdoptAck(1)],
    "auth": [hello("z", epoch=EPOCH), hello("z", epoch=EPOCH)],
    "auth, a publish": [hello("z", epoch=EPOCH), Publish(EPOCH, "ticks", 0, [ITEM])],
    "auth, a ping": [hello("z", epoch=EPOCH), Ping(1)],
}


@pytest.mark.parametrize("state", WRONG)
async def test_a_frame_that_is_not_due_in_the_handshake_ends_the_connection(state: str) -> None:
    """Even one that would be welcome later."""
    async with two() as (a, _), RawPeer.to(a.addresses["mesh"]) as peer:
        peer.send(*WRONG[state])
        await peer.ended()
        assert set(mesh_of(a).links) == {"b"}


@pytest.mark.parametrize(
    "frame",
    [
        Publish(EPOCH, "ticks", 0, [ITEM]),
        Ping(1),
        Heartbeat(1, 1, [], []),
        Adopt(EPOCH, 1),
        Redundant(""),
        AdoptAck(99),
    ],
    ids=lambda frame: type(frame).__name__,
)
async def test_a_frame_that_is_not_due_before_the_session_ends_the_connection(frame: Frame) -> None:
    """The peer has proved itself, and the session was offered."""
    async with two() as (a, _), RawPeer.to(a.addresses["mesh"]) as peer:
        await peer.shake_hands(hello("z", epoch=EPOCH))
        await peer.expect(Adopt)
        peer.send(frame)
        await peer.ended()
        assert set(mesh_of(a).links) == {"b"}


IN_SESSION: dict[str, Frame] = {
    "hello again": hello("z", epoch=EPOCH),
    "an answer to no offer": AdoptAck(1),
    "an offer from the wrong side": Adopt(EPOCH, 9),
    "the decider's word from the other": Redundant("go"),
    "publishes of another run": Publish(EPOCH + 1, "ticks", 0, [ITEM]),
    "losses of another run": Lost(EPOCH + 1, "ticks", 1, 9),
    "heads of another run": Heads(EPOCH + 1, 0, [("ticks", 9)]),
    "members of another run": Range(0, EPOCH + 1, 1, 1, [("ticks", [1])], [], 0),
    "a snapshot of another run": SnapBegin(0, EPOCH + 1, 1, 1, 0),
    "a heartbeat of another session": Heartbeat(1, 4711, [], []),
    "a snapshot without bounds": SnapBegin(0, EPOCH, 1, 1 << 60, 0),
    "an acknowledgement of what is not": Ack(0, 0, 1 << 60),
    "receipts that nobody asked for": Receipt([ReceiptRun(1, 1, True)]),
    "an offer before the first": Offer(EPOCH, "ticks", 2, [("g", 0)], True, 0, [ITEM]),
    "an offer to one group twice": Offer(EPOCH, "ticks", 1, [("g", 0), ("g", 1)], True, 0, [ITEM]),
    "an answer to what was not offered": Taken("g", 1, 1),
    "a refusal of what was not offered": NoRoute("g", 1, 1, Reason.FULL),
    "several suppressed at once": NoRoute("g", 1, 2, Reason.SUPPRESSED),
    "publishes in no scope for them": Publish(EPOCH, "ticks", 0, [ITEM], 1),
    **{f"publishes on {name!r}": Publish(EPOCH, name, 1, [ITEM]) for name in ("m.*", "m.>", ">", "", "m..x", "m.a\n")},
    "losses on a pattern": Lost(EPOCH, "m.*", 1, 9),
    "heads of a pattern": Heads(EPOCH, 0, [("ticks", 0), ("m.*", 9)]),
    "an offer on a pattern": Offer(EPOCH, "m.*", 1, [("g", 0)], False, 0, [ITEM]),
}


@pytest.mark.parametrize("what", IN_SESSION)
async def test_a_peer_that_steps_out_of_line_loses_its_session_alone(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It speaks for its own run, in its own session, and claims nothing that cannot be."""
    async with two() as (a, _), a.subscribe("ticks") as ticks, a.subscribe("m.*"), joined(a) as peer:
        frame = IN_SESSION[what]
        peer.send(Ack(0, a.epoch, 1 << 60) if isinstance(frame, Ack) else frame)
        await peer.ended()
        assert await thrown_out(a, caplog)
        assert ticks.statistics.delivered == ticks.statistics.gaps == 0
        assert all(name == "ticks" for name in a.running.hub.exchange.channels.channels)


@pytest.mark.parametrize(
    "named",
    [Peer("", 1, NOWHERE), Peer("bad name", 1, NOWHERE), Peer("y", 1, "nowhere"), Peer("y", 1, "host:99999")],
    ids=str,
)
async def test_a_peer_that_names_impossible_others_loses_its_session(
    named: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is dialled on its word."""
    async with two() as (a, _), joined(a) as peer:
        peer.send(Heartbeat(1, 1, [], [named]))
        await peer.ended()
        assert "impossible" in await thrown_out(a, caplog)


@pytest.mark.parametrize(
    "address", ["evil\0host:1", f"{'x' * 70}.invalid:1", "\u2603" * 80 + ":1", "127.0.0.1:0"], ids=ascii
)
async def test_an_address_that_cannot_be_dialled_harms_nobody(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever gossip says of a member: it is a dial that failed, as any other."""
    caplog.set_level(logging.DEBUG, "liminal")
    async with two() as (a, _), RawControl.to(a.addresses["mesh"]) as peer:
        await peer.shake_hands(structs.replace(hello("z", epoch=EPOCH), capabilities=[CONTROL]))
        peer.send(Greeting(MemberRecord("z", EPOCH, 0, RecordState.ALIVE, NOWHERE), 0, 0, 0))
        await peer.expect(Greeting)
        peer.send(SwimGossip([Rumour(MemberRecord("y", 1, 0, RecordState.ALIVE, address))]))
        await logged(caplog, "dial_failed", target="y")
        peer.send(SwimPing(4711))
        while (await peer.expect(SwimAck)).id != 4711:
            pass


async def test_a_frame_of_an_unknown_type_is_skipped_and_counted() -> None:
    """As a later version's must be; before the session as in it."""
    async with two() as (a, _), RawPeer.to(a.addresses["mesh"]) as peer:
        await peer.shake_hands(hello("z", epoch=EPOCH))
        unknown = header(4, 0x7E) + b"\xc1\xc1\xc1"
        peer.send_bytes(unknown)
        offer = await peer.expect(Adopt)
        peer.send(AdoptAck(offer.g))
        peer.send_bytes(unknown * 2)
        await alive(peer)
        assert mesh_of(a).unknown_frames == 3


async def test_more_channels_than_the_node_has_room_for_do_not_end_the_session() -> None:
    """What finds no room is reported as lost, to the subscriber and in the receipts."""
    async with two(limits={"channels": 4}) as (a, _), a.subscribe("m.>") as some, joined(a) as peer:
        await a.publish("ticks", "has its channel in any case")
        for number in range(10):
            peer.send(Publish(EPOCH, f"m.{number}", number + 1, [ITEM]))
        runs = [run for _ in range(10) for run in (await peer.expect(Receipt)).runs]
        await alive(peer)
        assert [run.delivered for run in runs] == [True] * 4 + [False] * 6
        items = [await anext(some) for _ in range(10)]
        assert {item.channel for item in items if isinstance(item, Gap)} == {f"m.{number}" for number in range(4, 10)}


async def test_the_largest_numbers_pass() -> None:
    """They are counted on, and told to clients, without running over."""
    most = (1 << 64) - 1
    async with two() as (a, _), a.subscribe("ticks") as ticks, joined(a) as peer:
        peer.send(Heads(EPOCH, most, []), Lost(EPOCH, "ticks", 1, most - 1))
        peer.send(Publish(EPOCH, "ticks", 0, [Envelope(most, most, most, most, 255, b"last")]))
        peer.send(Publish(EPOCH, "ticks", 0, [Envelope(most, most, most, most, 255, b"again")]))
        gap, message = await anext(ticks), await anext(ticks)
        assert isinstance(gap, Gap)
        assert isinstance(message, Message)
        assert (gap.first, gap.last, gap.count) == (1, most - 1, most - 1)
        assert (message.sequence, message.payload) == (most, b"last")
        await alive(peer)


async def test_losses_that_are_told_again_are_not_counted_again_when_there_is_no_room_for_channels() -> None:
    """However large their numbers: more than there can be fits into no frame, and no client would hear of anything."""
    most = (1 << 64) - 1
    first, last = Envelope(1, 1, 1, 1, 0, b"x"), Envelope(2, most, 1, 1, 0, b"x")
    async with (
        two(limits={"channels": 2}) as (a, _),
        connect(f"liminal://{a.addresses['client']}") as client,
        client.subscribe("m.>") as some,
        joined(a) as peer,
    ):
        await a.publish("ticks", "has its channel in any case")
        peer.send(*(Publish(EPOCH, f"m.{number}", 0, [first]) for number in range(6)))
        peer.send(*(Publish(EPOCH, "m.5", 0, [first, last]) for _ in range(4)))
        await alive(peer)
        await client.publish("m.0", "the last")
        items = [await anext(some) for _ in range(7)]
        gaps = [item for item in items if isinstance(item, Gap)]
        assert [(gap.first, gap.last, gap.count) for gap in gaps if gap.channel == "m.5"] == [(1, most, most)]
