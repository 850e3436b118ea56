"""Recorded runs: how their nodes are configured, and what all their processes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.history.check import Report

from .fleet import Fleet
from .listener import CAUSAL_S
from .pressed import PRESSED, pressed_channels
from .proxy import Proxy
from .recording import PATIENCE_S, RecordedMesh
from .shapes import ONE, TWO, TYPED

__all__ = ["KEYED", "come_and_go", "held", "listen", "publish", "recorded"]

INBOX = {"messages": 150}
LIMITS = {
    "causal_wait": CAUSAL_S, "channels": 100, "channel_lane_bytes": "1MiB", "connections": 8, "dedup_keys": 10_000,
    "dedup_keys_node": 10_000, "groups": 100, "handshakes": 16, "inbox_bytes_connection": "4MiB",
    "inbox_bytes_node": "8MiB", "max_frame": "256KiB", "peers": 4, "process_links": 1000, "processes": 100,
    "registry_entries": 1000,
}  # fmt: skip
"""So low that memory beyond them would show."""
KEYED = "k"
"""The channel of what bears keys; no other subscription covers it, since its books are kept by key."""


@asynccontextmanager
async def recorded(fleet: Fleet, folder: Path, *names: str, **told: Any) -> AsyncIterator[RecordedMesh]:
    """Run recorded nodes that are linked through proxies; whoever has a defect is not waited for as long."""
    async with AsyncExitStack() as stack:
        proxies = {name: await stack.enter_async_context(Proxy()) for name in names}
        channels = [
            {"name": KEYED, "inbox": INBOX},
            {"name": TYPED, "inbox": INBOX, "schema": ONE.document.root},
            *pressed_channels(),
        ]
        options = {"inbox": INBOX, "limits": LIMITS, "channels": channels}
        patience_s = 5.0 if told.get("defect") else PATIENCE_S
        mesh = RecordedMesh(fleet, folder / "history", proxies, patience_s, **options)
        await mesh.nodes(*names, **told)
        yield mesh


def held(report: Report, mesh: RecordedMesh) -> None:
    """Assert that all held; else say what did not, and where the files are."""
    assert not report.violations, f"\n{report}\nfiles: {mesh.folder}"


async def listen(mesh: RecordedMesh, name: str) -> None:
    """Open the subscriptions of a node."""
    worker = mesh.workers[name]
    # Alone: with it the process says what it holds before it has anything to do.
    await worker.call("listen", key="all", pattern="t.>", wait="cluster", max_in_flight=4096)
    await asyncio.gather(
        worker.call("listen", key="early", pattern="t.*"),
        worker.call("listen", key="slow", pattern="t.x", wait="cluster", max_in_flight=8, pause=0.02),
        worker.call("listen", key="some", pattern="t.*", where=(3, 1), wait="cluster", max_in_flight=16, pause=0.002),
        worker.call("listen", key="caused", pattern="t.*", causal=True, wait="cluster"),
        worker.call("listen", key="answers", pattern="t.answer", causal=True, max_in_flight=8, pause=0.005),
        worker.call("listen", key="keyed", pattern=KEYED),
        worker.call("listen", key="typed", pattern=TYPED, wait="cluster", max_in_flight=64),
        worker.call("listen", key="first", pattern=TYPED, schemas=[ONE.id], wait="cluster", max_in_flight=64),
        *(worker.call("listen", key=one, pattern=one, wait="cluster", max_in_flight=4, pause=0.02) for one in PRESSED),
        worker.call("listen", key="shared", pattern="t.x", group="g", wait="cluster", max_in_flight=64),
        worker.call("listen", key="shares", pattern="t.>", group="g", where=(2, 1), max_in_flight=4, pause=0.002),
    )


async def publish(mesh: RecordedMesh, name: str) -> None:
    """Let a process publish in every way."""
    worker = mesh.workers[name]
    for client, how, channel, pace, burst in (
        ("a", "awaited", "t.x", 0.04, 2),
        ("w", "windowed", "t.x", 0.1, 8),
        ("n", "unawaited", "t.y", 0.1, 8),
        ("d", "windowed", "t.deep.z", 0.1, 4),
        ("q", "awaited", "t.ask", 0.2, 2),
        *((f"{one}.a", "awaited", one, 0.4, 8) for one in PRESSED),
        ("p.n", "unawaited", PRESSED[0], 0.5, 8),
        ("p.w", "windowed", PRESSED[2], 0.5, 8),
        ("s", "awaited", TYPED, 0.05, 2),
        ("v", "windowed", TYPED, 0.1, 4),
        ("u", "unawaited", TYPED, 0.1, 2),
    ):
        await worker.call("traffic", client=client, how=how, channel=channel, pace=pace, burst=burst)
    for client, pattern, channel in (("answer", "t.ask", "t.answer"), ("thank", "t.answer", "t.thanks")):
        # Every tenth by each process: about half of them are answered.
        answers = {"client": client, "pattern": pattern, "channel": channel, "every": 10, "rest": ord(name) % 10}
        await worker.call("answering", **answers)
    for content in ("one", "two"):
        await worker.call("trying", content=content, channel=KEYED, pace=0.02)


async def come_and_go(mesh: RecordedMesh, name: str, halted: asyncio.Event) -> None:
    """Subscribe, and unsubscribe, again and again."""
    number = 0
    while not halted.is_set():
        number += 1
        fields: dict[str, Any] = {"pattern": ("t.x", "t.>")[number % 2], "wait": ("cluster", None)[number % 3 == 0]}
        fields["where"] = (None, (5, 2))[number % 2]
        fields["causal"] = number % 4 == 1
        if number % 4 == 2:
            fields = {"pattern": TYPED, "schemas": [ONE.id, TWO.id]}
        elif number % 2 == 0:
            fields["group"] = "g"
        await mesh.workers[name].call("listen", key=f"brief{number}", **fields)
        await asyncio.sleep(0.3)
        await mesh.workers[name].call("leave", key=f"brief{number}")
