"""Causal order, held against a model that looks at everything again after each step."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster import CHANNEL_SCOPE, GROUP_SCOPE, Encoding, Envelope, NodeId, OptionKey
from liminal_mesh.node.causal import NEVER, ORIGINS_MAX, CausalBounds, CausalOrder
from liminal_mesh.node.inbox import Run
from liminal_mesh.node.message import Message, give_parent
from liminal_mesh.node.reference import Reference
from liminal_mesh.node.values import Gap

from .test_message import Counter

WAIT_S = 5.0


class Spot(NamedTuple):
    """Where a message stands."""

    origin: str
    sequence: int
    channel: str = "x"
    epoch: int = 1


def message(spot: Spot, parent: Spot | None = None, body: bytes = b"", scope: int = CHANNEL_SCOPE) -> Message:
    """Return the message of a spot."""
    envelope = Envelope(spot.sequence, spot.sequence, 0, 1, Encoding.RAW, body)
    if parent is not None:
        give_parent(
            envelope,
            Reference(parent.channel, parent.origin, parent.epoch, parent.sequence, parent.sequence, scope),
        )
    return Message(envelope, Run(spot.channel, NodeId(spot.origin, spot.epoch), [envelope]), Counter())


def gap(spot: Spot, count: int = 1) -> Gap:
    """Return a gap that begins at a spot."""
    return Gap(spot.channel, spot.origin, spot.sequence, spot.sequence + count - 1, count, "link", spot.epoch)


class Order(CausalOrder):
    """An order over the channels ``x`` and ``z``, and what it has handed out."""

    def __init__(self, bounds: CausalBounds | None = None) -> None:
        super().__init__(lambda channel: channel in "xz", bounds or CausalBounds(WAIT_S))

    def out(self) -> list[str]:
        """Take what is ready: ``a1`` for a message, ``a1!`` for an orphan, ``gap a1`` for a gap."""
        items, self.ready = list(self.ready), type(self.ready)()
        return [
            f"gap {item.origin}{item.first}"
            if isinstance(item, Gap)
            else f"{item.origin}{item.sequence}{'!' if item.orphaned else ''}"
            for item in items
        ]

    def takes(self, item: Message | Gap, now: float = 0.0) -> list[str]:
        """Let something arrive, and take what is ready."""
        self.take(item, now)
        return self.out()


def test_a_child_waits_for_its_parent() -> None:
    """CO2: and so do the children of children; the others do not wait for it."""
    order = Order()

    assert order.takes(message(Spot("b", 1), Spot("a", 1))) == []
    assert order.takes(message(Spot("b", 2))) == ["b2"]
    assert order.takes(message(Spot("c", 1), Spot("b", 1))) == []
    assert order.takes(message(Spot("c", 2), Spot("b", 2))) == ["c2"]
    assert (order.waiting, order.orphans, order.due) == (2, 0, WAIT_S)
    assert order.takes(message(Spot("a", 1))) == ["a1", "b1", "c1"]
    assert (order.waiting, order.due) == (0, NEVER)


def test_independent_messages_are_not_held_back() -> None:
    """CO1: not even those of the same stream."""
    order = Order()
    order.takes(message(Spot("b", 1), Spot("a", 9)))
    for number in range(1, 9):
        assert order.takes(message(Spot("a", number))) == [f"a{number}"]
        assert order.takes(message(Spot("b", number + 1))) == [f"b{number + 1}"]


def test_a_parent_that_has_come_is_not_waited_for() -> None:
    """CO2: however long ago, since a stream's number tells it."""
    order = Order()
    for number in range(1, 5):
        order.takes(message(Spot("a", number)))
    assert order.takes(message(Spot("b", 1), Spot("a", 2))) == ["b1"]


def test_a_parent_that_is_told_as_lost_is_not_waited_for() -> None:
    """CO2: the gap comes first, and its children are no orphans, for nothing was given up."""
    order = Order()
    order.takes(message(Spot("b", 1), Spot("a", 3)))
    order.takes(message(Spot("b", 2), Spot("a", 2)))
    order.takes(message(Spot("b", 3), Spot("a", 5)))

    assert order.takes(gap(Spot("a", 1), 4)) == ["gap a1", "b1", "b2"]
    assert order.takes(message(Spot("b", 4), Spot("a", 4))) == ["b4"]
    assert order.waiting == 1


def test_a_parent_from_before_the_subscription_is_not_waited_for() -> None:
    """CO2: an anchor says where a stream stood, and so does the first that comes of it."""
    order = Order()
    order.takes(message(Spot("b", 1), Spot("a", 7)))
    order.takes(message(Spot("b", 2), Spot("c", 4)))
    order.anchor(NodeId("a", 1), {"x": 7, "z": 0})
    assert order.out() == ["b1"]
    assert order.takes(message(Spot("c", 9))) == ["b2", "c9"]
    assert order.takes(message(Spot("b", 3), Spot("a", 6))) == ["b3"]


@pytest.mark.parametrize("scope", [CHANNEL_SCOPE, GROUP_SCOPE])
def test_a_parent_that_this_subscription_never_gets_is_not_waited_for(scope: int) -> None:
    """CO2: one on a channel that it does not cover, or one that was sent to a group."""
    order = Order()
    parent = Spot("a", 3, "y" if scope == CHANNEL_SCOPE else "x")
    assert order.takes(message(Spot("b", 1), parent, scope=scope)) == ["b1"]


def test_a_parent_of_a_run_that_is_over_is_not_waited_for() -> None:
    """CO2: once a message of a later run has come; that of a run that nobody has seen yet may come."""
    order = Order()
    order.takes(message(Spot("b", 1), Spot("a", 3, epoch=1)))
    order.takes(message(Spot("b", 2), Spot("a", 3, epoch=2)))
    order.takes(message(Spot("b", 3), Spot("a", 3, epoch=3)))
    assert order.takes(message(Spot("a", 1, epoch=2))) == ["b1", "a1"]
    assert order.takes(message(Spot("b", 4), Spot("a", 9, epoch=1))) == ["b4"]
    assert order.takes(message(Spot("a", 3, epoch=2))) == ["a3", "b2"]
    assert order.waiting == 1


def test_an_orphan_is_released_after_a_while_with_its_descendants() -> None:
    """CO2: it is flagged, they are not, and they come behind it."""
    order = Order()
    order.takes(message(Spot("b", 1), Spot("a", 1)), 10.0)
    order.takes(message(Spot("b", 2), Spot("b", 1)), 11.0)
    order.takes(message(Spot("c", 1), Spot("b", 2)), 12.0)
    order.takes(message(Spot("c", 2), Spot("a", 1)), 13.0)

    order.expire(14.9)
    assert order.out() == []
    assert order.due == 15.0
    order.expire(15.0)
    assert order.out() == ["b1!", "b2", "c1"]
    assert (order.orphans, order.due) == (1, 18.0)
    assert order.takes(message(Spot("a", 1))) == ["a1", "c2"]


@pytest.mark.parametrize("how", ["parent", "orphan", "gap"])
def test_what_waited_together_comes_in_the_order_of_its_stream(how: str) -> None:
    """CO2: a publisher's messages are not mixed up because some of them name a nearer parent than others."""
    order = Order()
    parents = [Spot("a", 1), Spot("b", 1), Spot("a", 1), Spot("b", 2), Spot("b", 1), Spot("a", 1)]
    for number, parent in enumerate(parents, 1):
        assert order.takes(message(Spot("b", number), parent), 0.0) == []
    match how:
        case "parent":
            order.take(message(Spot("a", 1)), 1.0)
            assert order.out() == ["a1", "b1", "b2", "b3", "b4", "b5", "b6"]
        case "gap":
            order.take(gap(Spot("a", 1)), 1.0)
            assert order.out() == ["gap a1", "b1", "b2", "b3", "b4", "b5", "b6"]
        case _:
            order.expire(WAIT_S)
            assert order.out() == ["b1!", "b2", "b4", "b5", "b3!", "b6!"]


def test_nothing_is_held_longer_than_a_while() -> None:
    """CO2: when the oldest waits for something that is held itself, that one goes with it, sooner than on its own."""
    order = Order()
    order.takes(message(Spot("c", 1), Spot("b", 1)), 0.0)
    order.takes(message(Spot("b", 1), Spot("a", 1)), 4.0)
    assert order.due == 5.0
    order.expire(5.0)
    assert order.out() == ["b1!", "c1"]


def test_a_full_buffer_lets_the_oldest_go() -> None:
    """CO2: flagged, with what waits behind it."""
    order = Order(CausalBounds(WAIT_S, messages=3))
    for number in (1, 2, 3):
        assert order.takes(message(Spot("b", number), Spot("a", number if number < 3 else 1)), number) == []
    assert order.takes(message(Spot("b", 4), Spot("b", 1)), 4.0) == ["b1!", "b4"]
    assert (order.waiting, order.orphans) == (2, 1)


def test_a_buffer_full_of_bytes_lets_the_oldest_go() -> None:
    """CO2: also the message itself, when no buffer is large enough for it."""
    order = Order(CausalBounds(WAIT_S, size=2000))
    assert order.takes(message(Spot("b", 1), Spot("a", 1), b"x" * 1000)) == []
    assert order.takes(message(Spot("b", 2), Spot("a", 2), b"x" * 1000)) == ["b1!"]
    assert order.takes(message(Spot("b", 3), Spot("a", 3), b"x" * 2000)) == ["b2!", "b3!"]
    assert order.waiting == 0


def test_at_the_end_everything_is_let_go() -> None:
    """CO2: nothing comes any more."""
    order = Order()
    for number in (1, 2):
        order.takes(message(Spot("b", number), Spot("a", number)))
    order.takes(message(Spot("c", 1), Spot("b", 2)))
    order.close()
    assert order.out() == ["b1!", "b2!", "c1"]


def test_a_circle_of_parents_ends() -> None:
    """CO2: programs can name what they publish later, or the message itself."""
    order = Order()
    assert order.takes(message(Spot("a", 1), Spot("a", 1))) == ["a1"]
    order.takes(message(Spot("b", 1), Spot("c", 1)))
    order.takes(message(Spot("c", 1), Spot("d", 1)))
    order.takes(message(Spot("d", 1), Spot("c", 1)))
    order.expire(WAIT_S)
    assert sorted(order.out()) == ["b1", "c1", "d1!"]
    assert order.waiting == 0


@pytest.mark.parametrize("raw", [b"\xc0", b"\x01", b"\x90", b"\x95\xa1\xff\xa1x\x01\x01\x01"])
def test_a_parent_that_is_none_holds_nothing_back(raw: bytes) -> None:
    """CO2: another program's mistake."""
    one = message(Spot("a", 1))
    one._envelope.options = {OptionKey.PARENT: raw}  # type: ignore[dict-item]
    assert Order().takes(one) == ["a1"]


def test_what_is_held_keeps_nothing_else_alive() -> None:
    """CO2: a message that came with a thousand others is held alone."""
    envelopes = [Envelope(number, number, 0, 1, Encoding.RAW, b"x" * 1000) for number in range(1, 1001)]
    give_parent(envelopes[4], Reference("x", "b", 1, 1, 1))
    order = Order(CausalBounds(WAIT_S, size=2000))
    run = Run("x", NodeId("a", 1), envelopes)
    assert order.takes(Message(envelopes[4], run, Counter())) == []
    order.take(message(Spot("b", 1)), 0.0)
    released = order.ready[1]
    assert isinstance(released, Message)
    assert released._run.items == [envelopes[4]]
    assert (released.sequence, released.channel, released.origin, released.orphaned) == (5, "x", "a", False)


def test_nodes_that_come_and_go_are_not_remembered_for_ever() -> None:
    """CO2: in a mesh whose nodes have ever new names; and whoever was forgotten is known by its next message."""
    order = Order()
    for number in range(3 * ORIGINS_MAX):
        for channel in "xz":
            assert order.takes(message(Spot(f"n{number}", 7, channel))) == [f"n{number}7"]
    assert len(order._epochs) == ORIGINS_MAX
    assert len(order._heads) == 2 * ORIGINS_MAX
    assert order.takes(message(Spot("b", 1), Spot(f"n{3 * ORIGINS_MAX - 1}", 7))) == ["b1"]

    order.take(message(Spot("b", 2), Spot("n0", 7)), 0.0)
    order.take(message(Spot("b", 3), Spot("n0", 9)), 0.0)
    assert order.takes(message(Spot("n0", 8))) == ["b2", "n08"]
    assert order.takes(message(Spot("n0", 9))) == ["n09", "b3"]


class Model:
    """What is held, in the order of arrival; looked at again and again until nothing can be handed out."""

    def __init__(self, messages: int) -> None:
        self.messages = messages
        self.heads: dict[tuple[str, str, int], int] = {}
        self.held: dict[Spot, tuple[Spot, float]] = {}
        self.out: set[tuple[Spot, bool]] = set()

    def blocked(self, parent: Spot) -> bool:
        """Whether a parent may still come, or is held."""
        if parent.channel == "y":
            return False
        if parent in self.held:
            return True
        known = [epoch for _, origin, epoch in self.heads if origin == parent.origin]
        head = self.heads.get((parent.channel, parent.origin, parent.epoch), 0)
        return max(known, default=0) <= parent.epoch and head < parent.sequence

    def passes(self, spot: Spot) -> None:
        """A stream has come up to here."""
        stream = (spot.channel, spot.origin, spot.epoch)
        self.heads[stream] = max(spot.sequence, self.heads.get(stream, 0))

    def arrives(self, spot: Spot, parent: Spot | None, now: float) -> None:
        """A message has come."""
        self.passes(spot)
        if parent is not None and self.blocked(parent):
            self.held[spot] = (parent, now + WAIT_S)
        else:
            self.out.add((spot, False))
        self.settle()
        while len(self.held) > self.messages:
            self.orphan()

    def orphan(self) -> None:
        """Let the oldest go."""
        top = next(iter(self.held))
        seen = {top}
        while (above := self.held[top][0]) in self.held and above not in seen:
            seen.add(above)
            top = above
        del self.held[top]
        self.out.add((top, True))
        self.settle()

    def settle(self) -> None:
        """Hand out whatever can be."""
        while free := [spot for spot, (parent, _) in self.held.items() if not self.blocked(parent)]:
            for spot in free:
                del self.held[spot]
                self.out.add((spot, False))

    def expires(self, now: float) -> None:
        """Time has passed."""
        while self.held and next(iter(self.held.values()))[1] <= now:
            self.orphan()


SPOTS = st.builds(
    Spot, st.sampled_from("ab"), st.integers(1, 9), st.sampled_from("xyz"), st.integers(1, 2)
)  # of a parent: any, also one that never comes
STEPS = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from("xz"),
    st.sampled_from(["message", "message", "message", "skip", "gap", "anchor", "restart"]),
    st.one_of(st.none(), SPOTS),
    st.sampled_from([0.0, 0.0, 0.5, 2.0, 6.0]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=60), st.integers(1, 6))
def test_it_hands_out_what_the_model_does(steps: list[tuple[str, str, str, Spot | None, float]], bound: int) -> None:
    """CO2: the same messages at the same step, the same orphans, parents first, and everything once."""
    order = Order(CausalBounds(WAIT_S, messages=bound))
    model = Model(bound)
    epochs, next_of, now = dict.fromkeys("ab", 1), dict[tuple[str, str, int], int](), 0.0
    arrived: dict[Spot, Spot | None] = {}
    handed: dict[Spot, bool] = {}
    for origin, channel, kind, parent, pause in steps:
        now += pause
        model.expires(now)
        order.expire(now)
        if kind == "restart":
            epochs[origin] = 2
        stream = (channel, origin, epochs[origin])
        sequence = next_of.get(stream, 1) + (2 if kind == "skip" else 0)
        next_of[stream] = sequence + 1
        spot = Spot(origin, sequence, channel, epochs[origin])
        if kind == "gap":
            order.take(gap(spot), now)
            model.passes(spot)
            model.settle()
        elif kind == "anchor":
            order.anchor(NodeId(origin, spot.epoch), {channel: sequence})
            model.passes(spot)
            model.settle()
        else:
            arrived[spot] = parent
            order.take(message(spot, parent), now)
            model.arrives(spot, parent, now)
        _taken(order, arrived, handed)
        assert set(handed.items()) == model.out
        assert order.waiting == len(model.held) <= bound
        assert order.due == (next(iter(model.held.values()))[1] if model.held else NEVER)
    order.close()
    _taken(order, arrived, handed)
    assert set(handed) == set(arrived)
    assert order.waiting == 0
    assert (order._awaited, order._size) == ({}, 0)
    assert order.orphans == sum(handed.values())


def _taken(order: Order, arrived: dict[Spot, Spot | None], handed: dict[Spot, bool]) -> None:
    """Note what is ready: each once, and behind its parent, if that is handed out in the same go."""
    items = [item for item in order.ready if isinstance(item, Message)]
    order.out()
    spots = [Spot(item.origin, item.sequence, item.channel, item.epoch) for item in items]
    for index, (spot, item) in enumerate(zip(spots, items, strict=True)):
        assert spot not in handed
        parent = arrived[spot]
        assert item.orphaned or parent == spot or parent not in spots[index:] or parent.channel == "y"
        handed[spot] = item.orphaned
