"""Properties that no simulation checks by itself: a frozen peer costs only its own lane, and versions may differ."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, PeerLane
from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.frames import LINK_FRAMES, Ack, Adopt, AdoptAck, Hello, LinkFrame, Ping, Pong, Refusal
from liminal_mesh.cluster.handshake import NO_FACTS, Handshake
from liminal_mesh.cluster.lanes import STALL_S
from liminal_mesh.node.inbox import Overflow

from ..live.raw_peer import RawPeer, header, hello
from ..node.accounting_world import World
from ..nodes import mesh

LANE_BYTES = 64 * 1024
INBOX: tuple[int, int, int, Overflow] = (5000, 5000, 1 << 30, "drop-oldest")
KEY = b"k" * 32


def test_s7_one_frozen_peer_costs_no_more_than_its_lane_and_delays_nobody() -> None:
    """S7: what others are owed leaves in the same turn; the frozen one's lane is bounded, and nobody waits for it."""
    world = World(1, nodes=3)
    a, b, c = world.hosts
    for one, other in ((a, b), (a, c)):
        world.connect(one, other)
        for end in world.links[frozenset((one.me.name, other.me.name))]:
            end.lane = PeerLane(end.host.me.epoch, LANE_BYTES, 5.0)
    healthy, frozen = b.subscribe("a.b", INBOX), c.subscribe("a.b", INBOX)
    world.settle()
    to_b, at_b = sorted(world.links[frozenset("ab")], key=lambda end: end.host.me)
    to_c, _ = sorted(world.links[frozenset("ac")], key=lambda end: end.host.me)
    held_back = 0
    for number in range(1, 1001):
        a.publish("a.b", 1, 1000)
        to_b.write(1 << 20, 64)
        at_b.read(1 << 20)
        world.now += 0.005
        for end in (to_b, to_c):
            end.lane.age(world.now)

        assert not to_b.lane, "something of the healthy peer's waits for the frozen one"
        assert healthy.ledger.offered["a.b", a.me][-1] == number
        assert to_c.lane.bytes <= LANE_BYTES
        held_back += a.exchanges[CHANNEL_SCOPE].resolve("a.b").crowded
    assert held_back * 0.005 <= STALL_S, "publishers waited for a peer that does not read"
    assert to_b.lane.dropped == 0
    assert to_c.lane.dropped > 900

    world.settle()
    given, gaps = frozen.ledger.offered["a.b", a.me], frozen.ledger.missed["a.b", a.me]
    assert len(given) + sum(gap.count for gap in gaps) == 1000
    assert gaps


@pytest.mark.parametrize(
    ("mine", "theirs", "agree"), [((1, 1), (1, 3), True), ((2, 4), (1, 2), True), ((1, 1), (2, 3), False)]
)
def test_l4_versions_whose_ranges_meet_are_linked_and_others_are_told_why_not(
    mine: tuple[int, int], theirs: tuple[int, int], agree: bool
) -> None:
    """L4: either side may be the later one."""
    for dialler, listener in ((mine, theirs), (theirs, mine)):
        one = Handshake(_hello("a", dialler), [KEY], "dialler", lambda _: NO_FACTS)
        other = Handshake(_hello("b", listener), [KEY], "listener", lambda _: NO_FACTS)
        frames: list[LinkFrame] = one.open()
        while frames:
            frames = [answer for frame in frames for answer in other.received(frame)]
            one, other = other, one

        assert {one.state, other.state} == ({"done"} if agree else {"refused"})
        refusals = {side.refusal for side in (one, other)}
        assert agree is (refusals == {None})
        if not agree:
            (refusal,) = refusals
            assert isinstance(refusal, Refusal)
            assert refusal.code == "protocol"


def _hello(name: str, proto: tuple[int, int]) -> Hello:
    return Hello(*proto, "test", name, 1, name.encode() * 8, name.encode() * 32, f"{name}:7601")


def test_l4_fields_that_a_later_version_adds_are_skipped() -> None:
    """L4: a known frame with more fields than we know is the frame that we know."""
    whole = bytearray(LINK_CODEC.encode(Ack(0, 1, 2)))
    assert whole[5] & 0xF0 == 0x90, "a short array"
    whole[5] += 2
    whole += b"\xa3new\x2a"
    whole[:4] = (len(whole) - 4).to_bytes(4, "big")

    frames = [LINK_CODEC.decode(kind, body) for kind, body in FrameBuffer(1000).feed(bytes(whole) * 2)]

    assert frames == [Ack(0, 1, 2)] * 2


async def test_l4_frames_of_unknown_types_are_skipped_by_their_length_once_the_peer_is_proven() -> None:
    """L4: in both states in which it is allowed, whatever is in them; before that they end the connection."""
    kind = max(LINK_FRAMES) + 1
    async with mesh(1) as (a,):
        assert a.running.hub.mesh is not None
        for unknown in (header(1, kind), header(5, 0xFF) + b"\xc1\xc1\xc1\xc1"):
            before = a.running.hub.mesh.unknown_frames
            async with RawPeer.to(a.addresses["mesh"]) as peer:
                await peer.shake_hands(hello("z", epoch=7))
                peer.send_bytes(unknown * 2)
                peer.send(AdoptAck((await peer.expect(Adopt)).g))
                peer.send_bytes(unknown * 3)
                peer.send(Ping(42))
                while (await peer.expect(Pong)).id != 42:
                    pass
                assert a.running.hub.mesh.unknown_frames == before + 5
        async with RawPeer.to(a.addresses["mesh"]) as stranger:
            stranger.send_bytes(unknown)
            assert await stranger.reader.read() == b""
