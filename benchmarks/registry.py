"""What changes of process groups cost: milliseconds of CPU in the shipped registry alone, without a network."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import cast

from liminal_mesh.cluster import NodeId, Registry
from liminal_mesh.cluster.replication import RegistryFrame

__all__ = ["exits", "joins", "purge"]

SCOPE = 3
"""The scope of process groups; the others cost the same."""

PUMP_ENTRIES = 1024
ONE, OTHER = NodeId("one", 1), NodeId("other", 1)


async def joins() -> tuple[float, dict[str, str]]:
    """Measure 20,000 joins to 1,000 groups, each with its record and its digest."""
    own, applied = [], []
    for watched in (False, True):
        one, other = _pair(watched)
        own.append(_spent(partial(_join, one, 20_000, 1000)))
        applied.append(_spent(partial(_feed, one, other)))
    return own[0], _notes(own[1], applied)


async def exits() -> tuple[float, dict[str, str]]:
    """Measure 10,000 exits out of groups with 20,000 members."""
    own, applied = [], []
    for watched in (False, True):
        one, other = _pair(watched)
        _join(one, 20_000, 1000)
        _feed(one, other)
        own.append(_spent(partial(_leave, one, 10_000, 1000)))
        applied.append(_spent(partial(_feed, one, other)))
    return own[0], {**_notes(own[1], applied), "OTP's pg, as published": "22,300 ms"}


async def purge() -> tuple[float, dict[str, str]]:
    """Measure the end of a session with a peer that has 50,000 members in 5,000 groups."""
    took = []
    for watched in (False, True):
        one, other = _pair(watched)
        _join(one, 50_000, 5000)
        _feed(one, other)
        took.append(_spent(partial(other.session_down, ONE.name, "noconnection")))
        assert other.groups(SCOPE) == {}
    return took[0], {"with a watcher, who is told of each": f"{took[1]:.1f} ms"}


def _pair(watched: bool) -> tuple[Registry, Registry]:
    """Return two registries with a session; the second has asked for what the first has."""
    one, other = Registry(ONE), Registry(OTHER)
    one.session_up(OTHER)
    for request in other.session_up(ONE):
        one.receive(OTHER, cast("RegistryFrame", request))
    for registry in (one, other) if watched else ():
        registry.watch(lambda _: None)
    return one, other


def _join(registry: Registry, processes: int, groups: int) -> None:
    for number in range(processes):
        registry.join(SCOPE, f"group.{number % groups}", number)


def _leave(registry: Registry, processes: int, groups: int) -> None:
    for number in range(processes):
        registry.leave(SCOPE, f"group.{number % groups}", number)


def _feed(one: Registry, other: Registry) -> None:
    """Let the second apply all that the first has to tell."""
    while frames := one.pump(OTHER.name, PUMP_ENTRIES):
        for frame in frames:
            for answer in other.receive(ONE, cast("RegistryFrame", frame)):
                one.receive(OTHER, cast("RegistryFrame", answer))
    assert one.acknowledged(OTHER.name, SCOPE) == one.position(SCOPE)


def _spent(work: Callable[[], object]) -> float:
    gc.collect()  # what was made for the last measurement is not this one's cost
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def _notes(watched: float, applied: list[float]) -> dict[str, str]:
    peer = f"{applied[0]:.1f} ms, with a watcher {applied[1]:.1f} ms"
    return {"with a watcher": f"{watched:.1f} ms", "applied by a peer": peer}
