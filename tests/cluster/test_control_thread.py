"""The thread on which membership lives: how it ends, with an error and without, and what that costs the main loop."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from functools import partial

import pytest

from liminal_mesh.cluster import (
    Control,
    ControlPlane,
    ControlThread,
    MemberChanged,
    MeshLimits,
    NodeId,
    Notice,
    Outbound,
    PeeringOptions,
    ProtocolError,
)
from liminal_mesh.cluster.identity import Address
from liminal_mesh.cluster.swim import LAN
from liminal_mesh.cluster.tcp import TcpNetwork

from ..nodes import DEADLINE_S

BREATH_S = 0.01


class Owner:
    """Hears what becomes known, and lets it be."""

    def member_changed(self, change: MemberChanged) -> None:
        """A change of the view."""

    def member_doubted(self, name: str) -> None:
        """A doubt."""

    def member_departed(self) -> None:
        """The end of a goodbye."""

    def mesh_failed(self, error: Exception) -> None:
        """The end of the run."""

    def mesh_noticed(self, notice: Notice) -> None:
        """Some news."""


class SlowLookups(TcpNetwork):
    """A network whose name server does not answer: what asks it sits in a thread of the loop's, for as long as told."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()

    async def connect(self, factory: Callable[[], asyncio.Protocol], address: Address) -> None:
        """Look the name up, as the system does."""
        await asyncio.get_running_loop().run_in_executor(None, self._look_up)

    def _look_up(self) -> None:
        self.asked.set()
        self.answer.wait()


def thread(network: TcpNetwork) -> ControlThread:
    """Return the thread of a node of its own."""
    rng = random.Random(1)
    limits = MeshLimits(frame=2**20, preauth=4096, lane_bytes=2**20, lane_age_s=1.0)
    options = PeeringOptions("mesh", "127.0.0.1:1")
    loop = asyncio.get_running_loop()
    control = Control(
        NodeId("a", 1), b"run-of-a", [b"key"], options, LAN, rng, lambda: rng.randbytes(32), int, loop.time()
    )
    return ControlThread(partial(ControlPlane, control, Outbound(network, {}), limits), Owner())


async def test_what_breaks_on_the_threads_loop_ends_the_thread_and_is_raised_where_it_runs() -> None:
    """A callback that raises leaves timers unset: half a membership would look alive, and take others for dead."""
    control = thread(TcpNetwork())
    running = asyncio.create_task(control.run())
    control.met(NodeId("no name that a node could bear", 1), "127.0.0.1:1")

    with pytest.raises(ProtocolError, match="a member whose name no node can bear"):
        async with asyncio.timeout(DEADLINE_S):
            await running


async def test_the_main_loop_goes_on_while_the_thread_ends_however_long_its_lookups_take() -> None:
    network = SlowLookups()
    control = thread(network)
    running = asyncio.create_task(control.run())
    control.seeds(["somewhere.example:7601"])
    await asyncio.to_thread(network.asked.wait, DEADLINE_S)
    loop = asyncio.get_running_loop()
    longest, before = 0.0, loop.time()

    running.cancel()
    try:
        while not running.done():
            await asyncio.sleep(BREATH_S)
            longest, before = max(longest, loop.time() - before), loop.time()
            control.heard("b")  # what still comes over data links
        longest = max(longest, loop.time() - before)
    finally:
        network.answer.set()

    assert longest < 1.0, f"the main loop stood still for {longest:.2f} s"
