"""What a client that is gone was never sent is for the other members of its group at its node."""

from __future__ import annotations

from liminal_mesh.cluster import CHANNEL_SCOPE
from liminal_mesh.node.heirs import hand_down
from liminal_mesh.node.inbox import Run

from .accounting_world import Host, World
from .ledger import SharingRecorder

WORK = "a.b"


class Heir(SharingRecorder):
    """A member that counts how often it is given something."""

    __slots__ = ("offers",)

    def offer(self, run: Run) -> int:
        """Take a run."""
        self.offers = getattr(self, "offers", 0) + 1
        return super().offer(run)


def leave(host: Host, member: SharingRecorder) -> None:
    """Let a member go as a client does."""
    exchange = host.exchanges[CHANNEL_SCOPE]
    host.unsubscribe(member)
    host.shares.given.clear()
    hand_down(exchange._shared, exchange, "g", member.inbox)


def test_what_came_one_by_one_is_handed_down_in_a_few_runs() -> None:
    """Thousands may wait, for many heirs: each gets its part of each origin in order, and at once."""
    world = World(1, nodes=2)
    a, b = world.hosts
    b.budget.limit = 1 << 30
    first = b.share(WORK, "g", (1, 2000, 1 << 20, "drop-newest"))
    world.settle()
    near, far = world.links[frozenset("ab")]
    for _ in range(300):
        a.publish(WORK, 1, 0)
        b.publish(WORK, 1, 0)
        for one, other in ((near, far), (far, near)):
            one.write(1 << 20, 64)
            other.read(1 << 20)
    heirs = [b.share(WORK, "g", (1, 2000, 1 << 20, "drop-newest"), Heir) for _ in range(2)]
    leave(b, first)

    for origin in (a.me, b.me):
        parts = [one.ledger.offered[WORK, origin] for one in heirs]
        assert sorted(parts[0] + parts[1]) == list(range(1, 301))
        assert all(part == sorted(part) for part in parts)
        assert abs(len(parts[0]) - len(parts[1])) <= 4
    assert all(isinstance(one, Heir) and one.offers <= 6 for one in heirs)
    assert b.exchanges[CHANNEL_SCOPE].statistics.untaken == 0


def test_what_no_heir_has_room_for_is_given_up_and_counted() -> None:
    """As what nobody inherits."""
    world = World(1, nodes=1)
    [host] = world.hosts
    host.budget.limit = 1 << 30
    first = host.share(WORK, "g", (1, 100, 1 << 20, "drop-newest"))
    host.publish(WORK, 50, 0)
    second = host.share(WORK, "g", (1, 9, 1 << 20, "drop-newest"))
    leave(host, first)
    assert (len(second.inbox), host.exchanges[CHANNEL_SCOPE].statistics.untaken) == (10, 40)
    leave(host, second)
    assert host.exchanges[CHANNEL_SCOPE].statistics.untaken == 50
