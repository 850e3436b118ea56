"""Processes on nodes that are killed, stopped, frozen or started again: whoever cares is told why, and soon."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from .fleet import Fleet, Worker

pytestmark = pytest.mark.live

SILENCE_S = 5.0
"""After how long a peer that says nothing is lost."""

PATIENCE_S = SILENCE_S * 3


async def watched(a: Worker, b: Worker, c: Worker) -> tuple[list[asyncio.Future[Any]], list[asyncio.Future[Any]]]:
    """Let a and c watch, and be linked with, a process of b; return the ends of monitors and of links."""
    pid = await b.call("spawn", key="one", group="g")
    monitors, links = [], []
    for node in (a, c):
        await node.call("spawn", key="one", group="g", link=pid)
        monitors += [node.begin("monitor", pid=one, timeout=PATIENCE_S) for one in (pid, f"b.{b.epoch}.1")]
        links.append(node.begin("exit_of", key="one", timeout=PATIENCE_S))
    await b.call("monitored", count=6, timeout=PATIENCE_S)
    for node in (a, b, c):
        assert len(await node.call("group_members", group="g")) == 3
    return monitors, links


async def ends(
    monitors: list[asyncio.Future[Any]], links: list[asyncio.Future[Any]], reason: str, since: float, within: float
) -> None:
    """See that all were told this reason in time, and that nobody of b is in the group by then."""
    told = await asyncio.gather(*monitors, *links)
    assert {one["reason"] for one in told} == {reason}
    assert max(one["at"] for one in told) - since < within, told
    for one in told:
        assert not [pid for pid in one.get("members", ()) if pid.startswith("b.")]


async def test_a_killed_node_takes_its_processes_with_it_at_once(fleet: Fleet) -> None:
    """Monitors and links on the others fire with noconnection; its members are out by then; old pids stay gone."""
    a, b, c = await fleet.mesh("a", "b", "c")
    monitors, links = await watched(a, b, c)
    before = time.monotonic()
    await b.kill()
    await ends(monitors, links, "noconnection", before, 1.0)

    again = await fleet.node("b", [a.addresses["mesh"]], mesh=b.addresses["mesh"])
    await asyncio.gather(a.linked("b", "c"), c.linked("a", "b"))
    assert again.epoch > b.epoch
    new = await again.call("spawn", key="new", group="g")
    for node in (a, c):
        assert new in await node.call("group_members", group="g")
        for number in (1, 2):
            down = await node.call("monitor", pid=f"b.{b.epoch}.{number}", timeout=1.0)
            assert (down["reason"], down["members"]) == ("noconnection", [new])
        await node.call("spawn", key="late", link=f"b.{b.epoch}.1")
        assert (await node.call("exit_of", key="late", timeout=1.0))["reason"] == "noconnection"
    assert await again.call("running", key="new")


async def test_a_stopped_node_says_shutdown(fleet: Fleet) -> None:
    """Which is not the same as being lost."""
    a, b, c = await fleet.mesh("a", "b", "c")
    monitors, links = await watched(a, b, c)
    before = time.monotonic()
    b.terminate()
    await ends(monitors, links, "shutdown", before, 2.0)
    assert await b.exit_code() == 0


async def test_a_frozen_node_is_lost_after_its_silence(fleet: Fleet) -> None:
    """Both sides give each other's processes up, and when it goes on, what was linked stays over."""
    a, b, c = await fleet.mesh("a", "b", "c")
    monitors, links = await watched(a, b, c)
    before = time.monotonic()
    b.freeze()
    await ends(monitors, links, "noconnection", before, PATIENCE_S)

    b.thaw()
    assert (await b.call("exit_of", key="one", timeout=PATIENCE_S))["reason"] == "noconnection"
    await asyncio.gather(a.linked("b", "c"), c.linked("a", "b"))
    new = await b.call("spawn", key="new", group="g")
    for node in (a, c):
        assert await node.call("group_members", group="g") == [new]
