"""What is offered to groups: whom it goes to when nobody has credit, and what is kept until there is an answer."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE
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
