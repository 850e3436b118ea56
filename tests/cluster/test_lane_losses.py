"""What a lane carries and what it loses: order, bounds and ages, and each loss told in its place."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC, encode_envelope
from liminal_mesh.cluster.envelope import BATCH_MAX, Envelope
from liminal_mesh.cluster.frames import LinkFrame
from liminal_mesh.cluster.lanes import SEGMENT_BYTES, STALL_S, PeerLane
from liminal_mesh.cluster.publish_frames import Heads, Lost, Publish

EPOCH = 7
ROOMY = 1 << 30


def encoded(first: int, count: int, size: int = 0) -> tuple[list[Envelope], bytes]:
    """Return envelopes with sequences from ``first`` on, and their bytes."""
    items = [Envelope(number, number, 0, 1, 0, b"." * size) for number in range(first, first + count)]
    return items, b"".join(map(encode_envelope, items))


def decoded(frames: list[bytes]) -> list[LinkFrame]:
    """Return what a peer would read."""
    read = []
    for kind, body in FrameBuffer(ROOMY).feed(b"".join(frames)):
        frame = LINK_CODEC.decode(kind, body)
        assert isinstance(frame, LinkFrame)
        read.append(frame)
    return read


PUBLISH = st.tuples(
    st.just("publish"), st.sampled_from(["x", "y"]), st.integers(1, 6), st.sampled_from([0, 50, 400]), st.booleans()
)
TAKE = st.tuples(st.just("take"), st.integers(1, 1500))
AGE = st.tuples(st.just("age"), st.floats(0.1, 3.0))


@given(st.lists(st.one_of(PUBLISH, PUBLISH, TAKE, AGE), max_size=40), st.integers(100, 2000))
@settings(max_examples=200, deadline=None)
def test_everything_is_carried_once_in_order_or_told_as_lost_in_its_place(
    steps: list[tuple[object, ...]], bytes_max: int
) -> None:
    """Whatever is queued, taken, refused for want of room or for its age."""
    lane = PeerLane(EPOCH, bytes_max, age_max_s=4.0)
    published: defaultdict[str, int] = defaultdict(int)
    frames: list[bytes] = []
    now, asked = 0.0, 0
    for step in steps:
        match step:
            case ("publish", str(channel), int(count), int(size), bool(receipts)):
                taken = lane.publish(channel, *encoded(published[channel] + 1, count, size), receipts)
                published[channel] += count
                asked += taken if receipts else 0
                assert 0 <= taken <= count
            case ("take", int(most)):
                frames += lane.take(most)
            case ("age", float(seconds)):
                now += seconds
                lane.age(now)
        assert lane.bytes == sum(segment.size for segment in lane.segments)
        carried = sum(segment.size for segment in lane.segments if segment.frame is None)
        assert carried <= bytes_max
        assert lane.crowded == (lane.bytes * 2 > bytes_max and not lane.stalled)
    frames += lane.take(ROOMY)
    assert not lane
    assert lane.bytes == 0

    heads: defaultdict[str, int] = defaultdict(int)
    receipt = 1
    dropped = 0
    for frame in decoded(frames):
        if isinstance(frame, Lost):
            assert frame.first == heads[frame.channel] + 1
            heads[frame.channel] = frame.last
            dropped += frame.last - frame.first + 1
            continue
        assert isinstance(frame, Publish)
        assert frame.receipt in (0, receipt)
        receipt += len(frame.items) if frame.receipt else 0
        assert [item.sequence for item in frame.items] == list(
            range(heads[frame.channel] + 1, heads[frame.channel] + 1 + len(frame.items))
        )
        heads[frame.channel] += len(frame.items)
    assert heads == published
    assert dropped == lane.dropped
    assert receipt == asked + 1


def test_publishes_of_one_channel_become_one_frame() -> None:
    """As long as nothing else comes between."""
    lane = PeerLane(EPOCH, ROOMY, 5.0)
    for number in range(1, 11):
        lane.publish("x", *encoded(number, 1), False)
    lane.publish("y", *encoded(1, 1), False)
    lane.publish("x", *encoded(11, 1), False)

    frames = decoded(lane.take(ROOMY))
    assert [(frame.channel, len(frame.items)) for frame in frames if isinstance(frame, Publish)] == [
        ("x", 10), ("y", 1), ("x", 1)
    ]  # fmt: skip


def test_a_frame_holds_no_more_items_than_a_frame_may() -> None:
    """Nor more bytes than are worth one write."""
    lane = PeerLane(EPOCH, ROOMY, 5.0)
    for first in range(1, 2501, 100):
        lane.publish("x", *encoded(first, 100), True)
    lane.publish("y", *encoded(1, 3, SEGMENT_BYTES // 2 + 1), False)

    frames = [frame for frame in decoded(lane.take(ROOMY)) if isinstance(frame, Publish)]
    assert [(frame.receipt, len(frame.items)) for frame in frames if frame.channel == "x"] == [
        (1, 1000), (1001, 1000), (2001, 500)
    ]  # fmt: skip
    assert [len(frame.items) for frame in frames if frame.channel == "y"] == [1, 1, 1]


def test_one_take_is_about_one_write() -> None:
    """It stops at the first frame that reaches the bound."""
    lane = PeerLane(EPOCH, ROOMY, 5.0)
    for channel in "abcd":
        lane.publish(channel, *encoded(1, 1, 1000), False)

    assert [len(lane.take(1500)) for _ in range(3)] == [2, 2, 0]


def test_a_loss_at_the_end_is_told_without_another_publish() -> None:
    """As soon as nothing waits before it."""
    lane = PeerLane(EPOCH, 100, 5.0)
    lane.publish("x", *encoded(1, 20), False)
    lost = [frame for frame in decoded(lane.take(ROOMY)) if isinstance(frame, Lost)]

    assert [(frame.epoch, frame.channel, frame.last) for frame in lost] == [(EPOCH, "x", 20)]
    assert lane.dropped == 20 - lost[0].first + 1


def test_a_loss_on_one_channel_is_none_on_another() -> None:
    """Small publishes still fit where a large one did not."""
    lane = PeerLane(EPOCH, 500, 5.0)
    assert lane.publish("large", *encoded(1, 1, 1000), False) == 0
    assert lane.publish("small", *encoded(1, 1, 10), False) == 1
    assert lane.publish("large", *encoded(2, 1, 10), False) == 1

    assert [type(frame) for frame in decoded(lane.take(ROOMY))] == [Publish, Lost, Publish]


def test_heads_keep_their_place_and_end_with_what_was_applied() -> None:
    """A peer must not count as told before the last of them."""
    lane = PeerLane(EPOCH, ROOMY, 5.0)
    lane.publish("x", *encoded(1, 1), False)
    lane.heads(42, [(f"c{number}", number) for number in range(BATCH_MAX + 1)])
    lane.publish("x", *encoded(2, 1), False)

    before, first, second, after = decoded(lane.take(ROOMY))
    assert isinstance(before, Publish)
    assert isinstance(after, Publish)
    assert isinstance(first, Heads)
    assert isinstance(second, Heads)
    assert (first.applied, len(first.heads)) == (0, BATCH_MAX)
    assert (second.applied, second.heads) == (42, [(f"c{BATCH_MAX}", BATCH_MAX)])


def test_heads_of_no_channel_still_say_what_was_applied() -> None:
    """That there is nothing to know is worth knowing."""
    lane = PeerLane(EPOCH, ROOMY, 5.0)
    lane.heads(3, [])

    assert decoded(lane.take(ROOMY)) == [Heads(EPOCH, 3, [])]


def test_a_peer_that_stalls_is_not_waited_for() -> None:
    """A half-full lane holds publishers back only as long as it moves."""
    lane = PeerLane(EPOCH, 1000, 5.0)
    lane.publish("x", *encoded(1, 1, 600), False)
    assert lane.crowded
    lane.age(10.0)
    lane.age(10.0 + STALL_S)
    assert lane.crowded
    lane.age(10.0 + STALL_S + 0.1)
    assert (lane.stalled, lane.crowded) == (True, False)
    lane.publish("x", *encoded(2, 1, 100), False)
    assert not lane.crowded

    lane.take(ROOMY)
    lane.age(11.0)
    assert (lane.stalled, lane.expired, lane.crowded) == (False, False, False)


def test_what_is_too_old_keeps_more_from_being_taken() -> None:
    """The newest is dropped, and told, until the lane moves again."""
    lane = PeerLane(EPOCH, ROOMY, 5.0)
    lane.publish("x", *encoded(1, 1), False)
    lane.age(0.0)
    lane.age(5.1)
    assert lane.publish("x", *encoded(2, 2), False) == 0
    frames = lane.take(ROOMY)
    lane.age(5.2)
    assert lane.publish("x", *encoded(4, 1), False) == 1

    told = decoded(frames + lane.take(ROOMY))
    assert [type(frame) for frame in told] == [Publish, Lost, Publish]
    assert told[1] == Lost(EPOCH, "x", 2, 3)


def test_the_age_is_that_of_the_oldest() -> None:
    """Younger entries behind it do not make it younger."""
    lane = PeerLane(EPOCH, ROOMY, 5.0)
    lane.publish("x", *encoded(1, 1), False)
    lane.age(0.0)
    lane.publish("y", *encoded(1, 1), False)
    lane.age(STALL_S + 0.1)
    assert lane.stalled
    lane.take(1)
    lane.age(STALL_S + 0.2)

    assert not lane.stalled
