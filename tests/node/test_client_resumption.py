"""What a client receives over many connections: each number of an origin comes once and in order, or is in a gap.

The nodes it is connected to lie behind each other, have anchored its group or not yet, and have inboxes that are far
too small. Everything that a node would send is made by the shipped inbox, and handed to the shipped feed.
"""

from __future__ import annotations

import os
from collections import defaultdict
from random import Random

import pytest

from liminal_mesh.cluster import Anchored, ClientGap, Credit, Deliver, Encoding, Envelope, NodeId
from liminal_mesh.node.client_feed import ClientFeed
from liminal_mesh.node.inbox import Anchor, Inbox, Overflow, Run
from liminal_mesh.node.receiver import Receiver
from liminal_mesh.node.values import Gap

ORIGIN = NodeId("o", 7)
CHANNELS = ("x", "y")
POLICIES: tuple[Overflow, ...] = ("drop-oldest", "drop-newest")
BLOCK = 100
SEEDS = 20_000 if os.environ.get("LIMINAL_PROVE") else 1000
UNBOUNDED = 1 << 40


class Serving:
    """One subscription at one node: what it hears of the origin, and what it has sent to the client."""

    def __init__(self, rng: Random, heads: dict[str, int], credit: int, *, anchored: bool) -> None:
        self.rng = rng
        self.heads = heads
        self.anchored = anchored
        # Gaps of two reasons that take turns are told as two that overlap, and then a part of them cannot be told.
        self.losing = rng.random() < 0.5
        buffer = UNBOUNDED if self.losing else rng.choice((1, 5, 1000))
        self.inbox = Inbox(credit, buffer, UNBOUNDED, rng.choice(POLICIES))
        self.number = 1
        if anchored:
            self.anchor()

    def anchor(self) -> None:
        """The origin has told where its channels stand."""
        self.anchored = True
        self.inbox.note_anchor(Anchor(ORIGIN, dict(self.heads)))

    def advance(self, channel: str, published: int) -> None:
        """Hear more of what was published, or lose some of it on the way."""
        head = self.heads[channel]
        last = self.rng.randint(head, min(published, head + 20))
        if last == head:
            return
        lost = self.rng.choice((0, last - head, self.rng.randint(0, last - head))) if self.losing else 0
        if lost and self.anchored:
            self.inbox.note_gap(ORIGIN, Gap(channel, ORIGIN.name, head + 1, head + lost, lost, "link", ORIGIN.epoch))
        items = [Envelope(number, number, 1, 1, Encoding.RAW, b"") for number in range(head + lost + 1, last + 1)]
        if items:
            self.inbox.offer(Run(channel, ORIGIN, items))
        self.heads[channel] = last

    def send(self, feed: ClientFeed) -> bool:
        """Send one frame to the client, as a connection does."""
        inbox = self.inbox
        entry = inbox.take(min(max(1, inbox.credit // 4), inbox.credit - inbox.lent))
        match entry:
            case None:
                return False
            case Gap():
                fields = (getattr(entry, name) for name in entry.__struct_fields__)
                feed.gap(ClientGap(1, self.number, *fields))
                self.number += 1
            case Anchor(origin, heads):
                feed.anchored(Anchored(1, *origin, list(heads.items())))
            case (run, start, stop):
                items = run.items[start:stop]
                feed.deliver(Deliver(1, self.number, run.channel, *ORIGIN, items))
                self.number += len(items)
        return True


class Reader(Receiver):
    """What is iterated over: it tells its feed what it is done with."""

    def __init__(self, feed: ClientFeed, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.feed = feed

    def _finished(self, count: int) -> None:
        self.feed.finished(count)


class Walk:
    """A random walk; ``published`` is the truth, the rest is what the reader sees."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.credit = self.rng.choice((1, 4, 50))
        inbox = Inbox(self.credit, UNBOUNDED, UNBOUNDED, "drop-newest")
        self.feed = ClientFeed(1, inbox, lambda: None, self.credited)
        self.reader = Reader(self.feed, inbox)
        self.published = dict.fromkeys(CHANNELS, 0)
        self.last = dict.fromkeys(CHANNELS, 0)
        self.pending: defaultdict[str, int] = defaultdict(int)
        self.serve(Serving(self.rng, dict(self.published), self.credit, anchored=True))
        self.serving.send(self.feed)  # from here on everything counts

    def serve(self, serving: Serving) -> None:
        """Be connected to this node from now on."""
        self.serving = serving

    def credited(self, frame: Credit) -> None:
        """Take credit as the node does."""
        assert frame.count <= self.serving.inbox.lent, "more credit than was used"
        self.serving.inbox.settle(frame.count)

    def reconnect(self) -> None:
        """Lose the connection, with all that is on its way, and make another one."""
        self.feed.begin()
        heads = {channel: self.rng.randint(0, published) for channel, published in self.published.items()}
        self.serve(Serving(self.rng, heads, self.credit, anchored=self.rng.random() < 0.5))

    def read(self) -> bool:
        """Take one item as the reader does."""
        item = self.reader._next()
        if item is None:
            return False
        if isinstance(item, Gap):
            self.pending[item.channel] += item.count
        else:
            expected = self.last[item.channel] + self.pending.pop(item.channel, 0) + 1
            assert item.sequence == expected, f"{item.sequence} of {item.channel}, where {expected} was due"
            self.last[item.channel] = item.sequence
        return True

    def run(self, steps: int) -> None:
        """Walk, then let everything arrive, and count."""
        for _ in range(steps):
            self.step()
        if not self.serving.anchored:
            self.serving.anchor()
        for channel, published in self.published.items():
            while self.serving.heads[channel] < published:
                self.serving.advance(channel, published)
        while self.serving.send(self.feed) or self.read() or self.serving.inbox:
            pass
        for channel, published in self.published.items():
            assert self.last[channel] + self.pending[channel] == published, channel
        assert self.serving.inbox.lent == 0, "credit was lost"

    def step(self) -> None:
        """Do one thing."""
        channel, chance = self.rng.choice(CHANNELS), self.rng.random()
        if chance < 0.15:
            self.published[channel] += self.rng.randint(1, 30)
        elif chance < 0.45:
            self.serving.advance(channel, self.published[channel])
        elif chance < 0.70:
            self.serving.send(self.feed)
        elif chance < 0.93:
            self.read()
        elif chance < 0.97 and not self.serving.anchored:
            self.serving.anchor()
        elif chance >= 0.97:
            self.reconnect()


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_nothing_comes_twice_and_nothing_is_lost_in_silence(first: int) -> None:
    """Over any number of connections, to nodes that know more or less than the one before."""
    for seed in range(first, first + BLOCK):
        try:
            Walk(seed).run(250)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
