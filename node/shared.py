"""What the exchanges of one node have in common: the last message id, the counters, and the bound on what waits."""

from __future__ import annotations

from collections.abc import Callable

from liminal_mesh.cluster import NodeId, Registry

from .channel_table import ChannelTable
from .exchange_statistics import ExchangeStatistics
from .inbox import Budget, Inbox
from .keyed import Keys
from .sizes import Sizes
from .subscribers import Listener
from .supervision import Supervisor

__all__ = ["Shared"]


class Shared:
    """The one owner of what is counted over all scopes.

    Args:
        me: this node.
        registry: who is interested where.
        clock_ns: nanoseconds since 1970.
        budget: what all inboxes here may hold together.
        supervisor: hears of deliveries that crash.
        keys: what is remembered of publishes with keys.
        sizes: the bounds of a message.
    """

    def __init__(
        self,
        me: NodeId,
        registry: Registry,
        clock_ns: Callable[[], int],
        budget: Budget,
        supervisor: Supervisor,
        keys: Keys,
        sizes: Sizes,
    ) -> None:
        self.me = me
        self.registry = registry
        self.clock_ns = clock_ns
        self.budget = budget
        self.supervisor = supervisor
        self.keys = keys
        self.sizes = sizes
        self.statistics = ExchangeStatistics()
        self.tables: list[ChannelTable] = []
        """Of each exchange."""
        self.mailboxes: dict[Inbox, Listener] = {}
        """Of processes that have joined a group, if only once: they may hold messages of groups that they have left."""
        # Grows across restarts because the epoch does: a million ids for each of its milliseconds.
        self.last_id = me.epoch * 1_000_000

    def evict(self) -> None:
        """Empty the largest inboxes into gaps until all together hold no more than they may."""
        while self.budget.passed:
            held = [(one.inbox, one.listener) for table in self.tables for one in table.everyone()]
            inbox, listener = max([*held, *self.mailboxes.items()], key=lambda one: one[0].bytes)
            if not inbox.bytes:
                return
            inbox.evict()
            self.statistics.evicted += 1
            listener.ready()

    def retire(self, inbox: Inbox) -> None:
        """Count what an inbox dropped that gets no more, and give its share of the budgets back."""
        self.mailboxes.pop(inbox, None)
        self.statistics.overflowed += inbox.dropped
        inbox.release()
