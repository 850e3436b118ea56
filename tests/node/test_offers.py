"""What is offered to groups: whom it goes to when nobody has credit, and what is kept until there is an answer."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, NoRoute, ProtocolError, Reason
from liminal_mesh.node.inbox import Overflow

from .accounting_world import World
from .test_queue_accounting import Receipts

WORK = "a.b"


@pytest.mark.parametrize("full", ["b", "c"])
@pytest.mark.parametrize("overflow", ["drop-oldest", "drop-newest", "reject"])
def test_nothing_is_dropped_while_another_node_has_room(full: str, overflow: Overflow) -> None:
    """Nobody has credit, and one member has no room either: the other's inbox takes it, whoever is asked first."""
    world = World(1, nodes=4)
    host = {one.me.name: one for one in world.hosts}
    stuck = host[full].share(WORK, "g", (1, 1, 1 << 20, overflow))
    world.settle()
    stuck.inbox.lent = 1
    host["a"].publish(WORK, 1, 10)
    busy = host["b" if full == "c" else "c"].share(WORK, "g", (1, 100, 1 << 20, overflow))
    busy.inbox.lent = 1
    settle(world)
    assert (len(stuck.inbox), len(busy.inbox)) == (2, 1)

    pending = Receipts(host["d"], WORK, 1, 1)  # published at a node that knows nothing of either
    host["d"].publish(WORK, 1, 10, CHANNEL_SCOPE, pending)
    settle(world)

    assert (pending.ends, pending.delivered, pending.nodes) == (1, True, {busy.pid.node: "delivered"})
    assert (len(stuck.inbox), stuck.inbox.dropped, len(busy.inbox)) == (2, 0, 2)


def settle(world: World) -> None:
    """Let everything arrive, and nobody read."""
    ends = [end for link in world.links.values() for end in link]
    while any([end.write(1 << 20, 1 << 20) for end in ends] + [end.read(1 << 20) for end in ends]):
        pass


def test_a_peer_that_reads_and_never_answers_is_offered_no_more_than_it_may_owe() -> None:
    """Whether the offers are for groups alone, or publishes, too: those go on, and the group's are passed by."""
    world = World(1, nodes=2)
    a, b = world.hosts
    b.share(WORK, "g", (100, 1000, 1 << 20, "drop-oldest"))
    plain = b.subscribe(WORK, (100, 1000, 1 << 20, "drop-oldest"))
    world.settle()
    near, far = world.links[frozenset("ab")]
    lane, route = near.lane, near.route
    assert route is not None

    for _ in range(1000):
        a.publish(WORK, 10, 100)
        near.write(1 << 20, 1 << 20)
        far.read(1 << 20)
        far.control.clear()

    assert len(plain.ledger.offered[WORK, a.me]) == 10_000
    assert route.offered_bytes <= 5 * lane.bytes_max
    assert a.exchanges[CHANNEL_SCOPE].statistics.untaken > 0


def test_what_a_peer_turned_down_is_passed_on_though_it_answers_more_than_it_was_asked() -> None:
    """It breaks the protocol, and loses its link: nobody's message."""
    world = World(1, nodes=3)
    a, b, c = world.hosts
    leaver, heir = (one.share(WORK, "g", (100, 1000, 1 << 20, "drop-oldest")) for one in (b, c))
    world.settle()
    near, _ = world.links[frozenset("ab")]
    assert near.route is not None
    pending = Receipts(a, WORK, 1, 2)
    a.publish(WORK, 2, 10, CHANNEL_SCOPE, pending)
    with pytest.raises(ProtocolError, match="another one was due"):
        a.exchanges[CHANNEL_SCOPE].offers.answered(near.route, NoRoute("g", 1, 2, Reason.ABSENT))
    world.disconnect(frozenset("ab"))
    settle(world)

    assert (leaver.ledger.offered, sorted(heir.ledger.offered[WORK, a.me])) == ({}, [1, 2])
    assert (pending.ends, pending.undelivered, pending.nodes) == (1, 0, {"c": "delivered"})
