"""Routes: receipts find the publishes that asked for them, by their order alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster import Envelope, NodeId, PeerLane, ProtocolError, Receipt, ReceiptRun
from liminal_mesh.node.channel import Channel, ChannelSettings
from liminal_mesh.node.inbox import Run
from liminal_mesh.node.orders import Order, Piece
from liminal_mesh.node.queues import Queue
from liminal_mesh.node.route import RECEIPT_BYTES, UNANSWERED_LANES, Pending, Route, missing_receipts


class Awaited(Pending):
    """A pending batch that counts its end."""

    __slots__ = ("ends",)

    def __init__(self, count: int, interested: tuple[str, ...] = ("b",)) -> None:
        super().__init__(count)
        self.ends = 0
        self.nodes = dict.fromkeys(interested, "sent")

    def finished(self) -> None:
        """Count it."""
        self.ends += 1


@dataclass
class Way:
    """A route, and how often its link was woken."""

    lane_bytes: int = 1 << 30
    name: str = "b"
    wakes: int = 0
    sequence: int = 0
    route: Route = field(init=False)

    def __post_init__(self) -> None:
        """Make the route."""
        self.route = Route(NodeId(self.name, 1), PeerLane(1, self.lane_bytes, 5.0), self.wake)

    def wake(self) -> None:
        """Count it."""
        self.wakes += 1

    def publish(self, count: int, awaited: Pending | None, size: int = 0) -> int:
        """Publish so many."""
        first, self.sequence = self.sequence + 1, self.sequence + count
        items = [Envelope(number, number, 0, 1, 0, b"x" * size) for number in range(first, first + count)]
        return self.route.publish(Run("ticks", NodeId("a", 1), items), awaited)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=40),
)
@settings(deadline=None)
def test_each_publish_gets_the_receipt_at_its_place(
    batches: list[tuple[int, bool]], fates: list[tuple[int, bool]]
) -> None:
    """However the answers are cut into runs; publishes without receipts between change nothing."""
    way = Way()
    awaited: list[tuple[Awaited, int]] = []
    for count, asks in batches:
        pending = Awaited(count)
        assert way.publish(count, pending if asks else None) == count
        if asks:
            awaited.append((pending, count))
    total = sum(count for _, count in awaited)
    outcome = [delivered for count, delivered in fates for _ in range(count)][:total]
    given_out = 0
    for count, delivered in fates:
        run = min(count, total - given_out)
        if run:
            way.route.receipts(Receipt([ReceiptRun(given_out + 1, run, delivered)]))
            given_out += run

    start = 0
    for pending, count in awaited:
        answers = outcome[start : start + count]
        start += count
        assert pending.left == count - len(answers)
        assert pending.ends == (len(answers) == count)
        if len(answers) == count:
            assert pending.undelivered == answers.count(False)
            assert pending.nodes == {"b": "delivered" if all(answers) else "dropped"}
            assert pending.delivered == answers[0]


def test_the_link_is_woken_when_nothing_waited() -> None:
    """Not for each publish."""
    way = Way()
    for _ in range(3):
        way.publish(1, None)
    assert way.wakes == 1
    way.route.lane.take(1 << 20)
    way.publish(1, None)

    assert way.wakes == 2


@pytest.mark.parametrize("runs", [[ReceiptRun(1, 4, True)], [ReceiptRun(1, 3, True), ReceiptRun(4, 1, False)]])
def test_answers_that_were_not_asked_for_break_the_protocol(runs: list[ReceiptRun]) -> None:
    """One more than was asked is one too many."""
    way, pending = Way(), Awaited(3)
    way.publish(3, pending)
    way.publish(9, None)

    with pytest.raises(ProtocolError, match="asked"):
        way.route.receipts(Receipt(runs))


def test_a_receipt_for_nothing_breaks_the_protocol() -> None:
    """A peer that was never asked has nothing to say."""
    with pytest.raises(ProtocolError):
        Way().route.receipts(Receipt([ReceiptRun(1, 1, True)]))


def test_what_the_lane_does_not_take_is_not_awaited() -> None:
    """Only the rest is."""
    way, pending = Way(lane_bytes=1000), Awaited(5)
    taken = way.publish(5, pending, 300)
    assert 0 < taken < 5
    assert pending.left == taken
    way.route.receipts(Receipt([ReceiptRun(1, taken, True)]))

    assert pending.ends == 1
    full = Awaited(1)
    assert way.publish(1, full, 300) == 0
    assert (full.left, full.ends) == (0, 0)


def test_the_end_of_a_link_leaves_its_receipts_unknown() -> None:
    """Those that came before it stay; who waits for another node too goes on waiting."""
    one, other = Way(name="b"), Way(name="c")
    settled, open_, both = Awaited(1), Awaited(2), Awaited(1, ("b", "c"))
    one.publish(1, settled)
    one.publish(2, open_)
    one.publish(1, both)
    other.publish(1, both)
    one.route.receipts(Receipt([ReceiptRun(1, 2, True)]))
    one.route.close()

    assert (settled.nodes, settled.ends) == ({"b": "delivered"}, 1)
    assert (open_.nodes, open_.ends, open_.delivered) == ({"b": "unknown"}, 1, True)
    assert (both.nodes, both.ends) == ({"b": "unknown", "c": "sent"}, 0)
    other.route.receipts(Receipt([ReceiptRun(1, 1, False)]))
    assert (both.nodes, both.ends, both.delivered) == ({"b": "unknown", "c": "dropped"}, 1, None)
    with pytest.raises(ProtocolError):
        one.route.receipts(Receipt([ReceiptRun(3, 1, True)]))


def test_what_expires_is_finished_once() -> None:
    """Receipts that come later change nothing for it, and still count for the order."""
    way, late, next_ = Way(), Awaited(2), Awaited(1)
    way.publish(2, late)
    way.publish(1, next_)
    late.expire()
    late.expire()
    assert (late.ends, late.nodes, late.delivered) == (1, {"b": "unknown"}, None)
    way.route.receipts(Receipt([ReceiptRun(1, 2, True), ReceiptRun(3, 1, False)]))

    assert late.ends == 1
    assert (next_.ends, next_.nodes, next_.delivered) == (1, {"b": "dropped"}, False)


def test_a_peer_that_only_got_it_because_it_was_not_synced_is_not_counted() -> None:
    """Its answer is awaited all the same: it may turn out to be interested."""
    way, pending = Way(), Awaited(1, ())
    way.publish(1, pending)
    way.route.receipts(Receipt([ReceiptRun(1, 1, False)]))
    assert (pending.nodes, pending.delivered, pending.ends) == ({}, False, 1)

    surprise = Awaited(1, ())
    way.publish(1, surprise)
    way.route.receipts(Receipt([ReceiptRun(2, 1, True)]))
    assert (surprise.nodes, surprise.delivered) == ({"b": "delivered"}, True)


def test_who_is_missing_is_named() -> None:
    """In a fixed order."""
    assert missing_receipts({"c": "unknown", "a": "delivered", "b": "unknown"}) == "no receipt from b, c"


# --- offers -----------------------------------------------------------------------------------------


def run_of(first: int, count: int, size: int = 10) -> Run:
    """Return publishes."""
    items = [Envelope(number, number, 0, 1, 0, b"x" * size) for number in range(first, first + count)]
    return Run("ticks", NodeId("a", 1), items)


def piece_of(run: Run, group: str = "g") -> Piece:
    """Return publishes that are for a group."""
    me = NodeId("a", 1)
    channel = Channel("ticks", ChannelSettings("ticks"))
    return Piece(Order(channel, None, False), Queue(me, group, {}), run)


def owe(way: Way, first: int, count: int, group: str = "g") -> Piece:
    """Offer publishes."""
    piece = piece_of(run_of(first, count), group)
    number, taken = way.route.offer(piece.run, ((group, 0),), False, None, 0)
    assert taken == count
    way.route.owe(number, piece)
    return piece


def sequences(piece: Piece) -> list[int]:
    """Return the numbers of publishes."""
    return [item.sequence for item in piece.run.items]


@given(
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from("gh")), min_size=1, max_size=12),
    st.lists(st.integers(1, 9), max_size=40),
    st.integers(0, 1500),
)
@settings(deadline=None)
def test_each_offer_gets_the_answer_at_its_place(offers: list[tuple[int, str]], cuts: list[int], written: int) -> None:
    """However answers are cut; what has none when the link ends is told apart by whether it was written."""
    way, owed = Way(), {"g": list[tuple[int, int]](), "h": list[tuple[int, int]]()}
    sequence = 1
    for count, group in offers:
        owe(way, sequence, count, group)
        owed[group] += [(sequence + index, sequence + index) for index in range(count)]  # offers count from 1, too
        sequence += count
    answered: dict[str, list[int]] = {"g": [], "h": []}
    for index, count in enumerate(cuts):
        group = "gh"[index % 2]
        left = owed[group][len(answered[group]) :]
        together = [one for one in left[:count] if one[0] - left[0][0] == left.index(one)]
        if together:
            for piece in way.route.settled(group, together[0][0], len(together)):
                answered[group] += sequences(piece)
    assert answered == {group: [one for _, one in entries[: len(answered[group])]] for group, entries in owed.items()}
    if written:
        way.route.lane.take(written)
    unwritten = way.route.lane.unwritten

    ended = way.route.unsettled()
    missing = sorted(one for group in "gh" for _, one in owed[group][len(answered[group]) :])
    assert [number for piece, _ in ended for number in sequences(piece)] == missing
    assert all((number < unwritten) == told for piece, told in ended for number in sequences(piece))
    assert way.route.unsettled() == []


def test_an_answer_to_what_was_not_offered_breaks_the_protocol() -> None:
    """Another number, another group, or too many."""
    for group, first, count in (("g", 2, 1), ("h", 1, 1), ("g", 1, 4), ("g", 4, 1)):
        way = Way()
        owe(way, 1, 3)
        with pytest.raises(ProtocolError, match="offer"):
            list(way.route.settled(group, first, count))


def test_nobody_is_offered_more_than_a_lane_holds_without_an_answer() -> None:
    """A peer that takes what it is sent, and never answers, would fill the memory; what it answers makes room."""
    way = Way(lane_bytes=2000)
    assert way.route.open
    owed = 0
    while not way.route.indebted:
        assert way.route.open == (way.route.offered_bytes <= UNANSWERED_LANES * 1000)
        assert way.route.crowded != way.route.open
        owe(way, 1, 1)
        way.route.lane.take(1 << 20)
        owed += 1
    assert way.route.offered_bytes > UNANSWERED_LANES * 2000
    assert len(list(way.route.settled("g", 1, owed))) == owed
    assert way.route.open
    assert not way.route.indebted


def test_who_leaves_offers_unanswered_from_one_look_to_the_next_is_not_waited_for() -> None:
    """Until it answers again; who owes nothing is never silent, however long nobody looked."""
    way, answered = Way(lane_bytes=2000), 0

    def crowd() -> int:
        owed = 0
        while not way.route.crowded:
            owe(way, 1, 1)
            way.route.lane.take(1 << 20)
            owed += 1
        return owed

    for _ in range(2):
        owed = crowd()
        way.route.look()
        assert (way.route.crowded, way.route.silent) == (True, False), "it was asked only just now"
        way.route.look()
        assert (way.route.crowded, way.route.open) == (False, False)
        assert len(list(way.route.settled("g", answered + 1, owed))) == owed
        answered += owed
        for _ in range(3):
            assert way.route.open
            way.route.look()

    for number in range(answered + 1, answered + 1 + crowd()):
        way.route.look()
        assert not way.route.silent, "it answers, if slowly"
        assert len(list(way.route.settled("g", number, 1))) == 1


def test_the_receipts_of_a_part_are_those_of_its_place() -> None:
    """A batch that is published in parts, some of them offered to a group as well."""
    way, pending = Way(), Awaited(6)
    assert way.route.publish(run_of(1, 2), pending, first=0) == 2
    assert way.route.offer(run_of(3, 2), (("g", 0),), True, pending, 2) == (1, 2)
    assert way.route.publish(run_of(5, 2), pending, first=4) == 2
    assert pending.left == 6
    way.route.receipts(Receipt([ReceiptRun(1, 2, True), ReceiptRun(3, 1, False), ReceiptRun(4, 3, True)]))

    assert (pending.ends, pending.undelivered, list(pending._taken)) == (1, 1, [1, 1, 0, 1, 1, 1])


def test_a_peer_that_sends_no_receipts_is_sent_no_more_that_ask_for_them_at_some_point() -> None:
    """What is kept of publishes that wait for its receipts is bounded, whoever waits, and for how long."""
    way = Way(lane_bytes=1 << 14)
    asked = []
    for _ in range(2000):
        pending = Awaited(1)
        way.publish(1, pending)
        way.route.lane.take(1 << 20)
        asked.append(pending)
    assert sum(pending.left for pending in asked) == (1 << 14) // RECEIPT_BYTES
    assert way.route.lane.dropped == 2000 - (1 << 14) // RECEIPT_BYTES
    assert way.publish(1, None) == 1, "what asks for none is no matter of that"

    way.route.receipts(Receipt([ReceiptRun(1, 100, True)]))
    assert way.publish(1, Awaited(1)) == 1
