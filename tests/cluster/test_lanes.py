"""What waits for one connection: frames are bounded, numbers are in a row, losses are told in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
    GROUP_SCOPE,
    Encoding,
    Envelope,
    Heads,
    Lane,
    Lost,
    Offer,
    PeerLane,
    Publish,
    encode_envelope,
    encode_envelopes,
)
from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC

FRAME_BYTES = 64 * 1024
LANE_BYTES = 1 << 30
Frame = tuple[str, int, int, bytes]


def made(key: str, number: int, envelopes: Sequence[bytes], count: int) -> bytes:
    """Return a frame that tells what it was made of."""
    return msgspec.msgpack.encode((key, number, count, b"".join(envelopes)))


def read(frames: list[bytes]) -> list[Frame]:
    """Read such frames."""
    return [msgspec.msgpack.decode(frame, type=Frame) for frame in frames]


def envelopes(first: int, count: int, size: int) -> list[Envelope]:
    """Return envelopes of consecutive publishes."""
    return [Envelope(number, number, 1, 1, Encoding.RAW, b"x" * size) for number in range(first, first + count)]


def publish(lane: PeerLane, channel: str, first: int, count: int, size: int, *, receipts: bool = False) -> int:
    """Publish on a lane; return how many it took."""
    items = envelopes(first, count, size)
    return lane.publish(channel, items, encode_envelopes(items), receipts)


def arrived(frames: list[bytes]) -> list[object]:
    """Read frames of a link, none above the limit."""
    return [LINK_CODEC.decode(kind, body) for kind, body in FrameBuffer(FRAME_BYTES).feed(b"".join(frames))]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 20), st.integers(0, 4)), max_size=20))
def test_the_numbers_of_a_frame_are_in_a_row(puts: list[tuple[str, int, int]]) -> None:
    """Numbers between two puts may have been given to something else: then a new frame begins."""
    lane = Lane(made, LANE_BYTES, 5.0)
    number, expected = 1000, []  # so many that each takes the same room
    for key, count, skipped in puts:
        batch = envelopes(number, count, 10)
        lane.put(key, number, batch, encode_envelopes(batch))
        expected += [(key, one.sequence, encode_envelope(one)) for one in batch]
        number += count + skipped

    sent = []
    for key, first, count, joined in read(lane.take(LANE_BYTES)):
        size = len(joined) // count
        sent += [(key, first + index, joined[index * size :][:size]) for index in range(count)]

    assert sent == expected


@given(st.lists(st.integers(0, FRAME_BYTES - 2048), min_size=1, max_size=30))
def test_no_frame_is_larger_than_the_peer_takes(sizes: list[int]) -> None:
    """However small that is."""
    lane = PeerLane(1, LANE_BYTES, 5.0)
    lane.limit_frames(FRAME_BYTES)
    for number, size in enumerate(sizes, 1):
        assert publish(lane, "a" * 255, number, 1, size, receipts=True) == 1

    items = [item for frame in arrived(lane.take(LANE_BYTES)) for item in cast("Publish", frame).items]

    assert [len(item.body) for item in items] == sizes


@given(st.lists(st.one_of(st.integers(1, 3000), st.integers(-3000, -1), st.none()), max_size=40))
def test_a_mark_is_passed_when_all_that_waited_was_taken(steps: list[int | None]) -> None:
    """Whatever came after it; None makes a mark, a number above 0 is published, and one below is taken."""
    lane = PeerLane(1, LANE_BYTES, 5.0)
    sequence, taken = 0, 0
    marks = []
    for step in steps:
        if step is None:
            marks.append((sequence, lane.mark()))
        elif step > 0:
            sequence += 1
            publish(lane, "ab"[step % 2], sequence, 1, step)
        else:
            taken += sum(len(cast("Publish", frame).items) for frame in arrived(lane.take(-step)))
        assert [passed() for _, passed in marks] == [taken >= upto for upto, _ in marks]


def test_a_loss_is_told_before_what_follows_it() -> None:
    """A full lane refuses the newest, and says so as soon as there is room."""
    lane = PeerLane(1, 2500, 5.0)
    publish(lane, "b", 1, 1, 1000)
    assert publish(lane, "a", 1, 4, 1000) == 1
    lane.take(1)
    assert publish(lane, "a", 5, 1, 1000) == 1

    before, lost, after = arrived(lane.take(LANE_BYTES))

    assert [item.sequence for item in cast("Publish", before).items] == [1]
    assert lost == Lost(1, "a", 2, 4)
    assert [item.sequence for item in cast("Publish", after).items] == [5]


def test_one_name_in_two_scopes_shares_neither_frames_nor_losses() -> None:
    """They are two streams with numbers of their own."""
    lane = PeerLane(1, 2500, 5.0)
    for scope in (CHANNEL_SCOPE, GROUP_SCOPE):
        items = envelopes(1, 2, 900)
        lane.publish("a", items, encode_envelopes(items), False, scope)
    lane.heads(7, [("a", 2)], GROUP_SCOPE)

    frames = arrived(lane.take(LANE_BYTES))

    published = [(frame.scope, len(frame.items)) for frame in frames if isinstance(frame, Publish)]
    assert published == [(CHANNEL_SCOPE, 2)]
    assert frames[1:] == [Heads(1, 7, [("a", 2)], GROUP_SCOPE), Lost(1, "a", 1, 2, GROUP_SCOPE)]


def test_a_loss_is_told_although_nothing_follows() -> None:
    """The lane is not empty before it was."""
    lane = PeerLane(1, 3000, 5.0)
    publish(lane, "a", 1, 4, 1000)

    frames = arrived(lane.take(LANE_BYTES))

    assert frames[-1] == Lost(1, "a", 3, 4)
    assert not lane


def test_a_peer_that_takes_nothing_is_not_waited_for() -> None:
    """Half full it is crowded, after half a second stalled, and after its age it takes no more."""
    lane = PeerLane(1, 4000, 5.0)
    publish(lane, "a", 1, 3, 1000)
    lane.age(10.0)
    assert lane.crowded

    lane.age(10.6)
    assert not lane.crowded
    assert publish(lane, "a", 4, 1, 10) == 1
    lane.age(15.1)
    assert publish(lane, "a", 5, 1, 10) == 0

    assert [type(frame) for frame in arrived(lane.take(LANE_BYTES))] == [Publish, Lost]
    lane.age(15.2)
    assert publish(lane, "a", 6, 1, 10) == 1


# --- offers -----------------------------------------------------------------------------------------

CLAIMS = (("g", 0),)


def offer(
    lane: PeerLane, first: int, count: int, *, size: int = 10, claims: tuple[tuple[str, int], ...] = CLAIMS,
    plain: bool = False, receipts: bool = False,
) -> tuple[int, int]:  # fmt: skip
    """Offer publishes of channel ``a`` on a lane; return the first's number, and how many it took."""
    items = envelopes(first, count, size)
    return lane.offer("a", items, encode_envelopes(items), claims, plain, receipts)


def test_offers_are_numbered_in_a_row_and_share_frames_where_they_are_alike() -> None:
    """Whatever stands between them: other groups, another channel's publishes."""
    lane = PeerLane(7, LANE_BYTES, 5.0)
    assert [offer(lane, 1, 2), offer(lane, 3, 3), offer(lane, 6, 1, claims=(("h", 2), ("g", 1)))] == [
        (1, 2), (3, 3), (6, 1),
    ]  # fmt: skip
    publish(lane, "b", 1, 1, 10)
    assert offer(lane, 7, 1) == (7, 1)

    frames = [frame for frame in arrived(lane.take(LANE_BYTES)) if isinstance(frame, Offer)]

    assert [(one.number, [item.sequence for item in one.items], one.claims) for one in frames] == [
        (1, [1, 2, 3, 4, 5], [("g", 0)]),
        (6, [6], [("h", 2), ("g", 1)]),
        (7, [7], [("g", 0)]),
    ]
    assert {(one.epoch, one.channel, one.plain, one.receipt) for one in frames} == {(7, "a", False, 0)}


def test_offers_that_are_publishes_too_take_part_in_the_count_of_receipts() -> None:
    """Both numbers are in a row in every frame."""
    lane = PeerLane(1, LANE_BYTES, 5.0)
    offer(lane, 1, 2, plain=True, receipts=True)
    offer(lane, 3, 1, plain=True, receipts=True)
    publish(lane, "a", 4, 3, 10, receipts=True)
    offer(lane, 7, 1, plain=True, receipts=True)
    offer(lane, 8, 1, plain=True)
    offer(lane, 9, 1, receipts=True)  # for the group alone: only its answers are awaited

    told = [
        (frame.number, frame.receipt, frame.plain) if isinstance(frame, Offer) else cast("Publish", frame).receipt
        for frame in arrived(lane.take(LANE_BYTES))
    ]

    assert told == [(1, 1, True), 4, (4, 7, True), (5, 0, True), (6, 0, False)]


def test_what_is_not_taken_is_a_loss_only_of_those_in_no_group() -> None:
    """Another node can be offered the rest."""
    lane = PeerLane(1, 3000, 5.0)
    assert offer(lane, 1, 4, size=1000) == (1, 2)
    assert lane.dropped == 0
    assert offer(lane, 5, 4, size=1000, plain=True) == (3, 0)
    assert lane.dropped == 4

    frames = arrived(lane.take(LANE_BYTES))

    assert [type(frame) for frame in frames] == [Offer, Lost]
    assert frames[-1] == Lost(1, "a", 5, 8)


def test_a_loss_is_told_before_the_offer_that_follows_it() -> None:
    """As before a publish."""
    lane = PeerLane(1, 2500, 5.0)
    publish(lane, "b", 1, 1, 1000)
    assert offer(lane, 1, 4, size=1000, plain=True) == (1, 1)
    lane.take(1)
    assert offer(lane, 5, 1, size=1000, plain=True) == (2, 1)

    assert [type(frame) for frame in arrived(lane.take(LANE_BYTES))] == [Offer, Lost, Offer]


@given(st.lists(st.tuples(st.sampled_from(["g", "h", "p"]), st.integers(1, 3)), max_size=20), st.integers(0, 2000))
def test_which_offers_were_never_written_is_known(steps: list[tuple[str, int]], taken: int) -> None:
    """All that are in no frame that was taken out."""
    lane, sequence = PeerLane(1, LANE_BYTES, 5.0), 1
    for kind, count in steps:
        if kind == "p":
            publish(lane, "a", sequence, count, 50)
        else:
            offer(lane, sequence, count, size=50, claims=((kind, 0),))
        sequence += count
    frames = arrived(lane.take(taken)) if taken else []
    written = [len(frame.items) for frame in frames if isinstance(frame, Offer)]

    assert lane.unwritten == sum(written) + 1
