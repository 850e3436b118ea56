"""The inbox beside a naive one that keeps each message by itself, and the cases that deserve a name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from liminal_mesh.cluster import Envelope, NodeId
from liminal_mesh.node.inbox import MESSAGE_OVERHEAD_BYTES, Anchor, Budget, Inbox, Overflow, Run
from liminal_mesh.node.values import Gap

A, B = NodeId("a", 1), NodeId("b", 2)
STREAMS = [("x", A), ("x", B), ("y", A)]
ROOMY = 1 << 30
POLICIES: list[Overflow] = ["drop-oldest", "drop-newest", "reject", "disconnect"]


def run(first: int, count: int, *, channel: str = "x", origin: NodeId = A, sizes: list[int] | None = None) -> Run:
    """Return a run of messages whose ids are their sequences."""
    bodies = sizes or [0] * count
    items = [Envelope(first + index, first + index, 0, 1, 0, b"." * size) for index, size in enumerate(bodies)]
    return Run(channel, origin, items)


def everything(inbox: Inbox, most: int = ROOMY) -> list[int | tuple[int, int, int, str] | Anchor]:
    """Take all that waits: sequences, and gaps as (first, last, count, reason)."""
    taken: list[int | tuple[int, int, int, str] | Anchor] = []
    while (entry := inbox.take(most)) is not None:
        if isinstance(entry, Gap):
            taken.append((entry.first, entry.last, entry.count, entry.reason))
        elif isinstance(entry, Anchor):
            taken.append(entry)
        else:
            batch, start, stop = entry
            taken += [item.sequence for item in batch.items[start:stop]]
    return taken


@dataclass
class Entry:
    """What the naive inbox keeps: one message, one loss, or one anchor."""

    channel: str
    origin: NodeId
    sequence: int
    weight: int = 0
    lost: str = ""

    @property
    def waits(self) -> bool:
        """Whether it is a message that is still there."""
        return not self.lost


class InboxBesideNaive(RuleBasedStateMachine):
    """Offers, takes and settles at random; both have to agree on each message and each loss, and its place."""

    @initialize(
        policy=st.sampled_from(POLICIES),
        credit=st.integers(1, 4),
        messages=st.integers(1, 5),
        size=st.integers(2, 8).map(lambda count: count * (MESSAGE_OVERHEAD_BYTES + 20)),
    )
    def begin(self, policy: Overflow, credit: int, messages: int, size: int) -> None:
        """Make both."""
        self.budgets = (Budget(ROOMY), Budget(1))
        self.inbox = Inbox(credit, messages, size, policy, self.budgets)
        self.entries: list[Entry] = []
        self.last = dict.fromkeys(STREAMS, 0)
        self.lost = self.anchors = 0
        self.marks: list[tuple[int, list[Entry]]] = []

    @rule(
        stream=st.sampled_from(STREAMS),
        sizes=st.lists(st.sampled_from([0, 0, 5, 60, 900, 2000]), min_size=1, max_size=7),
    )
    def offer(self, stream: tuple[str, NodeId], sizes: list[int]) -> None:
        """Offer a run; what is accepted is told."""
        batch = run(self.last[stream] + 1, len(sizes), channel=stream[0], origin=stream[1], sizes=sizes)
        self.last[stream] += len(sizes)
        accepted = self.inbox.offer(batch)
        entries = [Entry(*stream, item.sequence, len(item.body) + MESSAGE_OVERHEAD_BYTES) for item in batch.items]
        if self.inbox.overflow == "drop-oldest":
            assert accepted == sum(entry.weight <= self.inbox.size for entry in entries)
            for entry in entries:
                self.push_out_the_oldest(entry)
        else:
            self.keep_what_fits(entries)
            assert accepted == sum(entry.waits for entry in entries)
        waiting = [entry for entry in self.entries if entry.waits]
        self.marks = [*self.marks[-2:], (self.inbox.passed + self.inbox.queued, waiting)]

    def push_out_the_oldest(self, entry: Entry) -> None:
        """As the policy says, one by one."""
        self.entries.append(entry)
        if entry.weight > self.inbox.size:
            entry.lost = "overflow"
        while self.full():
            next(one for one in self.entries if one.waits).lost = "overflow"

    def keep_what_fits(self, entries: list[Entry]) -> None:
        """As the other policies say: from the first that does not fit on, all of the run is lost."""
        gone = self.overflowed
        for entry in entries:
            self.entries.append(entry)
            if gone or self.full():
                entry.lost, gone = "overflow", True
        if gone and self.inbox.overflow == "disconnect":
            self.overflowed = True

    overflowed = False

    def full(self) -> bool:
        """Whether more waits than may."""
        waiting = [entry for entry in self.entries if entry.waits]
        return len(waiting) + self.inbox.lent > self.inbox.limit or sum(one.weight for one in waiting) > self.inbox.size

    @rule(stream=st.sampled_from(STREAMS), count=st.integers(1, 3))
    def lose_on_the_way(self, stream: tuple[str, NodeId], count: int) -> None:
        """A gap of another reason, behind everything that waits."""
        first = self.last[stream] + 1
        self.last[stream] += count
        self.inbox.note_gap(
            stream[1], Gap(stream[0], stream[1].name, first, first + count - 1, count, "link", stream[1].epoch)
        )
        self.entries += [Entry(*stream, number, lost="link") for number in range(first, first + count)]

    @rule(origin=st.sampled_from([A, B]))
    def anchor(self, origin: NodeId) -> None:
        """An anchor, behind everything that waits."""
        self.anchors += 1
        self.inbox.note_anchor(Anchor(origin, {"x": self.anchors}))
        self.entries.append(Entry("", origin, self.anchors, lost="anchor"))

    @rule(most=st.integers(-1, 5))
    def take(self, most: int) -> None:
        """Take within the credit: losses come before the message that follows them, each once."""
        most = min(most, self.inbox.credit - self.inbox.lent)
        entry = self.inbox.take(most)
        if entry is None:
            assert not self.entries or (self.entries[0].waits and most <= 0)
        elif isinstance(entry, Gap):
            self.take_gap(entry)
        elif isinstance(entry, Anchor):
            anchors = [one for one in self.notes() if one.lost == "anchor" and one.origin == entry.origin]
            upto = [one.sequence for one in anchors].index(entry.heads["x"])
            self.remove(anchors[: upto + 1])
        else:
            batch, start, stop = entry
            assert 0 < stop - start <= most
            expected, self.entries = self.entries[: stop - start], self.entries[stop - start :]
            got = [Entry(batch.channel, batch.origin, one.sequence) for one in batch.items[start:stop]]
            assert [(one.channel, one.origin, one.sequence, "") for one in got] == [
                (one.channel, one.origin, one.sequence, one.lost) for one in expected
            ]

    def notes(self) -> list[Entry]:
        """Return what is to be told before the next message."""
        waiting = (index for index, entry in enumerate(self.entries) if entry.waits)
        return self.entries[: next(waiting, len(self.entries))]

    def take_gap(self, gap: Gap) -> None:
        """A gap stands for the next losses of its stream and reason."""
        same = [
            one
            for one in self.notes()
            if (one.channel, one.origin.name, one.lost) == (gap.channel, gap.origin, gap.reason)
        ][: gap.count]
        assert len(same) == gap.count
        assert (same[0].sequence, same[-1].sequence) == (gap.first, gap.last)
        self.lost += gap.count if gap.reason == "overflow" else 0
        self.remove(same)

    def remove(self, entries: list[Entry]) -> None:
        """Forget them."""
        gone = {id(entry) for entry in entries}
        self.entries = [entry for entry in self.entries if id(entry) not in gone]

    @rule(count=st.integers(1, 6))
    def settle(self, count: int) -> None:
        """The subscriber is done with some; more than it was lent is an error, and changes nothing."""
        lent = self.inbox.lent
        if count > lent:
            with pytest.raises(ValueError, match=f"{lent} were lent"):
                self.inbox.settle(count)
        else:
            self.inbox.settle(count)
            lent -= count
        assert self.inbox.lent == lent >= 0

    @rule()
    def evict(self) -> None:
        """Everything that waits is lost."""
        self.inbox.evict()
        for entry in self.entries:
            entry.lost = entry.lost or "overflow"

    @invariant()
    def bounded(self) -> None:
        """No bound is ever passed, and the numbers are those of what is there."""
        if not hasattr(self, "inbox"):
            return
        inbox = self.inbox
        waiting = [entry for entry in self.entries if entry.waits]
        assert inbox.queued == len(waiting)
        assert inbox.bytes == sum(entry.weight for entry in waiting) <= inbox.size
        assert len(inbox) == inbox.queued + inbox.lent <= inbox.limit
        assert inbox.lent <= inbox.credit
        assert bool(inbox) == bool(self.entries)
        assert [budget.used for budget in self.budgets] == [inbox.bytes] * 2
        assert inbox.dropped == self.lost + sum(entry.lost == "overflow" for entry in self.entries)
        assert bool(inbox.overflowed) == self.overflowed
        there = {id(entry) for entry in waiting}
        for end, marked in self.marks:
            assert (inbox.passed < end) == any(id(entry) in there for entry in marked)

    def teardown(self) -> None:
        """Whatever is left can be taken, and accounts for the rest."""
        if hasattr(self, "inbox"):
            while self.entries:
                self.inbox.settle(self.inbox.lent)
                self.take(self.inbox.credit)


TestInboxBesideNaive = InboxBesideNaive.TestCase
TestInboxBesideNaive.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_gaps_of_one_stream_and_reason_become_one() -> None:
    """However many messages were dropped, one item tells of them."""
    inbox = Inbox(1, 1, ROOMY, "drop-newest")
    for number in range(1, 101):
        inbox.offer(run(number, 1))

    assert everything(inbox) == [1, 2, (3, 100, 98, "overflow")]


def test_a_gap_stands_before_what_followed_it() -> None:
    """Not at the end, and not at the front."""
    inbox = Inbox(1, 2, ROOMY, "drop-newest")
    inbox.offer(run(1, 5))
    assert inbox.take(1) is not None
    inbox.settle(1)
    inbox.offer(run(6, 1))

    assert everything(inbox) == [2, 3, (4, 5, 2, "overflow"), 6]


def test_a_run_is_shared_and_never_changed() -> None:
    """Taken in parts by one inbox, it is whole for the next."""
    shared = run(1, 6)
    one, two = Inbox(2, 9, ROOMY, "drop-oldest"), Inbox(9, 9, ROOMY, "drop-oldest")
    one.offer(shared)
    two.offer(shared)

    assert one.take(2) == (shared, 0, 2)
    assert one.take(1) == (shared, 2, 3)
    assert one.take(9) == (shared, 3, 6)
    assert two.take(9) == (shared, 0, 6)
    assert shared.encoded() is shared.encoded()


def test_notes_need_no_credit() -> None:
    """A subscriber that has everything in hand still hears of losses."""
    inbox = Inbox(1, 1, ROOMY, "drop-oldest")
    inbox.offer(run(1, 5))

    assert inbox.take(0) == Gap("x", "a", 1, 3, 3, "overflow", 1)
    assert inbox.take(0) is None


def test_a_later_anchor_replaces_an_earlier_one_at_its_place() -> None:
    """Nothing came between them."""
    inbox = Inbox(1, 9, ROOMY, "drop-oldest")
    inbox.note_anchor(Anchor(A, {"x": 1}))
    inbox.note_anchor(Anchor(A, {"x": 2}))
    inbox.offer(run(3, 1))
    inbox.note_anchor(Anchor(A, {"x": 3}))

    assert everything(inbox) == [Anchor(A, {"x": 2}), 3, Anchor(A, {"x": 3})]


def test_room_is_asked_for_a_whole_run() -> None:
    """In messages and in bytes."""
    inbox = Inbox(1, 2, 1000, "reject")

    assert inbox.room(run(1, 3))
    assert not inbox.room(run(1, 4))
    assert not inbox.room(run(1, 1, sizes=[1000]))


@pytest.mark.parametrize("bounds", [(0, 1, 1000), (1, 0, 1000), (1, 1, 0), (-1, 1, 1000)])
def test_no_bound_is_zero(bounds: tuple[int, int, int]) -> None:
    """PR2: refused before anything waits."""
    with pytest.raises(ValueError, match="at least 1"):
        Inbox(*bounds, "reject")


def test_what_was_not_lent_cannot_be_done() -> None:
    """PR2: an unmatched completion is an error, and the counter stays where it is."""
    inbox = Inbox(2, 2, ROOMY, "reject")
    inbox.offer(run(1, 2))
    inbox.take(2)
    with pytest.raises(ValueError, match="3 messages are done, where 2 were lent"):
        inbox.settle(3)
    assert inbox.lent == 2
    inbox.settle(2)
    with pytest.raises(ValueError, match="lent"):
        inbox.settle(1)
    assert (inbox.lent, len(inbox)) == (0, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_given_back_to_a_budget_is_given_back_once(policy: Overflow) -> None:
    """What still waits is its holder's alone after that."""
    budget = Budget(500)
    one, two = (Inbox(1, 9, ROOMY, policy, (budget,)) for _ in range(2))
    one.offer(run(1, 3))
    two.offer(run(1, 1))
    assert budget.passed
    one.release()
    assert budget.used == two.bytes
    assert everything(one) == [1, 2, 3]
    one.release()

    assert budget.used == two.bytes
    assert not budget.passed
