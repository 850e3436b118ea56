"""Publishes with keys at one exchange: what becomes of a claim, whatever others answer, and what peers may send."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster import (
    Envelope,
    Heads,
    NodeId,
    OptionKey,
    PeerLane,
    Pid,
    ProtocolError,
    Publish,
    Receipt,
    ReceiptRun,
    Registry,
    Suppressed,
)
from liminal_mesh.node.channel import Channel, ChannelSettings
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.errors import InFlight, KeyReused, OutcomeUnknown, Rejected
from liminal_mesh.node.exchange import Exchange
from liminal_mesh.node.inbox import Budget, Inbox, Run
from liminal_mesh.node.message import give_key
from liminal_mesh.node.route import Pending, Route
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.values import Gap

from ..nodes import logged
from ..supervising import shared_alone

ME, PEER, OTHER = NodeId("me", 1), NodeId("b", 1), NodeId("c", 1)


class Ended(Pending):
    """A publish that notes its end."""

    __slots__ = ("ends",)

    def __init__(self) -> None:
        super().__init__(1)
        self.ends = 0

    def finished(self) -> None:
        """Count it."""
        self.ends += 1


@dataclass
class Ears:
    """Notes what a subscriber is told beside messages."""

    anchors: list[tuple[NodeId, dict[str, int]]] = field(default_factory=list)

    def ready(self) -> None:
        """Something waits."""

    def anchored(self, origin: NodeId, heads: dict[str, int]) -> None:
        """Note an anchor."""
        self.anchors.append((origin, dict(heads)))


class Bench:
    """An exchange with a clock of the test's, and peers that want everything of channel ``c``."""

    def __init__(self, peers: Iterable[NodeId] = (), keys_max: int = 1000) -> None:
        self.now = 0.0
        self.shared = shared_alone(ME, Registry(ME), Budget(1 << 30), lambda: self.now, keys_max)
        self.exchange = Exchange(self.shared, ChannelTable([ChannelSettings("c")], 10))
        self.routes = {peer.name: Route(peer, PeerLane(1, 1 << 20, 5.0), lambda: None) for peer in peers}
        for route in self.routes.values():
            self.exchange.link_up(route)
        self.dedup = self.shared.keys.dedup
        self._numbers = 1

    def subscribe(self, inbox: Inbox | None = None) -> Subscriber:
        """Subscribe to ``c``."""
        self._numbers += 1
        inbox = Inbox(100, 100, 1 << 20, "drop-newest") if inbox is None else inbox
        subscriber = Subscriber(Pid(*ME, self._numbers), "c", inbox, Ears())  # type: ignore[arg-type]
        self.exchange.subscribe(subscriber)
        return subscriber

    def channel(self) -> Channel:
        """Return channel ``c``, as if all peers were interested."""
        channel = self.exchange.resolve("c")
        channel.interested, channel.routes = frozenset(self.routes), tuple(self.routes.values())
        return channel

    def publish(self, key: str = "k", body: bytes = b"x") -> Ended:
        """Publish with a key."""
        pending = Ended()
        self.exchange.accept_once(self.channel(), keyed(key, body), 1, pending)
        return pending

    def answer(self, peer: str, receipt: Receipt) -> None:
        """Let a peer answer."""
        self.routes[peer].receipts(receipt)


def keyed(key: str | None, body: bytes = b"x", number: int = 0) -> Envelope:
    """Return an envelope with a key, or without one; with a number it comes from a peer."""
    envelope = Envelope(1000 + number, number, 0, 1, 0, body)
    if key is not None:
        give_key(envelope, key)
    return envelope


def raw_key(value: object, number: int = 1) -> Envelope:
    """Return an envelope whose key is anything."""
    return Envelope(1000 + number, number, 0, 1, 0, b"x", {OptionKey.KEY: msgspec.Raw(msgspec.msgpack.encode(value))})


def taken(subscriber: Subscriber) -> list[tuple[str, bytes | int]]:
    """Take what a subscriber got: origins and bodies, and the reason of each gap with its count."""
    got: list[tuple[str, bytes | int]] = []
    while (item := subscriber.inbox.take(100)) is not None:
        if isinstance(item, Gap):
            got.append((item.reason, item.count))
        elif isinstance(item, tuple):
            got += [(item[0].origin.name, one.body) for one in item[0].items[item[1] : item[2]]]
    return got


YES, NO = Receipt([ReceiptRun(1, 1, True)]), Receipt([ReceiptRun(1, 1, False)])
SAME, REUSED = (Receipt([ReceiptRun(1, 1, False)], [Suppressed(1, 77, reused)]) for reused in (False, True))
SILENT = None

ANSWERS = [
    # answers of b and of c; delivered, duplicate, nodes, failure, whether the key is remembered
    (YES, YES, True, False, "delivered delivered", None, True),
    (YES, NO, True, False, "delivered dropped", None, True),
    (YES, SAME, True, False, "delivered delivered", None, True),
    (YES, REUSED, True, False, "delivered dropped", None, True),
    (YES, SILENT, True, False, "delivered unknown", None, True),
    (SAME, SAME, False, True, "delivered delivered", None, True),
    (SAME, NO, False, True, "delivered dropped", None, True),
    (SAME, REUSED, False, True, "delivered dropped", None, True),
    (SAME, SILENT, False, True, "delivered unknown", None, True),
    (NO, NO, False, False, "dropped dropped", None, False),
    (NO, SILENT, None, False, "dropped unknown", OutcomeUnknown, False),
    (SILENT, SILENT, None, False, "unknown unknown", OutcomeUnknown, False),
    (REUSED, NO, False, False, "dropped dropped", KeyReused, False),
    (REUSED, REUSED, False, False, "dropped dropped", KeyReused, False),
    (REUSED, SILENT, None, False, "dropped unknown", KeyReused, False),
]


@pytest.mark.parametrize(("first", "second", "delivered", "duplicate", "nodes", "failure", "kept"), ANSWERS)
@pytest.mark.parametrize("swapped", [False, True])
def test_whatever_two_nodes_answer_the_claim_is_settled_once(
    first: Receipt | None,
    second: Receipt | None,
    delivered: bool | None,
    duplicate: bool,
    nodes: str,
    failure: type[Exception] | None,
    kept: bool,
    swapped: bool,
) -> None:
    """Who took it completes it, who had it makes it a duplicate, and else it is released."""
    bench = Bench([PEER, OTHER])
    pending = bench.publish()
    answers = list(zip(("b", "c"), (first, second), nodes.split(), strict=True))
    expected = {peer: fate for peer, _, fate in answers}
    for peer, answer, _ in reversed(answers) if swapped else answers:
        assert pending.ends == 0
        with pytest.raises(InFlight):
            bench.publish()
        if answer is not None:
            bench.answer(peer, answer)
    pending.expire()

    assert pending.ends == 1
    assert (pending.delivered, pending.duplicate, pending.nodes) == (delivered, duplicate, expected)
    assert isinstance(pending.failure, failure) if failure is not None else pending.failure is None
    assert bench.dedup.of("c") == (int(kept), 0)
    if duplicate:
        assert pending.message_id == 77
    if kept:
        assert bench.publish().message_id == pending.message_id


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.data())
@settings(deadline=None, max_examples=40)
def test_an_answer_finds_its_publish_wherever_it_stands_in_a_run(gaps: list[int], data: st.DataObject) -> None:
    """Receipts are numbered over all publishes of the link, with keys and without, and come in any runs."""
    bench = Bench([PEER])
    plain: list[Ended] = []
    keys: list[tuple[int, Ended]] = []
    number = 0
    for index, count in enumerate(gaps):
        for _ in range(count):
            plain.append(Ended())
            bench.exchange.accept(bench.channel(), [keyed(None)], 1, plain[-1], receipts=True)
        number += count + 1
        keys.append((number, bench.publish(f"{index}")))
    suppressed = [Suppressed(at, 500 + at, False) for at, _ in keys]
    first = 1
    while first <= number:
        count = data.draw(st.integers(1, number - first + 1))
        mine = [one for one in suppressed if first <= one.number < first + count]
        bench.answer("b", Receipt([ReceiptRun(first, count, False)], mine))
        first += count

    assert [(one.ends, one.duplicate) for one in plain] == [(1, False)] * len(plain)
    assert [(one.ends, one.duplicate, one.message_id) for _, one in keys] == [(1, True, 500 + at) for at, _ in keys]


def test_of_two_originals_the_older_one_counts() -> None:
    """Whoever answers first."""
    for order in ((5, 9), (9, 5)):
        bench = Bench([PEER, OTHER])
        pending = bench.publish()
        for peer, original in zip(("b", "c"), order, strict=True):
            bench.answer(peer, Receipt([ReceiptRun(1, 1, False)], [Suppressed(1, original, False)]))
        assert pending.message_id == 5


def test_a_suppression_of_what_had_no_key_is_a_publish_that_was_dropped() -> None:
    """A peer that says so lies, and harms nobody."""
    bench, pending = Bench([PEER]), Ended()
    bench.exchange.accept(bench.channel(), [keyed(None)], 1, pending, receipts=True)

    bench.answer("b", SAME)
    assert (pending.ends, pending.duplicate, pending.nodes) == (1, False, {"b": "dropped"})


class _Full(Inbox):
    """An inbox without room, which does something when it is asked for it."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(1, 1, 1 << 10, "reject")
        self._bench = bench

    def room(self, run: Run) -> bool:
        """Break the memory, as a defect would."""
        claims = self._bench.dedup._channels["c"].claims
        assert self._bench.dedup.release(claims["k"])
        return False


def test_dd3_the_original_error_is_the_one_that_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    """DD3: also when the release fails, and that is logged and counted."""
    bench = Bench()
    bench.subscribe(_Full(bench))

    with caplog.at_level(logging.ERROR, "liminal.node"), pytest.raises(Rejected):
        bench.publish()
    [record] = logged(caplog, "key_not_released")
    assert record.fields == {"event": "key_not_released", "channel": "c", "key": "k"}  # type: ignore[attr-defined]
    [event] = bench.shared.keys.events
    assert {"kind": "key_not_released", "level": "error", "channel": "c", "key": "k"}.items() <= event.items()
    assert bench.dedup.statistics.failed_releases == 1
    assert bench.dedup.of("c") == (0, 0)


def test_dd3_any_failure_after_the_claim_releases_it() -> None:
    """DD3: a defect of ours too."""
    bench = Bench()

    def broken() -> int:
        raise ZeroDivisionError

    bench.shared.clock_ns = broken
    bench.exchange._clock_ns = broken
    with pytest.raises(ZeroDivisionError):
        bench.publish()
    assert bench.dedup.of("c") == (0, 0)
    assert bench.dedup.statistics.released == 1


def test_a_peers_publish_is_taken_once_and_its_repeats_are_told() -> None:
    """With and without keys in one frame; each answer bears its number, and a pass over numbers makes no gap."""
    bench = Bench()
    subscriber = bench.subscribe()
    bench.exchange.arrivals.receive_heads(PEER, Heads(1, 1, [("c", 0)]))
    receive = bench.exchange.arrivals.receive

    first = receive(PEER, Publish(1, "c", 40, [keyed("k", number=1), keyed(None, number=2), keyed("l", number=3)]))
    again = receive(
        OTHER,
        Publish(
            1, "c", 9, [keyed("l", number=1), keyed(None, number=2), keyed("k", b"y", number=3), keyed("m", number=4)]
        ),
    )
    late = receive(PEER, Publish(1, "c", 43, [keyed("m", number=4)]))
    last = receive(PEER, Publish(1, "c", 44, [keyed(None, b"last", number=5)]))

    assert first == Receipt([ReceiptRun(40, 3, True)])
    assert again == Receipt(
        [ReceiptRun(9, 1, False), ReceiptRun(10, 1, True), ReceiptRun(11, 1, False), ReceiptRun(12, 1, True)],
        [Suppressed(9, 1003, False), Suppressed(11, 1001, True)],
    )
    assert late == Receipt([ReceiptRun(43, 1, False)], [Suppressed(43, 1004, False)])
    assert last == Receipt([ReceiptRun(44, 1, True)])
    assert taken(subscriber) == [("b", b"x")] * 3 + [("c", b"x")] * 2 + [("b", b"last")]
    assert bench.dedup.statistics.suppressed == 3
    assert isinstance(subscriber.listener, Ears)
    assert subscriber.listener.anchors[-1] == (PEER, {"c": 4})


def test_what_is_missing_before_a_key_is_a_gap_all_the_same() -> None:
    """And a frame that comes twice is no duplicate of a key, but of a number."""
    bench = Bench()
    subscriber = bench.subscribe()
    bench.exchange.arrivals.receive_heads(PEER, Heads(1, 1, [("c", 0)]))
    frame = Publish(1, "c", 1, [keyed("k", number=3)])

    assert bench.exchange.arrivals.receive(PEER, frame) == YES
    assert bench.exchange.arrivals.receive(PEER, frame) == NO
    assert taken(subscriber) == [("link", 2), ("b", b"x")]
    assert bench.exchange.statistics.duplicates == 1


def test_a_publish_without_a_receipt_is_not_looked_at_for_a_key() -> None:
    """Whoever gives keys asks for receipts; so the others pay nothing."""
    bench = Bench()
    subscriber = bench.subscribe()
    for number in (1, 2):
        assert bench.exchange.arrivals.receive(PEER, Publish(1, "c", 0, [keyed("k", number=number)])) is None

    assert taken(subscriber) == [("b", b"x")] * 2


def test_what_nobody_took_is_not_remembered() -> None:
    """Neither with a full inbox, nor without a subscriber."""
    bench = Bench()
    subscriber = bench.subscribe(Inbox(1, 1, 1 << 10, "drop-newest"))
    receive = bench.exchange.arrivals.receive

    for number, key in enumerate("ab", 1):
        assert receive(PEER, Publish(1, "c", 1, [keyed(key, number=number)])) == YES
    assert receive(PEER, Publish(1, "c", 1, [keyed("k", number=3)])) == NO
    assert taken(subscriber) == [("b", b"x")] * 2 + [("overflow", 1)]
    subscriber.inbox.settle(2)
    assert receive(OTHER, Publish(1, "c", 1, [keyed("k", number=1)])) == YES


def test_without_room_for_its_key_a_peers_publish_is_told_as_lost() -> None:
    """It could not be told from its own retry; what is longer than a key may be here has no room either."""
    bench = Bench(keys_max=1)
    subscriber = bench.subscribe()
    for origin in (PEER, OTHER):
        bench.exchange.arrivals.receive_heads(origin, Heads(1, 1, [("c", 0)]))
    receive = bench.exchange.arrivals.receive

    assert receive(PEER, Publish(1, "c", 1, [keyed("x" * 300, number=1)])) == NO
    assert receive(PEER, Publish(1, "c", 1, [keyed("k", number=2)])) == YES
    assert receive(OTHER, Publish(1, "c", 1, [keyed("l", number=1)])) == NO
    assert receive(OTHER, Publish(1, "c", 1, [keyed("k", number=2)])) == Receipt(NO.runs, [Suppressed(1, 1002, False)])
    bench.now = 600.0
    assert receive(OTHER, Publish(1, "c", 1, [keyed("l", number=3)])) == YES
    assert taken(subscriber) == [("overflow", 1), ("b", b"x"), ("overflow", 1), ("c", b"x")]
    assert bench.dedup.statistics.refused == 2


@pytest.mark.parametrize("value", [7, b"k", None, "", ["k"]])
def test_a_key_that_is_none_is_refused(value: object) -> None:
    """A node that gives such a key breaks the protocol; so does a client, whose publish claims nothing."""
    bench = Bench()
    bench.subscribe()
    with pytest.raises(ProtocolError, match="key"):
        bench.exchange.arrivals.receive(PEER, Publish(1, "c", 1, [raw_key(value)]))
    with pytest.raises(ProtocolError, match="key"):
        bench.exchange.accept_once(bench.channel(), raw_key(value), 1, Ended())

    assert bench.dedup.statistics.fresh == 0


def test_a_peers_key_that_comes_while_our_own_publish_of_it_is_under_way() -> None:
    """Whoever took ours does not get theirs."""
    bench = Bench([PEER])
    subscriber = bench.subscribe()
    ours = bench.publish()
    theirs = bench.exchange.arrivals.receive(PEER, Publish(1, "c", 1, [keyed("k", number=1)]))

    assert theirs == Receipt(NO.runs, [Suppressed(1, ours.message_id, False)])
    assert taken(subscriber) == [("me", b"x")]
    bench.answer("b", NO)
    assert (ours.delivered, ours.duplicate) == (True, False)


@pytest.mark.parametrize(("body", "failure"), [(b"x", None), (b"y", KeyReused)])
def test_if_nobody_took_ours_and_theirs_was_taken_meanwhile_it_is_as_if_it_was_first(
    body: bytes, failure: type[Exception] | None
) -> None:
    """So a retry of ours is told of theirs, at once."""
    bench = Bench([PEER])
    ours = bench.publish()
    subscriber = bench.subscribe()
    theirs = bench.exchange.arrivals.receive(PEER, Publish(1, "c", 1, [keyed("k", body, number=1)]))
    assert theirs == YES
    bench.answer("b", NO)

    assert taken(subscriber) == [("b", body)]
    assert (ours.delivered, ours.duplicate) == (False, failure is None)
    assert isinstance(ours.failure, failure) if failure is not None else ours.message_id == 1001
    assert bench.dedup.of("c") == (1, 0)


def test_the_end_of_a_link_settles_what_was_awaited_from_it() -> None:
    """Nobody knows."""
    bench = Bench([PEER])
    pending = bench.publish()

    bench.exchange.link_down(bench.routes["b"])
    assert pending.ends == 1
    assert isinstance(pending.failure, OutcomeUnknown)
    assert bench.dedup.of("c") == (0, 0)
