"""What is given to members of groups message by message: what has a key, and what may be shed.

Each node remembers what its members of a group have taken under a key. What a peer offers is shed here as a publish of
its own would be: it is left to members at other nodes.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from liminal_mesh.cluster import Eagerness, queue_name

from .channel import Channel
from .inbox import Run
from .keyed import digest_of, has_key, key_of
from .orders import part_of
from .queueing import Fate
from .queues import Queue
from .shared import Shared

__all__ = ["Given", "give"]


class Given(NamedTuple):
    """What became of ``size`` messages; of one that was suppressed, what was taken before, and if it was another."""

    size: int
    fate: Fate
    original: int = 0
    reused: bool = False


def give(shared: Shared, channel: Channel, queue: Queue, run: Run, eagerness: Eagerness) -> list[Given]:
    """Give messages to members of a group at this node, each to one, and what has a key only once.

    What was published here was looked at for its importance before; what comes from a peer is looked at now.

    Raises:
        ProtocolError: a key is none.
    """
    crashed = partial(shared.supervisor.crashed, channel)
    shedding = channel.press is not None and channel.press.shedding and run.origin != shared.me
    if not (shedding or has_key(run.items)):
        given = [Given(*one) for one in queue.give(run, eagerness, crashed)]
    else:
        given = []
        for index, item in enumerate(run.items):
            part = part_of(run, index, index + 1)
            shed = shedding and channel.press is not None and channel.press.sheds(item)
            if has_key((item,)):
                given.append(_give_once(shared, channel, queue, part, eagerness, shed=shed))
            elif shed:
                given.append(Given(1, Fate.FULL))
            else:
                given += [Given(*one) for one in queue.give(part, eagerness, crashed)]
    shared.statistics.delivered += sum(one.size for one in given if one.fate <= Fate.DEFERRED)
    if shared.budget.passed:
        shared.evict()
    return given


def _give_once(shared: Shared, channel: Channel, queue: Queue, run: Run, eagerness: Eagerness, *, shed: bool) -> Given:
    keys, [item] = shared.keys, run.items
    key, name = key_of(item), queue_name(channel.name, queue.group)
    before = keys.taken_before(name, key)
    if before is not None:
        return Given(1, Fate.SUPPRESSED, before.message_id, before.digest != digest_of(item))
    if shed or not keys.room(name, key):  # without room it could not be told from its own retry
        return Given(1, Fate.FULL)
    [(_, fate)] = queue.give(run, eagerness, partial(shared.supervisor.crashed, channel))
    if fate <= Fate.DEFERRED:
        keys.taken(name, key, item, channel.settings.dedup_window_s)
    return Given(1, fate)
