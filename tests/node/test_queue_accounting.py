"""Each message goes to at most one member of each group, and to exactly one whenever that can be known.

Over the same bad links as plain publishes, whose books must balance beside it. A publish that finds a group is taken by
one member, or given up and counted, or under way when a link ended; nothing else can become of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, ProtocolError
from liminal_mesh.node.exchange_statistics import ExchangeStatistics
from liminal_mesh.node.names import matches
from liminal_mesh.node.offers import Offers
from liminal_mesh.node.orders import Piece
from liminal_mesh.node.queueing import Fate
from liminal_mesh.node.queues import Queue
from liminal_mesh.node.route import Pending, Route

from .accounting_world import Host
from .test_delivery_accounting import CHANNELS, PATTERNS, POLICIES, Walk

GROUPS = ("g", "h")
BLOCK = 20
SEEDS = 4000 if os.environ.get("LIMINAL_PROVE") else 200
STEPS = 400


class Receipts(Pending):
    """Publishes whose publisher waits for all answers."""

    __slots__ = ("channel", "ends", "first", "host")

    def __init__(self, host: Host, channel: str, first: int, count: int) -> None:
        super().__init__(count)
        self.host = host
        self.channel = channel
        self.first = first
        self.ends = 0

    def finished(self) -> None:
        """Count it."""
        self.ends += 1


class QueueWalk(Walk):
    """A walk in which groups share, beside those who get all."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, (CHANNEL_SCOPE,))
        self.shares = self.world.shares
        self.receipts: list[Receipts] = []
        self.passed_on = 0

    def run(self, steps: int) -> None:
        """Take so many steps, and see that all goes on as it should."""
        super().run(steps)
        self.check_quiet()

    def actions(self) -> list[tuple[Callable[[], None], int]]:
        """Return what can happen, and how often."""
        return [
            *super().actions(), (self.share, 10), (self.leave, 5), (self.take, 20), (self.publish_with_receipts, 15),
        ]  # fmt: skip

    def publish_with_receipts(self) -> None:
        """Publish some, and wait for all answers."""
        host, channel = self.rng.choice(self.world.hosts), self.rng.choice(CHANNELS)
        count = self.rng.choice((1, 1, 2, 5, 30))
        pending = Receipts(host, channel, host.published[CHANNEL_SCOPE][channel] + 1, count)
        if host.publish(channel, count, self.rng.choice((0, 10, 200)), CHANNEL_SCOPE, pending):
            self.receipts.append(pending)

    def share(self) -> None:
        """Let a member of a group subscribe, with an inbox that may be far too small."""
        host = self.rng.choice(self.world.hosts)
        size = self.rng.choice((700, 3000, 1 << 20))
        policy = self.rng.choice((*POLICIES, "reject"))
        inbox = (self.rng.choice((1, 8, 100)), self.rng.choice((1, 10, 1000)), size, policy)
        host.share(self.rng.choice(PATTERNS), self.rng.choice(GROUPS), inbox)

    def leave(self) -> None:
        """Let a member leave."""
        host = self.rng.choice(self.world.hosts)
        if host.sharing:
            host.unsubscribe(self.rng.choice(host.sharing))

    def take(self) -> None:
        """Let a member read."""
        host = self.rng.choice(self.world.hosts)
        if host.sharing:
            self.rng.choice(host.sharing).read(self.rng, self.rng.choice((1, 5, 100)))

    def check(self) -> None:
        """Assert that the books of all subscriptions balance, and those of the groups."""
        super().check()
        given_up, unknown = self.given_up(), self.unknown()
        self.passed_on = sum(one.passed_on for one in self._counters())
        taken, expected = len(self.shares.accepted), len(self.shares.expected)
        assert expected - given_up - unknown <= taken <= expected - given_up, (
            f"of {expected} {taken} were taken, {given_up} given up, {unknown} unknown"
        )
        for host in self.world.hosts:
            for member in host.sharing:
                member.check_inbox()
        for ends in self.world.links.values():
            for end in ends:
                assert end.route is not None
                assert (end.route.offered_bytes, end.route.unsettled()) == (0, [])
        self.check_receipts()

    def check_receipts(self) -> None:
        """Assert that each publisher who waited was told, once, and the truth."""
        plain = self._plain()
        for one in self.receipts:
            assert one.left == 0
            unknown = "unknown" in one.nodes.values()
            for index in range(one.count):
                number = one.first + index
                taken = bool(one._taken[index]) or bool(one.local)
                shares = {(group, one.channel, one.host.me, number) for group in GROUPS}
                reached = bool(shares & self.shares.accepted) or (one.channel, one.host.me, number) in plain
                assert taken <= reached, "told as taken, and nobody has it"
                assert taken or unknown or not shares & self.shares.accepted, "taken, and not told"

    def _plain(self) -> set[tuple[str, object, int]]:
        """Return what anybody got who is in no group."""
        hosts = (*self.world.past, *self.world.hosts)
        return {
            (channel, origin, number)
            for host in hosts
            for subscriber in (*host.subscribers, *host.gone)
            for (channel, origin), numbers in subscriber.ledger.offered.items()
            for number in numbers
        }

    def check_quiet(self) -> None:
        """Assert that now, with all links up and everything read, each publish comes to one member of each group."""
        before, given_up, unknown = len(self.shares.accepted), self.given_up(), self.unknown()
        expected = set(self.shares.expected)
        for host in self.world.hosts:
            host.publish("a.b", 3, 10)
        self.world.settle()
        fresh = self.shares.expected - expected
        assert self.unknown() == unknown
        assert len(self.shares.accepted) - before == len(fresh) - (self.given_up() - given_up)
        members = [one for host in self.world.hosts for one in host.sharing if matches(one.pattern, "a.b")]
        assert {share[0] for share in fresh} <= {one.queue for one in members}

    def given_up(self) -> int:
        """Return how many messages no member took."""
        return sum(one.untaken for one in self._counters())

    def unknown(self) -> int:
        """Return how many were under way when a link ended."""
        return sum(one.offers_unknown for one in self._counters())

    def _counters(self) -> list[ExchangeStatistics]:
        hosts = (*self.world.past, *self.world.hosts)
        return [host.exchanges[CHANNEL_SCOPE].statistics for host in hosts]


def walk(seed: int) -> QueueWalk:
    """Take the walk of a seed; a failure names it."""
    one = QueueWalk(seed)
    try:
        one.run(STEPS)
    except AssertionError as error:
        error.add_note(f"seed {seed}")
        raise
    return one


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_each_message_goes_to_one_member_or_is_accounted_for(first: int) -> None:
    """Whatever links, lanes and inboxes do, whoever comes and goes; and offers are really passed on."""
    walks = [walk(seed) for seed in range(first, first + BLOCK)]
    assert sum(one.passed_on for one in walks) > 50
    assert sum(one.receipts != [] for one in walks) == BLOCK


def _ask_again_what_was_written(patch: pytest.MonkeyPatch) -> None:
    """Ask others for all that a node has not answered when its link ends."""
    unsettled = Route.unsettled
    patch.setattr(Route, "unsettled", lambda self: [(piece, False) for piece, _ in unsettled(self)])


def _forget_what_was_not_written(patch: pytest.MonkeyPatch) -> None:
    """Keep nothing of what a lane held when its link ends."""
    unsettled = Route.unsettled
    patch.setattr(Route, "unsettled", lambda self: [one for one in unsettled(self) if one[1]])


def _ask_anybody_again(patch: pytest.MonkeyPatch) -> None:
    """Forget who was asked."""
    patch.setattr(Piece, "after", lambda self, *_, **__: self)


def _ask_nobody_else(patch: pytest.MonkeyPatch) -> None:
    """Leave it at the first answer."""
    patch.setattr(Offers, "_pass_on", lambda *_: None)


def _take_without_giving(patch: pytest.MonkeyPatch) -> None:
    """Say that a member has it when none has room."""
    give = Queue.give

    def lie(self: Queue, *asked: object) -> list[tuple[int, Fate]]:
        fates = give(self, *asked)  # type: ignore[arg-type]
        return [(count, Fate.TAKEN if fate == Fate.FULL else fate) for count, fate in fates]

    patch.setattr(Queue, "give", lie)


def _give_to_two(patch: pytest.MonkeyPatch) -> None:
    """Give each message to two members that are at one node."""
    give = Queue.give

    def twice(self: Queue, *asked: object) -> list[tuple[int, Fate]]:
        give(self, *asked)  # type: ignore[arg-type]
        return give(self, *asked)  # type: ignore[arg-type]

    patch.setattr(Queue, "give", twice)


def _tell_receipts_wrongly(patch: pytest.MonkeyPatch) -> None:
    """Count every part of a batch from its beginning."""
    cut = Piece.cut

    def cut_wrongly(self: Piece, start: int, stop: int) -> Piece:
        piece = cut(self, start, stop)
        piece.first = 0
        return piece

    patch.setattr(Piece, "cut", cut_wrongly)


@pytest.mark.parametrize(
    "plant",
    [
        _ask_again_what_was_written, _forget_what_was_not_written, _ask_anybody_again, _ask_nobody_else,
        _take_without_giving, _give_to_two, _tell_receipts_wrongly,
    ],
)  # fmt: skip
def test_what_goes_wrong_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule, when it is not kept, shows within a few seeds."""
    plant(monkeypatch)
    for seed in range(40):
        try:
            walk(seed)
        except (AssertionError, ProtocolError, RecursionError):
            return
    pytest.fail("nobody noticed")
