"""Runs of real processes under faults, recorded, and held to the promises by the checker of ``tests/history``."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.history.check import Report
from tests.history.events import Gap

from .fleet import Fleet
from .proxy import Proxy
from .recording import CHANNELS, PATIENCE_S, RecordedMesh

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

PROVE = bool(os.environ.get("LIMINAL_PROVE"))
ROUNDS = 6 if PROVE else 1
INBOX = {"messages": 150}
LIMITS = {
    "channels": 100, "channel_lane_bytes": "1MiB", "connections": 8, "dedup_keys": 10_000, "dedup_keys_node": 10_000,
    "groups": 100, "handshakes": 16, "inbox_bytes_connection": "4MiB", "inbox_bytes_node": "8MiB",
    "max_frame": "256KiB", "peers": 4, "process_links": 1000, "processes": 100, "registry_entries": 1000,
}  # fmt: skip
"""So low that memory beyond them would show."""
KEYED = "k"
"""The channel of what bears keys; no other subscription covers it, since its books are kept by key."""


@asynccontextmanager
async def recorded(fleet: Fleet, folder: Path, *names: str, **told: Any) -> AsyncIterator[RecordedMesh]:
    """Run recorded nodes that are linked through proxies; whoever has a defect is not waited for as long."""
    async with AsyncExitStack() as stack:
        proxies = {name: await stack.enter_async_context(Proxy()) for name in names}
        options = {"inbox": INBOX, "limits": LIMITS, "channels": [{"name": KEYED, "inbox": INBOX}]}
        patience_s = 5.0 if "defect" in told else PATIENCE_S
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
        worker.call("listen", key="keyed", pattern=KEYED),
        worker.call("listen", key="shared", pattern="t.x", group="g", wait="cluster", max_in_flight=64),
        worker.call("listen", key="shares", pattern="t.>", group="g", where=(2, 1), max_in_flight=4, pause=0.002),
    )


async def publish(mesh: RecordedMesh, name: str) -> None:
    """Let a process publish in every way."""
    worker = mesh.workers[name]
    for client, how, channel, pace, burst in (
        ("a", "awaited", "t.x", 0.02, 2),
        ("w", "windowed", "t.x", 0.05, 8),
        ("n", "unawaited", "t.y", 0.05, 8),
        ("d", "windowed", "t.deep.z", 0.1, 4),
    ):
        await worker.call("traffic", client=client, how=how, channel=channel, pace=pace, burst=burst)
    for content in ("one", "two"):
        await worker.call("trying", content=content, channel=KEYED, pace=0.02)


async def come_and_go(mesh: RecordedMesh, name: str, halted: asyncio.Event) -> None:
    """Subscribe, and unsubscribe, again and again."""
    number = 0
    while not halted.is_set():
        number += 1
        fields: dict[str, Any] = {"pattern": ("t.x", "t.>")[number % 2], "wait": ("cluster", None)[number % 3 == 0]}
        fields["where"] = (None, (5, 2))[number % 2]
        fields["group"] = "" if number % 2 else "g"
        await mesh.workers[name].call("listen", key=f"brief{number}", **fields)
        await asyncio.sleep(0.3)
        await mesh.workers[name].call("leave", key=f"brief{number}")


async def suffer(mesh: RecordedMesh, to_client: Proxy, chance: random.Random) -> None:
    """Every fault once, in some order: links reset or swallowed, nodes frozen or killed, a client cut off."""

    async def reset() -> None:
        mesh.reset(chance.choice("abc"))

    async def freeze() -> None:
        mesh.note("freeze c")
        mesh.workers["c"].freeze()
        await asyncio.sleep(1.0)
        mesh.workers["c"].thaw()

    async def swallow() -> None:
        name = chance.choice("abc")
        mesh.note(f"swallow what goes to {name}")
        mesh.proxies[name].swallow(outbound=chance.random() < 0.5)
        await asyncio.sleep(7.0 if PROVE else 1.0)  # after 5 s the sessions end; before, all of it is only late
        mesh.proxies[name].heal()

    async def cut() -> None:
        mesh.note("cut the client off")
        to_client.reset()

    async def restart() -> None:
        await mesh.kill("b")
        await asyncio.sleep(0.3)
        await mesh.node("b")
        await mesh.linked()
        await listen(mesh, "b")
        await publish(mesh, "b")

    faults = [reset, reset, reset, freeze, swallow, cut, cut, restart]
    chance.shuffle(faults)
    for fault in faults:
        await fault()
        await asyncio.sleep(chance.uniform(0.3, 1.0))


async def test_a_recorded_run_under_faults_keeps_the_promises(fleet: Fleet, tmp_path: Path) -> None:
    """P1, P3, P4, P5, P12: three nodes and clients, every way to publish, slow and brief subscribers, every fault."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    async with recorded(fleet, tmp_path, "a", "b", "c") as mesh, Proxy() as to_client:
        node = mesh.workers
        to_client.point(node["c"].addresses["client"])
        both = [node[name].addresses["client"] for name in ("b", "a")]
        await mesh.client("k", to_client.address)
        await mesh.client("m", *both)
        await mesh.client("p", node["a"].addresses["client"])
        for name in ("a", "b", "c", "k", "m"):
            await listen(mesh, name)
        for name in ("a", "b", "c", "k", "p"):
            await publish(mesh, name)

        halted = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(come_and_go(mesh, "a", halted))
            tasks.create_task(come_and_go(mesh, "p", halted))
            for _ in range(ROUNDS):
                await suffer(mesh, to_client, chance)
            halted.set()
        report = await mesh.verdict()

    print(report)
    held(report, mesh)
    assert report.ok > 1000 * ROUNDS, str(report)
    assert report.recovered > 0, "no publish of unknown outcome arrived"
    said = {proc: {one.moment for one in samples} for proc, samples in report.history.usage.items()}
    living = {proc for proc, one in report.history.lifetimes.items() if not one.killed}
    assert living == {proc for proc, moments in said.items() if moments == {"before", "during", "after"}}, said
    tries = [one.end for one in report.history.attempts.values() if one.end is not None]
    assert len({end.key for end in tries if end.delivered}) > 50 * ROUNDS, str(report)
    assert sum(end.duplicate for end in tries) > 50 * ROUNDS, str(report)
    went_wrong = {end.error.partition(":")[0] for end in tries}
    assert went_wrong & {"InFlight", "OutcomeUnknown"}, f"too little went wrong with keys: {went_wrong}"
    shared = [one for one in report.history.subscriptions.values() if one.asked.group]
    taken = Counter(key for one in shared for key in one.got)
    last = [key for key in report.history.publications if "/last/" in key[0]]
    assert last
    assert [taken[key] for key in last] == [1] * len(last), "all was quiet, and a group did not get the last messages"
    assert len(taken) > 500 * ROUNDS, str(report)
    gaps = [event for event in report.history.events if isinstance(event, Gap)]
    assert {gap.reason for gap in gaps} >= {"overflow", "link"}, "too few losses: this shows little"


@pytest.mark.parametrize(
    ("defect", "found"),
    [
        ("silent_overflow", {"E4", "F2"}),
        ("silent_link", {"F2"}),
        ("delivered_twice", {"E2", "F1"}),
        ("delivered_backwards", {"E3", "F1", "O1"}),
        ("sent_twice", {"F3"}),
        ("shared_twice", {"E6"}),
        ("unsifted", {"E7"}),
        ("oversifted", {"E4", "F2"}),
    ],
)
async def test_a_recorded_run_of_a_broken_bus_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: set[str]
) -> None:
    """The same processes, with a defect planted in the shipped code of the nodes."""
    async with recorded(fleet, tmp_path, "a", "b", defect=defect) as mesh:
        for name in ("a", "b"):
            await mesh.workers[name].call("listen", key="x", pattern="t.x", wait="cluster", max_in_flight=8)
            some = {"pattern": "t.*", "where": (3, 1), "wait": "cluster", "max_in_flight": 8}
            await mesh.workers[name].call("listen", key="some", **some)
            slow = {"pattern": "t.y", "wait": "cluster", "max_in_flight": 8, "pause": 0.01}
            await mesh.workers[name].call("listen", key="y", **slow)
            for key in ("one", "two"):
                await mesh.workers[name].call("listen", key=key, pattern="t.*", group="g", wait="cluster")
        for channel in CHANNELS[:2]:
            options = {"how": "unawaited", "pace": 0.0, "burst": 20, "rounds": 20}
            await mesh.workers["a"].call("traffic", client=channel, channel=channel, **options)
        await mesh.workers["a"].call("finished")
        report = await mesh.verdict()
    assert found <= report.broken(), str(report)


async def test_a_recorded_run_of_nodes_that_forget_keys_is_rejected(fleet: Fleet, tmp_path: Path) -> None:
    """The same contents are published under the same keys on both of them."""
    async with recorded(fleet, tmp_path, "a", "b", defect="forgetful") as mesh:
        for name in ("a", "b"):
            await mesh.workers[name].call("listen", key="keyed", pattern=KEYED, wait="cluster")
        for name in ("a", "b"):
            await mesh.workers[name].call("trying", content="one", channel=KEYED, pace=0.0)
        await asyncio.sleep(0.5)
        report = await mesh.verdict()
    assert report.broken() == {"I3"}, str(report)


@pytest.mark.parametrize(("defect", "found"), [("hoarded", "K1"), ("remembered", "K2")])
async def test_a_recorded_run_of_nodes_that_give_nothing_back_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: str
) -> None:
    """P12: subscriptions come and go, and messages with them."""
    async with recorded(fleet, tmp_path, "a", "b", defect=defect) as mesh:
        node = mesh.workers["a"]
        await node.call("listen", key="all", pattern="t.x", wait="cluster")
        for number in range(10):
            await node.call("listen", key=f"brief{number}", pattern="t.x")
            await node.call("leave", key=f"brief{number}")
        await node.call("traffic", client="x", channel="t.x", how="awaited", pace=0.0, burst=400, rounds=1)
        await node.call("finished")
        report = await mesh.verdict()
    assert found in report.broken(), str(report)
