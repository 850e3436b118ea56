"""Membership and links of ours alone, as a process under test: ``python -m benchmarks.detection.lite_node JSON``.

The mesh of a node with its data links and control links, without clients, channels and HTTP, so that twenty of them
fit on two cores.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from liminal_mesh.cluster import (
    LAN,
    BusFrame,
    Control,
    ControlPlane,
    ControlThread,
    DnsResolver,
    Link,
    Listener,
    Mesh,
    MeshLimits,
    NodeId,
    Notice,
    Outbound,
    Peering,
    PeeringOptions,
    Registry,
    TcpNetwork,
    derive_key,
    parse_address,
)

from ..roles import loop_run, now
from .liminal_node import changed, tell
from .said import listening, stand_until_told

CLUSTER = "detection"
BACKLOG = 256
PERMITS = 64
LEAVE_S = 1.5
"""Somewhat more than a goodbye takes at most."""


class NoBus:
    """Nobody publishes here. Implements :class:`.link.MeshBus`.

    Attributes:
        moved: set when something may have changed.
    """

    def __init__(self) -> None:
        self.moved = asyncio.Event()

    def link_up(self, link: Link) -> None:
        """A session with a peer stands."""

    def link_down(self, link: Link, reason: str) -> None:
        """It ended."""

    def link_frame(self, link: Link, frame: BusFrame) -> None:
        """Nobody sends any."""

    def mesh_changed(self) -> None:
        """Something may have changed."""
        self.moved.set()

    def lane_room(self) -> None:
        """Nothing waits for room."""

    def seed_changed(self, seed: str, addresses: tuple[str, ...], failure: str) -> None:
        """Seeds are addresses here."""

    def mesh_failed(self, error: Exception) -> None:
        """End loudly: the harness reads it."""
        raise error

    def mesh_noticed(self, notice: Notice) -> None:
        """Nobody looks."""


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def _main(told: dict[str, Any]) -> None:
    begun = now()
    me = NodeId(told["name"], _wall_ms())
    run, nonce = secrets.token_bytes(8), partial(secrets.token_bytes, 32)
    keys = [derive_key(Path(told["cookie_file"]).read_bytes(), CLUSTER)]  # noqa: ASYNC240 - nothing runs yet
    options = PeeringOptions(cluster=CLUSTER, address=told["address"], seeds=tuple(told["seeds"]))
    registry, network, bus = Registry(me), TcpNetwork(), NoBus()
    listener = Listener("mesh", parse_address(told["address"]), BACKLOG, PERMITS, network, options.patience_s)
    listener.open()
    peering = Peering(me, run, keys, registry, options, random.Random(), nonce)
    begin = asyncio.get_running_loop().time()
    control = Control(me, run, keys, options, LAN, random.Random(), nonce, _wall_ms, begin)
    outbound, limits = Outbound(network, told["overrides"]), MeshLimits()
    plane = partial(ControlThread, partial(ControlPlane, control, outbound, limits))
    mesh = Mesh(peering, plane, registry, bus, me, listener, outbound, limits, DnsResolver(()))
    listening(me.epoch, begun)
    peering.membership.watch(changed)
    tell(peering.membership.members())
    running = asyncio.create_task(mesh.run())

    async def leave() -> None:
        mesh.drain("shutdown")
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                while mesh.links or not mesh.departed:
                    bus.moved.clear()
                    await bus.moved.wait()
        running.cancel()
        await asyncio.wait([running])

    await stand_until_told(leave)


if __name__ == "__main__":
    loop_run(_main(json.loads(sys.argv[1])))
