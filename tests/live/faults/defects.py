"""Defects of the shipped code, planted in one process: a checker that does not find them proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from liminal_mesh.cluster import CHANNEL_SCOPE, NodeId
from liminal_mesh.node.channel import Channel
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.dedup import Dedup
from liminal_mesh.node.inbox import Inbox, Notes, Run
from liminal_mesh.node.queueing import Fate
from liminal_mesh.node.queues import Queue
from liminal_mesh.node.route import Pending, Route
from liminal_mesh.node.subscribers import Subscriber

__all__ = ["DEFECTS"]

HOARD = 300
"""How many megabytes are hoarded: more than the limits of a recorded run allow, and less than would be a nuisance."""


def silent_overflow() -> None:
    """What an inbox has no room for is dropped without a gap."""

    def lose(self: Inbox, notes: Notes, run: Run, start: int, stop: int) -> None:
        self.dropped += stop - start

    setattr(Inbox, "_lose", lose)  # noqa: B010 - of this process alone, here and below


def delivered_twice() -> None:
    """Every message is offered to each subscription twice."""
    offer = Inbox.offer

    def twice(self: Inbox, run: Run) -> int:
        offer(self, run)
        return offer(self, run)

    setattr(Inbox, "offer", twice)  # noqa: B010


def delivered_backwards() -> None:
    """The messages of one turn come in the wrong order."""
    offer = Inbox.offer

    def backwards(self: Inbox, run: Run) -> int:
        return offer(self, Run(run.channel, run.origin, run.items[::-1]))

    setattr(Inbox, "offer", backwards)  # noqa: B010


def sent_twice() -> None:
    """Every publish goes over each link twice; its receiver drops the copy, so that no subscriber sees it."""
    publish = Route.publish

    def twice(self: Route, run: Run, awaited: Pending | None, scope: int = CHANNEL_SCOPE, first: int = 0) -> int:
        publish(self, run, awaited, scope, first)
        return publish(self, run, None, scope)

    setattr(Route, "publish", twice)  # noqa: B010


def silent_link() -> None:
    """Some publishes are lost on the way to a peer, and the peer does not tell its subscribers of the hole."""
    publish, calls = Route.publish, [0]

    def forgetful(self: Route, run: Run, awaited: Pending | None, scope: int = CHANNEL_SCOPE, first: int = 0) -> int:
        calls[0] += 1
        if calls[0] % 5 == 0 and awaited is None:
            return len(run.items)
        return publish(self, run, awaited, scope, first)

    def silent(self: Channel, origin: NodeId, last: int, reason: str) -> int:
        self.heads[origin] = max(last, self.heads.get(origin, 0))
        return 0

    setattr(Route, "publish", forgetful)  # noqa: B010
    setattr(Channel, "pass_over", silent)  # noqa: B010


def forgetful() -> None:
    """A node does not remember which keys its subscribers have taken."""
    setattr(Dedup, "delivered", lambda *_: None)  # noqa: B010


def hoarded() -> None:
    """What an inbox is offered is kept for ever, and it weighs a megabyte."""
    offer, kept = Inbox.offer, list[bytes]()

    def hoard(self: Inbox, run: Run) -> int:
        if len(kept) < HOARD:
            kept.append(b"x" * 1_000_000)
        return offer(self, run)

    setattr(Inbox, "offer", hoard)  # noqa: B010


def remembered() -> None:
    """Whoever has unsubscribed is a subscriber still."""

    def keep(self: ChannelTable, subscriber: Subscriber) -> bool:
        return True

    setattr(ChannelTable, "unsubscribe", keep)  # noqa: B010


def shared_twice() -> None:
    """What is for one member of a group at a node is given to two."""
    give = Queue.give

    def twice(self: Queue, *asked: Any) -> list[tuple[int, Fate]]:
        give(self, *asked)
        return give(self, *asked)

    setattr(Queue, "give", twice)  # noqa: B010


DEFECTS: dict[str, Callable[[], None]] = {
    defect.__name__: defect
    for defect in (
        silent_overflow,
        delivered_twice,
        delivered_backwards,
        sent_twice,
        silent_link,
        forgetful,
        hoarded,
        remembered,
        shared_twice,
    )
}
