"""Records of members: their order, how views merge, and what mutated frames of them do to a machine."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import reduce
from operator import xor
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.codec import HEADER_BYTES
from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.swim import LAN, Swim
from liminal_mesh.cluster.swim.record import LIVE, fingerprint, weight
from liminal_mesh.cluster.swim_frames import (
    SWIM_FRAMES,
    MemberRecord,
    RecordState,
    Rumour,
    SwimFrame,
    SwimGossip,
)

from ..golden.make import CONTROL

RECORDS = st.builds(
    MemberRecord,
    st.just("b"),
    st.integers(1, 3),
    st.integers(0, 3),
    st.sampled_from(RecordState),
    st.just("b:1"),
)


def _swim(*peers: str) -> Swim:
    """A machine named ``a`` with links to peers."""
    swim = Swim(NodeId("a", 5), "a:1", LAN, Random(1), 0.0)
    for peer in peers:
        swim.linked(MemberRecord(peer, 1, 0, RecordState.ALIVE, f"{peer}:1"), swim.digest, 0.0)
    return swim


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_records_merge_to_the_same_in_any_order_and_however_often(records: list[MemberRecord]) -> None:
    """The order of records is total, so what counts in the end does not depend on the way."""
    ends = {max((*some, *some), key=weight) for some in itertools.permutations(records)}

    assert len({weight(end) for end in ends}) == 1


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_two_machines_that_hear_the_same_in_another_order_agree(records: list[MemberRecord]) -> None:
    """The machine merges as the order says, without links by which it could know better."""
    views = []
    for order in (records, records[::-1]):
        swim = _swim("c")
        swim.received(NodeId("c", 1), SwimGossip([Rumour(record, "c") for record in order]), 0.1)
        views.append([member for member in swim.members() if member.name == "b"])

    assert views[0] == views[1]


def _merged(*batches: Iterable[MemberRecord]) -> list[MemberRecord]:
    """What a machine holds of others after it has heard some batches of records."""
    swim = _swim("z")
    for batch in batches:
        swim.received(NodeId("z", 1), SwimGossip([Rumour(record) for record in batch]), 0.1)
    return [record for record in swim._board.roster.records() if record.name not in {"a", "z"}]


VIEWS = st.lists(
    st.builds(
        MemberRecord,
        st.sampled_from("bcd"),
        st.integers(1, 2),
        st.integers(0, 2),
        st.sampled_from(RecordState),
        st.just("host:1"),
    ),
    max_size=6,
)


@given(VIEWS, VIEWS, VIEWS)
def test_views_merge_commutatively_associatively_and_idempotently(
    one: list[MemberRecord], two: list[MemberRecord], three: list[MemberRecord]
) -> None:
    """So whatever way the words about several members take, and however often, all come to hold the same."""
    assert _merged(one, two) == _merged(two, one)
    assert _merged(_merged(one, two), three) == _merged(one, _merged(two, three))
    assert _merged(one, one) == _merged(one)


@given(st.sampled_from([frame for frame in CONTROL if isinstance(frame, SwimFrame)]), st.data())
def test_a_mutated_frame_is_refused_or_leaves_the_machine_whole(frame: SwimFrame, data: st.DataObject) -> None:
    """Whatever a peer sends, the machine raises its one error or goes on, and its digest is that of its table."""
    body = bytearray(CONTROL_CODEC.encode(frame)[HEADER_BYTES:])
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=3)):
        body[place] = data.draw(st.integers(0, 255))
    swim = _swim("b", "c")
    try:
        mutated = CONTROL_CODEC.decode(CONTROL_CODEC.encode(frame)[4], bytes(body))
        assert isinstance(mutated, SwimFrame)
        swim.received(NodeId("b", 1), mutated, 1.0)
    except ProtocolError:
        return
    while swim.next_tick() <= 5.0:
        swim.tick(swim.next_tick())
    live = [record for record in swim._board.roster.records() if record.state in LIVE]

    assert swim.digest == reduce(xor, map(fingerprint, live), 0)


@given(st.sampled_from(sorted(SWIM_FRAMES)), st.binary(max_size=64))
def test_random_bytes_are_no_frame_or_a_whole_one(kind: int, body: bytes) -> None:
    """The decoder raises its one error, and nothing else."""
    try:
        frame = CONTROL_CODEC.decode(kind, body)
    except ProtocolError:
        return
    assert isinstance(frame, SWIM_FRAMES[kind].kind)
