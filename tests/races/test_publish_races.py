"""Races of publishes with the registry and with links: shipped exchanges and lanes, and streams that stand still."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, Encoding, Envelope, PeerLane
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.inbox import Overflow
from liminal_mesh.node.route import Pending

from ..node.accounting_world import End, Host, World
from ..node.ledger import Recorder, SharingRecorder
from ..nodes import mesh, until

INBOX: tuple[int, int, int, Overflow] = (100, 1000, 1 << 20, "drop-oldest")
ALL = 1 << 20


class Awaited(Pending):
    """A publish that waits for its receipts, and counts its ends."""

    __slots__ = ("ends",)

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.ends = 0

    def finished(self) -> None:
        """Count it."""
        self.ends += 1


class Two:
    """Two nodes and the link between them, of which a test moves every byte: ``near`` is a's end, ``far`` b's."""

    def __init__(self) -> None:
        self.world = World(1, nodes=2)
        self.a, self.b = self.world.hosts
        self.exchange_a, self.exchange_b = (host.exchanges[CHANNEL_SCOPE] for host in self.world.hosts)
        self.near: End
        self.far: End
        self.link()

    def link(self) -> None:
        """Make a link; neither end has noticed it."""
        self.world.connect(self.a, self.b)
        self.near, self.far = self.world.links[frozenset("ab")]
        for end in (self.near, self.far):
            end.lane = PeerLane(end.host.me.epoch, ALL, 5.0)

    def settle(self) -> None:
        """Let everything arrive."""
        self.world.settle()

    def cross(self) -> None:
        """Let what waits at a arrive at b."""
        self.near.write(ALL, ALL)
        self.far.read(ALL)


def offered(subscriber: Recorder, host: Host, channel: str = "a.b") -> list[int]:
    """Return the numbers of a node's publishes that a subscriber was given."""
    return subscriber.ledger.offered[channel, host.me]


def test_r17_publishes_go_to_a_peer_whose_groups_are_not_known_yet_and_it_filters() -> None:
    """R17: link up, nothing synced: everything is sent, what nobody wants is dropped and counted, nothing is missed."""
    two = Two()
    a, b = two.a, two.b
    subscriber = b.subscribe("a.b", INBOX)
    two.near.start()
    two.far.start()
    assert a.registry.nodes_of(CHANNEL_SCOPE, "a.b") == frozenset()
    assert a.registry.unsynced(CHANNEL_SCOPE) == {"b"}
    waiting = Awaited(1)
    two.exchange_a.accept(two.exchange_a.resolve("a.b"), [Envelope(0, 0, 0, 0, Encoding.RAW, b"x")], 1, waiting)
    a.publish("a.c", 2, 10)
    two.cross()

    assert offered(subscriber, a) == [1]
    assert two.exchange_b.statistics.stale_forward == 2
    assert waiting.nodes == {}, "a peer that gets everything is not one that is known to be interested"
    two.settle()
    received = two.exchange_b.statistics.received
    a.publish("a.c", 5, 10)
    a.publish("a.b", 1, 10)
    two.settle()
    assert offered(subscriber, a) == [1, 2]
    assert two.exchange_b.statistics.received == received + 1, "a peer that is synced gets what it wants, and no more"


@pytest.mark.parametrize("in_use", [False, True])
def test_r18_what_is_in_flight_when_the_last_member_leaves_is_dropped_and_counted_there(in_use: bool) -> None:
    """R18: the receiver resolves, whether or not the channel is in use there: who left gets no more, who stays all."""
    two = Two()
    a, b = two.a, two.b
    if in_use:
        b.publish("a.b", 1, 10)
    leaver, stayer = b.subscribe("a.b", INBOX), b.subscribe("a.c", INBOX)
    two.settle()
    for channel in ("a.b", "a.c"):
        a.publish(channel, 3, 10)
    two.near.write(ALL, ALL)
    b.unsubscribe(leaver)
    late = b.subscribe("a.*", INBOX)  # it covers the channel, and joined when the three were under way
    b.unsubscribe(late)
    two.far.read(ALL)

    assert offered(leaver, a) == offered(late, a) == []
    assert offered(stayer, a, "a.c") == [1, 2, 3]
    assert two.exchange_b.statistics.stale_forward == 3
    two.settle()
    a.publish("a.b", 4, 10)
    two.settle()
    assert two.exchange_b.statistics.stale_forward == 3, "a still sends what nobody wants"


def shared(member: SharingRecorder, host: Host) -> list[int]:
    """Return the numbers of a node's publishes that a member of a group was given."""
    return member.ledger.offered["a.b", host.me]


class Three(Two):
    """Two, and a third node that is linked with the first; what crosses that link is moved all at once."""

    def __init__(self) -> None:
        self.world = World(1, nodes=3)
        self.a, self.b, self.c = self.world.hosts
        self.exchange_a, self.exchange_b, _ = (host.exchanges[CHANNEL_SCOPE] for host in self.world.hosts)
        self.link()
        self.world.connect(self.a, self.c)
        self.other = self.world.links[frozenset("ac")]
        for end in self.other:
            end.lane = PeerLane(end.host.me.epoch, ALL, 5.0)

    def answer(self) -> None:
        """Let what waits at b arrive at a, and what that brings about arrive at c."""
        self.far.write(ALL, ALL)
        self.near.read(ALL)
        self.other[0].write(ALL, ALL)
        self.other[1].read(ALL)


def offer(three: Three, count: int) -> Awaited:
    """Publish at a, and let it be on its way to b."""
    waiting = Awaited(count)
    assert three.a.publish("a.b", count, 10, pending=waiting)
    three.near.write(ALL, ALL)
    return waiting


def test_r18_what_is_in_flight_when_the_last_member_leaves_is_for_the_next_node() -> None:
    """R18: the receiver says NOROUTE for just these messages; the next node is asked, and nobody gets them twice."""
    three = Three()
    leaver, heir = three.b.share("a.*", "g", INBOX), three.c.share("a.b", "g", INBOX)
    three.settle()
    waiting = offer(three, 20)
    theirs = 10
    assert waiting.nodes == {"b": "sent", "c": "sent"}
    three.b.unsubscribe(leaver)
    three.far.read(ALL)
    assert three.exchange_b.statistics.stale_forward == theirs
    three.answer()

    assert (shared(leaver, three.a), sorted(shared(heir, three.a))) == ([], list(range(1, 21)))
    assert three.exchange_a.statistics.passed_on == theirs
    three.settle()
    assert (waiting.nodes, waiting.ends, waiting.undelivered) == ({"c": "delivered"}, 1, 0)


def test_r18_a_message_that_no_node_can_take_is_given_up_and_counted() -> None:
    """R18: each node is asked once; the last one has nobody either."""
    three = Three()
    leavers = [three.b.share("a.b", "g", INBOX), three.c.share("a.b", "g", INBOX)]
    three.settle()
    waiting = offer(three, 2)
    for leaver in leavers:
        (three.b if leaver is leavers[0] else three.c).unsubscribe(leaver)
    three.settle()

    assert three.exchange_a.statistics.untaken == 2
    assert (waiting.ends, waiting.delivered, waiting.undelivered) == (1, False, 2)
    assert set(waiting.nodes.values()) == {"dropped"}


@pytest.mark.parametrize("arrived", [False, True])
def test_r19_an_offer_that_was_written_when_the_link_went_is_for_nobody_else(arrived: bool) -> None:
    """R19: nobody knows whether it was taken; what was never written is for the next node."""
    three = Three()
    member, heir = three.b.share("a.b", "g", INBOX), three.c.share("a.b", "g", INBOX)
    three.settle()
    waiting = offer(three, 20)
    later = Awaited(20)
    three.a.publish("a.b", 20, 10, pending=later)  # its part for b stays in the lane
    if arrived:
        three.far.read(ALL)
    three.near.stream.clear()
    three.world.disconnect(frozenset("ab"))
    three.settle()

    assert three.exchange_a.statistics.offers_unknown == 10
    assert len(shared(member, three.a)) == (10 if arrived else 0)
    assert len(shared(heir, three.a)) == 30
    assert (waiting.nodes, waiting.ends) == ({"b": "unknown", "c": "delivered"}, 1)
    assert (later.nodes, later.ends, later.undelivered) == ({"c": "delivered"}, 1, 0)


def test_r17_one_of_publishes_are_not_sent_to_a_peer_whose_groups_are_not_known_yet() -> None:
    """R17: it would have to be asked by everyone, and two could take it."""
    two = Two()
    two.b.share("a.b", "g", INBOX)
    two.near.start()
    two.far.start()
    waiting = Awaited(1)
    two.a.publish("a.b", 1, 10, pending=waiting)
    two.settle()

    assert two.exchange_b.statistics.delivered == 0
    assert waiting.delivered is False
    assert two.a.publish("a.b", 1, 10)
    two.settle()
    assert two.exchange_b.statistics.delivered == 1


@pytest.mark.parametrize("arrived", [False, True])
def test_r19_what_is_in_flight_when_the_link_goes_is_unknown_and_is_not_sent_again(arrived: bool) -> None:
    """R19: whether it arrived or not, its receipt says that nobody knows; no duplicate, and a loss shows as a gap."""
    two = Two()
    a, b = two.a, two.b
    subscriber = b.subscribe("a.b", INBOX)
    two.settle()
    waiting = Awaited(2)
    items = [Envelope(0, 0, 0, 0, Encoding.RAW, b"x") for _ in range(2)]
    two.exchange_a.accept(two.exchange_a.resolve("a.b"), items, 1, waiting, receipts=True)
    a.published[CHANNEL_SCOPE]["a.b"] += 2
    assert waiting.nodes == {"b": "sent"}
    two.near.write(ALL, ALL)
    if arrived:
        two.far.read(ALL)
    two.near.stream.clear()
    two.world.disconnect(frozenset("ab"))

    assert (waiting.nodes, waiting.ends, waiting.left) == ({"b": "unknown"}, 1, 0)
    assert waiting.delivered is None
    two.link()
    received = two.exchange_b.statistics.received
    two.settle()
    assert two.exchange_b.statistics.received == received, "it was sent again"
    gaps = [(gap.first, gap.last) for gap in subscriber.ledger.missed["a.b", a.me]]
    assert (offered(subscriber, a), gaps) == (([1, 2], []) if arrived else ([], [(1, 2)]))
    assert waiting.ends == 1


async def test_r22_a_client_that_is_lost_leaves_by_the_function_by_which_others_unsubscribe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R22: one table, one way out of it: an explicit end, the end of the program's own, the death of a connection."""
    left: list[str] = []
    leave = Registry.leave

    def spy(self: Registry, scope: int, group: str, number: int) -> bool:
        left.append(group)
        return leave(self, scope, group, number)

    monkeypatch.setattr(Registry, "leave", spy)
    async with mesh(1) as (a,):
        async with a.subscribe("m.own"), connect(f"liminal://{a.addresses['client']}") as client:
            async with client.subscribe("m.explicit"), client.subscribe("m.lost"):
                assert len(a.running.registry.groups(CHANNEL_SCOPE)) == 3
                (connection,) = a.running.server.connections.values()
            await until(a, lambda: len(left) == 2)
            async with client.subscribe("m.dead"):
                connection.wire.abort("the test pulls the plug")
                await until(a, lambda: "m.dead" in left)
        assert set(left) >= {"m.explicit", "m.lost", "m.dead", "m.own"}
        await until(a, lambda: not a.running.registry.groups(CHANNEL_SCOPE))
        assert a.running.registry.statistics().entries == 0
