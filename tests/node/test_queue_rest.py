"""Whatever was asked ends: an offer is answered, a publisher told, a key settled, and a lane gets room again.

Over bad links as in :mod:`.test_queue_accounting`, with members that break, clients that leave messages behind, bursts,
keys, nodes that hang, and publishers that give up.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, Encoding, Envelope
from liminal_mesh.node.errors import InFlight, KeyReused, Rejected
from liminal_mesh.node.heirs import hand_down
from liminal_mesh.node.inbox import Overflow, Run
from liminal_mesh.node.keyed import Keyed
from liminal_mesh.node.message import give_key
from liminal_mesh.node.offers import Offers
from liminal_mesh.node.orders import Order, Piece
from liminal_mesh.node.route import Route

from ..supervising import Crash
from .ledger import KEYED, SharingRecorder
from .test_delivery_accounting import CHANNELS, PATTERNS, Walk
from .test_queue_accounting import GROUPS, QueueWalk, Receipts

POLICIES: tuple[Overflow, ...] = ("drop-oldest", "drop-newest", "reject", "disconnect")
BLOCK = 20
SEEDS = 4000 if os.environ.get("LIMINAL_PROVE") else 100
STEPS = 400


class Breaking(SharingRecorder):
    """A member on which the third delivery crashes."""

    __slots__ = ("offers",)

    def offer(self, run: Run) -> int:
        """Take a run, or break."""
        self.offers = getattr(self, "offers", 0) + 1
        if self.offers == 3:
            raise Crash
        return super().offer(run)


class RestlessWalk(QueueWalk):
    """A walk in which all sorts of things go wrong at once."""

    def run(self, steps: int) -> None:
        """Take so many steps, and see that all comes to rest."""
        Walk.run(self, steps)

    def actions(self) -> list[tuple[Callable[[], None], int]]:
        """Return what can happen, and how often."""
        return [
            *super().actions(), (self.share_and_break, 4), (self.leave_behind, 4), (self.burst, 3),
            (self.publish_once, 20), (self.hang, 3), (self.give_up, 3),
        ]  # fmt: skip

    def share_and_break(self) -> None:
        """Let a member subscribe that will break."""
        host = self.rng.choice(self.world.hosts)
        inbox = (self.rng.choice((1, 8)), self.rng.choice((1, 1000)), 1 << 20, self.rng.choice(POLICIES))
        host.share(self.rng.choice(PATTERNS), self.rng.choice(GROUPS), inbox, Breaking)

    def leave_behind(self) -> None:
        """Let a member leave as a client does: what it was not sent is for others."""
        host = self.rng.choice(self.world.hosts)
        if host.sharing:
            member = self.rng.choice(host.sharing)
            host.unsubscribe(member)
            member.inbox.release()
            for run, start in [entry for entry in member.inbox._queue if isinstance(entry[0], Run)]:
                assert isinstance(run, Run)
                for item in run.items[start:]:
                    self.shares.given.pop((member.queue, run.channel, run.origin, item.sequence))
            exchange = host.exchanges[CHANNEL_SCOPE]
            hand_down(exchange._shared, exchange, member.queue, member.inbox)

    def burst(self) -> None:
        """Publish many at once, and wait for all answers."""
        host, channel = self.rng.choice(self.world.hosts), self.rng.choice((*CHANNELS, KEYED))
        pending = Receipts(host, channel, 0, 200)
        if host.publish(channel, 200, self.rng.choice((0, 10)), CHANNEL_SCOPE, pending):
            self.receipts.append(pending)

    def publish_once(self) -> None:
        """Publish with a key that others may use, too, for this message or another."""
        host = self.rng.choice(self.world.hosts)
        exchange = host.exchanges[CHANNEL_SCOPE]
        channel, pending = exchange.resolve(KEYED), Receipts(host, KEYED, 0, 1)
        item = Envelope(0, 0, 0, 0, Encoding.RAW, self.rng.choice((b"x", b"x", b"x", b"y")))
        give_key(item, f"key {len(self.receipts) // 12} {self.rng.randrange(2)}")
        self.shares.expected |= {(queue.group, KEYED, host.me, channel.sequence + 1) for queue in channel.queues}
        try:
            exchange.accept_once(channel, item, 1, pending)
        except (InFlight, KeyReused, Rejected):
            return
        host.published[CHANNEL_SCOPE][KEYED] = channel.sequence
        self.receipts.append(pending)

    def hang(self) -> None:
        """Let membership say that a node hangs, or that it goes on."""
        routes = [end.route for link in self.world.links.values() for end in link if end.route is not None]
        if routes:
            self.rng.choice(routes).stalled = self.rng.random() < 0.5

    def give_up(self) -> None:
        """Let the time of a publish be up."""
        waiting = [one for one in self.receipts if one.left > 0]
        if waiting:
            self.rng.choice(waiting).expire()

    def check(self) -> None:
        """Assert that nobody waits for anything."""
        for ends in self.world.links.values():
            for end in ends:
                route = end.route
                assert route is not None
                waits = bool(end.lane), route.crowded, route.offered_bytes, route.unsettled()
                assert waits == (False, False, 0, [])
        for host in self.world.hosts:
            host.registry.validate()
            exchange = host.exchanges[CHANNEL_SCOPE]
            assert (exchange.offers.unanswered, exchange.offers.wanted) == (False, False)
            assert not any(exchange.resolve(name).crowded for name in (*CHANNELS, KEYED))
            assert exchange._shared.keys.dedup.claimed == 0, "a key that nobody settles"
        for one in self.receipts:
            if one.host in self.world.hosts:
                assert one.left == 0, "a publish that never ends"
                assert one.ends <= 1


def walk(seed: int) -> RestlessWalk:
    """Take the walk of a seed; a failure names it."""
    one = RestlessWalk(seed)
    try:
        one.run(STEPS)
    except AssertionError as error:
        error.add_note(f"seed {seed}")
        raise
    return one


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_whatever_was_asked_ends(first: int) -> None:
    """And it is not for want of keys, answers and crashes."""
    walks = [walk(seed) for seed in range(first, first + BLOCK)]
    receipts = [one for each in walks for one in each.receipts]
    assert sum(one.keyed is not None for one in receipts) > BLOCK
    assert sum(isinstance(one, Breaking) for each in walks for host in each.world.hosts for one in host.gone) > BLOCK


def _tell_nobody_of_what_is_given_up(patch: pytest.MonkeyPatch) -> None:
    """Drop without a word."""
    patch.setattr(Order, "dropped", lambda *_: None)


def _forget_what_is_suppressed(patch: pytest.MonkeyPatch) -> None:
    """Take that for no answer."""
    patch.setattr(Order, "suppressed", lambda *_: None)


def _keep_the_key(patch: pytest.MonkeyPatch) -> None:
    """Release none that nobody took."""
    patch.setattr(Keyed, "release", lambda _: None)


def _answer_nothing(patch: pytest.MonkeyPatch) -> None:
    """Leave a peer without answers."""
    patch.setattr(Offers, "answered", lambda *_: None)


def _ask_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Ask again who could not take it."""
    patch.setattr(Piece, "after", lambda self, _, full=False: self.again())


def _count_only_up(patch: pytest.MonkeyPatch) -> None:
    """Count what a peer owes, and never what it answered."""
    settled = Route.settled

    def forgetful(self: Route, *answer: object) -> list[Piece]:
        owed = self.offered_bytes
        pieces = list(settled(self, *answer))  # type: ignore[arg-type]
        self.offered_bytes = owed
        return pieces

    patch.setattr(Route, "settled", forgetful)


@pytest.mark.parametrize(
    "plant",
    [
        _tell_nobody_of_what_is_given_up, _forget_what_is_suppressed, _keep_the_key, _answer_nothing, _ask_for_ever,
        _count_only_up,
    ],
)  # fmt: skip
def test_what_never_ends_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these shows within a few seeds."""
    plant(monkeypatch)
    for seed in range(40):
        try:
            walk(seed)
        except (AssertionError, RecursionError):
            return
    pytest.fail("nobody noticed")
