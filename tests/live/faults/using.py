"""What a recorded process uses, written down: memory, descriptors, tasks, queues and what waits in them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Set
from typing import Any

from liminal_mesh.cluster.wire import CONTROL_BYTES_MAX, HIGH_WATER_BYTES, WRITE_BYTES
from liminal_mesh.node.client import Client
from liminal_mesh.node.config_limits import LimitsConfig
from liminal_mesh.node.node import Node
from tests.history.events import Moment, Usage
from tests.history.invariants.bounds import RETURNED, SLACK
from tests.history.recorder import Recorder
from tests.usage import descriptors, resident_bytes

from .placing import Place

__all__ = ["Meter", "caps_bytes"]

SAMPLE_S = 0.1
ENTRY_BYTES = 512
"""What an entry of a table that is bounded by its number may weigh, with all that points at it."""


def caps_bytes(limits: LimitsConfig) -> int:
    """Return the sum of what a node may keep on behalf of others, by its configuration.

    A connection may have half a frame that has come, and what is on its way out: a block, the transport's buffer, and
    control frames. A peer has two connections, and a lane.
    """
    connection = limits.max_frame + WRITE_BYTES + HIGH_WATER_BYTES + CONTROL_BYTES_MAX
    peer = 2 * connection + limits.channel_lane_bytes + limits.registry_entries * ENTRY_BYTES
    newcomers = 3 * limits.handshakes * (limits.preauth_frame + HIGH_WATER_BYTES)
    tables = limits.dedup_keys_node + limits.channels + limits.groups + limits.processes + limits.process_links
    return (
        limits.inbox_bytes_node
        + limits.connections * connection
        + limits.peers * peer
        + newcomers
        + tables * ENTRY_BYTES
    )


class Meter:
    """Writes down what a process uses.

    Args:
        bus: what runs in it.
        recorder: its history.
        commands: tasks that are not counted, since they carry out what the test asks of the process.
    """

    def __init__(
        self,
        bus: Node | Client,
        recorder: Recorder,
        commands: Set[asyncio.Task[Any]],
    ) -> None:
        self._bus = bus
        self._recorder = recorder
        self._place = Place(bus, recorder)
        self._commands = commands
        self._before: Counter[str] = Counter()
        self._sampling: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Say what there is before the work, once, and go on to say it from time to time."""
        if self._sampling is None:
            self._before = self._counts()
            self._sampling = asyncio.create_task(self._sample())
            self._write("before", self._counts())

    async def end(self, timeout: float) -> None:
        """Wait until there is as much of everything as before, or for the time that it may take; then say it."""
        if self._sampling is None:
            return
        await self.halt()
        deadline = asyncio.get_running_loop().time() + timeout
        while self._risen() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(SAMPLE_S)  # nobody tells of all of these
        self._write("after", self._counts())

    @property
    def waiting(self) -> int:
        """How much waits in queues now."""
        return self._counts()["waiting"]

    async def halt(self) -> None:
        """Say no more from time to time."""
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.wait([self._sampling])

    def _risen(self) -> bool:
        counts = self._counts()
        return any(abs(counts[name] - self._before[name]) > SLACK for name in RETURNED)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._write("during", self._counts())

    def _write(self, moment: Moment, counts: Counter[str]) -> None:
        caps = caps_bytes(self._bus.config.limits) if isinstance(self._bus, Node) else 0
        used = Usage(
            **self._place.at(),
            moment=moment,
            resident=resident_bytes(),
            descriptors=counts["descriptors"],
            tasks=counts["tasks"],
            queues=counts["queues"],
            waiting=counts["waiting"],
            caps=caps,
            session=self._place.session,
        )
        self._recorder.write(used)

    def _counts(self) -> Counter[str]:
        queues = _of_node(self._bus) if isinstance(self._bus, Node) else _of_client(self._bus)
        return queues + Counter(descriptors=descriptors(), tasks=len(asyncio.all_tasks() - self._commands))


def _of_node(node: Node) -> Counter[str]:
    run = node._run
    if run is None:  # it has left
        return Counter()
    inboxes = [one.inbox for table in run.hub.exchange._shared.tables for one in table.everyone()]
    lanes = [link.lane for link in run.hub.mesh.links.values()] if run.hub.mesh is not None else []
    connections = run.server.connections.values()
    return Counter(
        queues=len(inboxes) + len(lanes) + sum(len(one.deliveries.held) for one in connections),
        waiting=sum(inbox.queued for inbox in inboxes) + sum(map(bool, lanes)),
    )


def _of_client(client: Client) -> Counter[str]:
    return Counter(queues=len(client.feeds._holders), waiting=len(client.ledger._sinks))
