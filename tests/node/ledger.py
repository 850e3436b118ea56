"""One subscription as its subscriber counts it: what the exchange gave it, and what its inbox made of that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from liminal_mesh.cluster import CHANNEL_SCOPE, Eagerness, NodeId, Offer, Pid
from liminal_mesh.node.inbox import Anchor, Inbox, Run
from liminal_mesh.node.names import matches
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.values import Gap

__all__ = ["KEYED", "Ledger", "Recorder", "Share", "Shares", "SharingRecorder"]

KEYED = "a.k"
"""A channel for publishes with keys, of which no books are kept: what is suppressed on it is no loss."""

Stream = tuple[str, NodeId]
"""A channel, and the origin of what was published on it."""


@dataclass
class Ledger:
    """What one subscription was given, by stream, as its subscriber counts it."""

    anchors: dict[NodeId, Mapping[str, int]] = field(default_factory=dict)
    offered: defaultdict[Stream, list[int]] = field(default_factory=lambda: defaultdict(list))
    missed: defaultdict[Stream, list[Gap]] = field(default_factory=lambda: defaultdict(list))
    taken: defaultdict[Stream, int] = field(default_factory=lambda: defaultdict(int))
    told: defaultdict[Stream, int] = field(default_factory=lambda: defaultdict(int))
    last: defaultdict[Stream, int] = field(default_factory=lambda: defaultdict(int))

    def ready(self) -> None:
        """Nothing waits for it here: the world reads when it likes."""

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """Count everything of this origin from here on."""
        if heads.keys() == {KEYED} and origin in self.anchors:
            return  # a number was passed over
        assert origin not in self.anchors, "anchored twice"
        self.anchors[origin] = dict(heads)

    def head(self, stream: Stream) -> int:
        """Return the greatest number that it was anchored at, offered or told of."""
        channel, origin = stream
        gaps = [gap.last for gap in self.missed[stream]]
        return max(self.anchors[origin].get(channel, 0), *self.offered[stream], *gaps, 0)

    def check_stream(self, stream: Stream, head: int) -> None:
        """Assert that from the anchor to ``head`` each number was offered or told as lost, once and in order."""
        channel, origin = stream
        anchor = self.anchors[origin].get(channel, 0) if origin in self.anchors else None
        offered = self.offered[stream]
        assert all(before < after for before, after in pairwise(offered)), "S5: twice, or out of order"
        assert not offered or offered[-1] <= head, "delivered what was never published"
        if anchor is None:
            assert not self.missed[stream], "told of a loss before it was anchored"
            return
        numbers = [number for number in offered if number > anchor]
        for gap in self.missed[stream]:
            assert gap.count == gap.last - gap.first + 1
            assert gap.first > anchor, "a gap for what was published before"
            numbers += range(gap.first, gap.last + 1)
        assert sorted(numbers) == list(range(anchor + 1, head + 1)), f"{stream} from {anchor} to {head}"


class Recorder(Subscriber):
    """A subscriber that writes down what the exchange gives it, before its inbox drops any of it."""

    __slots__ = ("ledger", "present", "scope")

    def __init__(self, pid: Pid, pattern: str, inbox: Inbox, scope: int = CHANNEL_SCOPE, queue: str = "") -> None:
        self.ledger = Ledger()
        self.scope = scope
        self.present = True
        super().__init__(pid, pattern, inbox, self.ledger, queue)

    def offer(self, run: Run) -> int:
        """Take a run."""
        assert self.present, "S4: given to a member that had left"
        assert matches(self.pattern, run.channel), "S4: given to a member of another group"
        self.ledger.offered[run.channel, run.origin] += [item.sequence for item in run.items]
        return super().offer(run)

    def note_gap(self, origin: NodeId, gap: Gap) -> None:
        """Take a gap."""
        self.ledger.missed[gap.channel, origin].append(gap)
        super().note_gap(origin, gap)

    def read(self, rng: Random, most: int) -> bool:
        """Take something from the inbox, and finish some of what was lent; returns whether anything came."""
        inbox, ledger = self.inbox, self.ledger
        inbox.settle(rng.randint(0, inbox.lent))
        entry = inbox.take(min(most, inbox.credit - inbox.lent))
        if entry is None:
            return bool(inbox)
        if isinstance(entry, Gap):
            ledger.told[entry.channel, self._origin(entry)] += entry.count
        elif not isinstance(entry, Anchor):
            run, start, stop = entry
            stream = run.channel, run.origin
            self.check_order(stream, [item.sequence for item in run.items[start:stop]])
            ledger.taken[stream] += stop - start
        return True

    def check_order(self, stream: Stream, numbers: list[int]) -> None:
        """Assert that numbers grow."""
        for number in numbers:
            assert number > self.ledger.last[stream]
            self.ledger.last[stream] = number

    def check_inbox(self) -> None:
        """Assert that all that the exchange gave was read, or told as lost; the inbox must be empty."""
        ledger = self.ledger
        given: dict[tuple[str, str], int] = defaultdict(int)
        for (channel, origin), numbers in ledger.offered.items():
            given[channel, origin.name] += len(numbers)
        for (channel, origin), gaps in ledger.missed.items():
            given[channel, origin.name] += sum(gap.count for gap in gaps)
        read: dict[tuple[str, str], int] = defaultdict(int)
        for counts in (ledger.taken, ledger.told):
            for (channel, origin), count in counts.items():
                read[channel, origin.name] += count
        assert {key: count for key, count in given.items() if count} == dict(read)

    def _origin(self, gap: Gap) -> NodeId:
        return NodeId(gap.origin, 0)  # a gap does not say of which run; counted by name


Share = tuple[str, str, NodeId, int]
"""A group, a channel, an origin, and the number of a publish: what exactly one member should get."""


class Shares:
    """What groups of a whole world should get, and who has got it."""

    def __init__(self) -> None:
        self.expected: set[Share] = set()
        """Of publishes that found somebody of the group."""
        self.given: dict[Share, Pid] = {}
        """Whom it was given to, be it that it was dropped for that one."""
        self.accepted: set[Share] = set()
        self._asked: dict[tuple[NodeId, Share], int] = {}

    def asked(self, host: NodeId, origin: NodeId, frame: Offer) -> None:
        """Note that a node was asked: once for each message and group, and perhaps once before for credit alone."""
        for group, eagerness in frame.claims:
            for item in frame.items:
                asked = host, (group, frame.channel, origin, item.sequence)
                former = self._asked.setdefault(asked, -1)
                assert former < 0 or former == Eagerness.CREDIT < eagerness, "a node was asked twice"
                self._asked[asked] = eagerness

    def give(self, share: Share, member: Pid) -> None:
        """Note that a member gets a message."""
        assert share in self.expected, "nobody of the group was there when it was published"
        assert share not in self.given, "two members got it"
        self.given[share] = member


class SharingRecorder(Recorder):
    """A member of a group that writes down what it gets."""

    __slots__ = ("shares",)

    def __init__(self, pid: Pid, pattern: str, group: str, inbox: Inbox, shares: Shares) -> None:
        super().__init__(pid, pattern, inbox, queue=group)
        self.shares = shares

    def offer(self, run: Run) -> int:
        """Take a run."""
        shares = [(self.queue, run.channel, run.origin, item.sequence) for item in run.items]
        for share in shares:
            self.shares.give(share, self.pid)
        accepted = super().offer(run)
        self.shares.accepted |= set(shares[:accepted])
        return accepted

    def note_gap(self, origin: NodeId, gap: Gap) -> None:
        """Take a gap: nothing but its own inbox tells a member of one."""
        raise AssertionError("a member was told of what others got")

    def check_order(self, stream: Stream, numbers: list[int]) -> None:
        """Take any order: what one node could not take comes late."""
