"""Nothing is lost in silence: delivered plus gaps equals published, whatever links, lanes and inboxes do.

S4  A publish is given only to a member that is present when it is given (:meth:`.ledger.Recorder.offer`).
S5  Each (origin, epoch, number) is given at most once to a subscriber (:meth:`.ledger.Ledger.check_stream`).
S6  After a join that waited for the cluster, a publish that is then made on any node that acknowledged it reaches the
    member, if the link stays up and its lane has room (:meth:`Walk.check_barriers`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, GROUP_SCOPE, NodeId, Publish, Receipt, Registry
from liminal_mesh.node.arrivals import Arrivals
from liminal_mesh.node.channel import Channel
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.exchange import Exchange
from liminal_mesh.node.inbox import Overflow, Run
from liminal_mesh.node.names import matches

from .accounting_world import End, Host, World
from .ledger import Recorder

CHANNELS = ("a.b", "a.c", "a.d.e")
PATTERNS = (*CHANNELS, "a.*", "a.>", ">")
SCOPE_IDS = ("channels", "groups", "the same names in both")
BLOCK = 40
SEEDS = 4000 if os.environ.get("LIMINAL_PROVE") else 400
STEPS = 400
POLICIES: tuple[Overflow, ...] = ("drop-oldest", "drop-newest")


class Walk:
    """A random walk through what can happen.

    ``acked`` notes what a subscription may rely on: where a peer's channels stood when it had acknowledged the join,
    and the link that was up then. ``vouched`` counts the publishes that had to reach somebody for that.
    """

    def __init__(self, seed: int, scopes: tuple[int, ...]) -> None:
        self.scopes = scopes
        self.world = World(seed, nodes=2 + seed % 3)
        self.rng = self.world.rng
        self.acked: list[tuple[Recorder, NodeId, dict[str, int], tuple[End, End]]] = []
        self.vouched = 0

    def run(self, steps: int) -> None:
        """Take so many steps, then let everything come to rest, and check the books."""
        calls, weights = zip(*self.actions(), strict=True)
        for action in self.rng.choices(calls, weights, k=steps):
            action()
        self.world.settle()
        self.check()
        for host, scope in product(self.world.hosts, self.scopes):
            self.note_acknowledged(host, scope)
        # The books must also balance for what comes after: everything is linked and synced now.
        before = {host.me: {one: dict(host.published[one]) for one in self.scopes} for host in self.world.hosts}
        for host in self.world.hosts:
            for channel, scope in product(CHANNELS, self.scopes):
                accepted = host.publish(channel, 3, 10, scope)
                assert host.published[scope][channel] == before[host.me][scope].get(channel, 0) + 3 * accepted
        self.world.settle()
        self.check()

    def actions(self) -> list[tuple[Callable[[], None], int]]:
        """Return what can happen, and how often."""
        return [
            (self.publish, 24), (self.write, 26), (self.read_link, 30), (self.subscribe, 5), (self.unsubscribe, 4),
            (self.resubscribe, 3), (self.read, 10), (self.connect, 8), (self.start, 12), (self.disconnect, 3),
            (self.age, 3), (self.beat, 3), (self.restart, 1), (self.note_acknowledged, 4),
            (self.repeat, 2),
        ]  # fmt: skip

    def check(self) -> None:
        """Assert that each subscription's books balance."""
        live = {host.me: host for host in self.world.hosts}
        everyone = {host.me: host for host in (*self.world.past, *self.world.hosts)}
        for host in self.world.hosts:
            host.registry.validate()
            for subscriber in host.subscribers:
                assert live.keys() <= subscriber.ledger.anchors.keys(), f"{subscriber.pattern}: not anchored"
                self.check_subscriber(host, subscriber, everyone, live)
                subscriber.check_inbox()
        self.check_barriers(everyone)

    def check_barriers(self, everyone: dict[NodeId, Host]) -> None:
        """Assert S6 for every join of which a peer had said that it knows it."""
        for subscriber, origin, heads, link in self.acked:
            anchor = subscriber.ledger.anchors.get(origin)
            if anchor is not None:
                assert all(anchor.get(channel, 0) <= head for channel, head in heads.items()), "S6: anchored too late"
            (end,) = (end for end in link if end.host.me == origin)
            if link not in self.world.links.values() or not subscriber.present or end.lane.dropped:
                continue
            for channel in CHANNELS:
                if matches(subscriber.pattern, channel):
                    since = range(heads.get(channel, 0) + 1, everyone[origin].published[subscriber.scope][channel] + 1)
                    assert {*since} <= {*subscriber.ledger.offered[channel, origin]}, "S6: it did not reach the member"
                    self.vouched += len(since)

    def check_subscriber(
        self, host: Host, subscriber: Recorder, everyone: dict[NodeId, Host], live: dict[NodeId, Host]
    ) -> None:
        """Assert that the books of one subscription balance for every stream that it covers."""
        table = host.exchanges[subscriber.scope].channels
        covered = {one.name for one in table.matching(subscriber.pattern)}
        for origin, other in everyone.items():
            for channel in CHANNELS:
                own = other is host
                if channel not in covered:
                    continue
                if own or origin in live:
                    published = other.published[subscriber.scope][channel]
                    subscriber.ledger.check_stream((channel, origin), published)
                elif origin in subscriber.ledger.anchors:
                    subscriber.ledger.check_stream((channel, origin), subscriber.ledger.head((channel, origin)))

    # --- what can happen ---

    def publish(self) -> None:
        """Publish some."""
        count = self.rng.choice((1, 1, 2, 5, 30))
        host, channel, size = (
            self.rng.choice(self.world.hosts),
            self.rng.choice(CHANNELS),
            self.rng.choice((0, 10, 200)),
        )
        host.publish(channel, count, size, self.rng.choice(self.scopes))

    def subscribe(self) -> None:
        """Open a subscription, with an inbox that may be far too small."""
        host = self.rng.choice(self.world.hosts)
        scope = self.rng.choice(self.scopes)
        self.open(host, self.rng.choice(PATTERNS if scope == CHANNEL_SCOPE else CHANNELS), scope)

    def open(self, host: Host, pattern: str, scope: int) -> None:
        """Open one."""
        policy = self.rng.choice(POLICIES)
        size = self.rng.choice((700, 3000, 1 << 20))
        inbox = (self.rng.choice((1, 8, 100)), self.rng.choice((1, 10, 1000)), size, policy)
        host.subscribe(pattern, inbox, scope)

    def unsubscribe(self) -> None:
        """Close one."""
        host = self.rng.choice(self.world.hosts)
        if host.subscribers:
            host.unsubscribe(self.rng.choice(host.subscribers))

    def resubscribe(self) -> None:
        """Close one, and open another one of its pattern at once."""
        host = self.rng.choice(self.world.hosts)
        if host.subscribers:
            former = self.rng.choice(host.subscribers)
            host.unsubscribe(former)
            if self.rng.random() < 0.3:
                self.publish()
            self.open(host, former.pattern, former.scope)

    def read(self) -> None:
        """Let a subscriber read."""
        host = self.rng.choice(self.world.hosts)
        if host.subscribers:
            self.rng.choice(host.subscribers).read(self.rng, self.rng.choice((1, 5, 100)))

    def connect(self) -> None:
        """Link two nodes that are not."""
        one, other = self.rng.sample(self.world.hosts, 2)
        if frozenset((one.me.name, other.me.name)) not in self.world.links:
            self.world.connect(one, other)

    def start(self) -> None:
        """Let one end of a link that was made notice it."""
        ends = [end for link in self.world.links.values() for end in link if not end.up]
        if ends:
            self.rng.choice(ends).start()

    def disconnect(self) -> None:
        """Break a link."""
        if self.world.links:
            self.world.disconnect(self.rng.choice(list(self.world.links)))

    def write(self) -> None:
        """Let one end of a link write."""
        if self.world.links:
            end = self.rng.choice(self.rng.choice(list(self.world.links.values())))
            end.write(self.rng.choice((1, 500, 5000)), self.rng.choice((1, 3, 1024)))

    def read_link(self) -> None:
        """Let one end of a link read."""
        if self.world.links:
            end = self.rng.choice(self.rng.choice(list(self.world.links.values())))
            end.read(self.rng.choice((1, 37, 500, 5000)))

    def age(self) -> None:
        """Let time pass: what waits long in a lane makes it refuse."""
        self.world.now += self.rng.choice((0.1, 1.0, 6.0))
        for end in (end for link in self.world.links.values() for end in link):
            end.lane.age(self.world.now)

    def beat(self) -> None:
        """Let one end of a link send its heartbeat."""
        ends = [end for link in self.world.links.values() for end in link if end.up]
        if ends:
            self.rng.choice(ends).beat()

    def repeat(self) -> None:
        """Let publishes arrive once more."""
        if self.world.links:
            self.rng.choice(self.rng.choice(list(self.world.links.values()))).repeat()

    def restart(self) -> None:
        """Kill a node, and start it anew."""
        self.world.restart(self.rng.randrange(len(self.world.hosts)))

    def note_acknowledged(self, host: Host | None = None, scope: int | None = None) -> None:
        """Note where a peer's channels stand for which a barrier of ours would not wait any more (S6)."""
        host = host or self.rng.choice(self.world.hosts)
        scope = self.rng.choice(self.scopes) if scope is None else scope
        position, subscribers = host.registry.position(scope), [one for one in host.subscribers if one.scope == scope]
        for key, ends in self.world.links.items():
            if host.me.name not in key or not (ends[0].up and ends[1].up):
                continue
            peer = next(end.host for end in ends if end.host is not host)
            if host.registry.acknowledged(peer.me.name, scope) >= position:
                reached = [one for one in subscribers if host.exchanges[scope].anchored(one.pattern, peer.me)]
                self.acked += [(one, peer.me, dict(peer.published[scope]), ends) for one in reached]


def walk(seed: int, scopes: tuple[int, ...]) -> Walk:
    """Take the walk of a seed; a failure names it."""
    one = Walk(seed, scopes)
    try:
        one.run(STEPS)
    except AssertionError as error:
        error.add_note(f"seed {seed}, scopes {scopes}")
        raise
    return one


@pytest.mark.parametrize("scopes", [(CHANNEL_SCOPE,), (GROUP_SCOPE,), (CHANNEL_SCOPE, GROUP_SCOPE)], ids=SCOPE_IDS)
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_delivered_plus_gaps_equals_published(first: int, scopes: tuple[int, ...]) -> None:
    """For every subscription and every origin, from the anchor on; S4, S5 and S6 hold, and S6 is not vacuous."""
    assert sum(walk(seed, scopes).vouched for seed in range(first, first + BLOCK)) > 500


def _without_ends(patch: pytest.MonkeyPatch) -> None:
    """Leave who unsubscribed in the table of those who are given publishes."""
    patch.setattr(ChannelTable, "unsubscribe", lambda *_: None)


def _without_numbers(patch: pytest.MonkeyPatch) -> None:
    """Give out what arrives, be it for the second time."""

    def receive(self: Arrivals, channel: Channel, origin: NodeId, frame: Publish) -> Receipt | None:
        self._accepted(channel, Run(channel.name, origin, frame.items))
        return None

    patch.setattr(Arrivals, "_receive_singly", receive)


def _without_barrier(patch: pytest.MonkeyPatch) -> None:
    """Take every peer for one that has acknowledged the join."""
    patch.setattr(Registry, "acknowledged", lambda *_: 1 << 60)
    patch.setattr(Exchange, "anchored", lambda *_: True)


@pytest.mark.parametrize(
    ("plant", "broken"), [(_without_ends, "S4"), (_without_numbers, "S5"), (_without_barrier, "S6")]
)
def test_s4_s5_and_s6_are_found_broken(
    plant: Callable[[pytest.MonkeyPatch], None], broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each property fails within a few seeds of a world in which its rule is not kept."""
    plant(monkeypatch)
    found: list[str] = []
    for seed in range(12):
        try:
            walk(seed, (CHANNEL_SCOPE,))
        except AssertionError as error:
            found.append(str(error))

    assert any(broken in text for text in found), found


def test_nothing_is_kept_of_runs_that_are_over() -> None:
    """However often a peer restarts."""
    world = World(1, nodes=2)
    world.hosts[1].subscribe("a.>", (8, 1000, 1 << 20, "drop-oldest"))
    for _ in range(5):
        world.settle()
        world.hosts[0].publish("a.b", 3, 10)
        world.settle()
        world.restart(0)
    world.settle()

    channels = world.hosts[1].exchanges[CHANNEL_SCOPE].channels
    assert channels.channels["a.b"].heads.keys() <= {world.hosts[0].me}
    assert channels.groups["a.>"].anchored == {world.hosts[0].me}
