"""What waited for a member of a group whose client is gone: it was never sent, so it is for the other members here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from liminal_mesh.cluster import Eagerness

from .exchange import Exchange
from .inbox import Inbox, Run
from .queueing import Fate
from .shared import Shared

if TYPE_CHECKING:
    from liminal_mesh.cluster import Envelope, NodeId

__all__ = ["hand_down"]

ALL: Final = 1 << 62


def hand_down(shared: Shared, exchange: Exchange, group: str, inbox: Inbox) -> None:
    """Give the messages of an inbox to other members of its group at this node, in the order of their origins.

    Members at other nodes get none of it: no node passes on what another one has sent it. What nobody here takes is
    given up, and counted.
    """
    # Put together, since it may be thousands that came one by one: they are shared out in one go.
    streams: dict[tuple[str, NodeId], list[Envelope]] = {}
    while (entry := inbox.take(ALL)) is not None:
        if isinstance(entry, tuple):
            run, start, stop = entry
            streams.setdefault((run.channel, run.origin), []).extend(run.items[start:stop])
    for (name, origin), items in streams.items():
        channel = exchange.channels.channels.get(name)
        queue = None
        if channel is not None and not channel.failed:
            exchange.current(channel)
            queue = channel.queue(group)
        if channel is None or queue is None:
            shared.statistics.untaken += len(items)
            continue
        crashed = partial(shared.supervisor.crashed, channel)
        fates = queue.give(Run(name, origin, items), Eagerness.ANY, crashed)
        shared.statistics.untaken += sum(count for count, fate in fates if fate > Fate.DEFERRED)
