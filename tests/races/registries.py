"""Two registries whose frames a test moves by hand: what a sends, and when it arrives at b."""

from __future__ import annotations

from collections.abc import Sequence

from liminal_mesh.cluster.frames import Heartbeat, LinkFrame
from liminal_mesh.cluster.group_events import Interest, Joined, Left, Purged
from liminal_mesh.cluster.identity import Pid
from liminal_mesh.cluster.registry import Registry

from ..cluster.registry_pair import A, B, Pair, over_the_wire

__all__ = ["GROUP", "arrive", "linked", "of_groups", "pids", "sent", "stated", "told"]

GROUP = 3


def pids(*numbers: int) -> tuple[Pid, ...]:
    """Return processes of node a."""
    return tuple(Pid(*A, number) for number in numbers)


def linked(ring_records: int = 65_536) -> Pair:
    """Return two registries with a session, both synced, and nothing under way."""
    pair = Pair(Registry(A, ring_records=ring_records), Registry(B, ring_records=ring_records))
    pair.up()
    pair.run()
    return pair


def sent(pair: Pair, entries_max: int = 4096) -> list[LinkFrame]:
    """Return what a puts on the wire to b next; the test decides when it arrives."""
    return pair.a.registry.pump("b", entries_max)


def arrive(pair: Pair, *frames: LinkFrame) -> list[LinkFrame]:
    """Let frames of a arrive at b, and check everything after each; returns what b answers."""
    answers: list[LinkFrame] = []
    for frame in frames:
        answers += pair.b.registry.receive(A, over_the_wire(frame))
        pair.b.mirror.check()
    return answers


def stated(pair: Pair) -> Heartbeat:
    """Return a's next heartbeat."""
    return Heartbeat(1, 1, pair.a.registry.positions("b"), [])


def told(pair: Pair) -> list[Joined | Left | Purged]:
    """Return what b's watchers were told of members."""
    return [event for event in pair.b.mirror.events if not isinstance(event, Interest)]


def of_groups(frames: Sequence[LinkFrame]) -> list[LinkFrame]:
    """Return the frames of the scope that the tests use."""
    return [frame for frame in frames if getattr(frame, "scope", GROUP) == GROUP]
