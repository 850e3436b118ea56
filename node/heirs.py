"""What waited for a member of a group whose client is gone: it was never sent, so it is for the other members here."""

from __future__ import annotations

from functools import partial
from typing import Final

from liminal_mesh.cluster import Eagerness

from .exchange import Exchange
from .inbox import Anchor, Inbox
from .orders import part_of
from .queueing import Fate
from .shared import Shared
from .values import Gap

__all__ = ["hand_down"]

ALL: Final = 1 << 62


def hand_down(shared: Shared, exchange: Exchange, group: str, inbox: Inbox) -> None:
    """Give the messages of an inbox to other members of its group at this node.

    Members at other nodes get none of it: no node passes on what another one has sent it. What nobody here takes is
    given up, and counted.
    """
    while (entry := inbox.take(ALL)) is not None:
        if isinstance(entry, Gap | Anchor):
            continue
        run, start, stop = entry
        channel = exchange.channels.channels.get(run.channel)
        queue = None
        if channel is not None and not channel.failed:
            exchange.current(channel)
            queue = channel.queue(group)
        if channel is None or queue is None:
            shared.statistics.untaken += stop - start
            continue
        fates = queue.give(part_of(run, start, stop), Eagerness.ANY, partial(shared.supervisor.crashed, channel))
        shared.statistics.untaken += sum(count for count, fate in fates if fate > Fate.DEFERRED)
