"""Meshes under faults, recorded, and held to the promises by the checker of ``tests/history``."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.history.check import Report
from tests.history.events import Deliver, Gap, Version

from .fleet import Fleet
from .proxy import Proxy
from .runs import come_and_go, held, listen, publish, recorded
from .shapes import NARROW, ONE, TWO
from .suffering import Suffering

PROVE = bool(os.environ.get("LIMINAL_PROVE"))
SEEDS = 3 if PROVE else 1
ROUNDS = 3 if PROVE else 1
DEAF_S = 7.0 if PROVE else 1.0
"""After 5 s sessions end over it; before, all of it is only late."""

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800 if PROVE else 400)]


def assert_typed(report: Report) -> None:
    """Assert that schemas had something to say: payloads that they refuse, and versions that follow others."""
    ends = [one.end.error for one in report.history.publications.values() if one.end is not None]
    refused = [error for error in ends if error.startswith("SchemaRejected")]
    came = Counter(one.version for one in report.history.events if isinstance(one, Deliver) and one.version)
    assert len(refused) > 20 * ROUNDS, str(report)
    assert set(came) == {ONE.id, TWO.id, NARROW.id}, f"too few versions: {came}"
    evolved = Counter((one.type, one.forced) for one in report.history.events if isinstance(one, Version))
    assert set(evolved) >= {("fail", False), ("ok", True)}, f"no version was forced: {evolved}"


def assert_causal(report: Report) -> None:
    """Assert that parents were waited for, in vain too, and that what waited was overtaken."""
    asked = [one for one in report.history.subscriptions.values() if one.asked.causal_s]
    came = [one for subscription in asked for one in subscription.firsts if one.cause is not None]
    assert sum(one.orphaned for one in came) > 20 * ROUNDS, "too few waited in vain"
    assert sum(not one.orphaned for one in came) > 100 * ROUNDS, "too few have followed their parents"


def assert_pressed(report: Report) -> None:
    """Assert that consumers were full, and that each way to deal with it was taken."""
    ends = [one.end for one in report.history.publications.values() if one.end is not None]
    decisions = Counter(one.pressure[0] for one in ends if one.pressure is not None)
    assert min(decisions[one] for one in ("accept", "defer", "reject")) > 10 * ROUNDS, decisions
    refused = Counter("sheds" in one.error for one in ends if one.error.startswith("Rejected"))
    assert min(refused[shed] for shed in (False, True)) > 10 * ROUNDS, f"refused, and of that shed: {refused}"
    assert any("dropped" in one.nodes.values() for one in ends), "nobody was told that a node dropped anything"
    assert any(one.left and "LimitExceeded" in one.left.error for one in report.history.subscriptions.values())


@pytest.mark.parametrize("run", range(SEEDS))
async def test_a_recorded_run_under_faults_keeps_the_promises(fleet: Fleet, tmp_path: Path, run: int) -> None:
    """P1, P3, P4, P5, P10, P11, P12: three nodes and clients, every way to publish and to subscribe, every fault."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print(f"run {run}, seed {seed}")
    async with recorded(fleet, tmp_path, "a", "b", "c") as mesh, Proxy() as to_client:
        node = mesh.workers
        to_client.point(node["c"].addresses["client"])
        both = [node[name].addresses["client"] for name in ("b", "a")]
        await asyncio.gather(
            mesh.client("k", to_client.address),
            mesh.client("m", *both),
            mesh.client("p", node["a"].addresses["client"]),
        )
        await asyncio.gather(*(listen(mesh, name) for name in ("a", "b", "c", "k", "m")))
        await asyncio.gather(*(publish(mesh, name) for name in ("a", "b", "c", "k", "p")))

        halted = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(come_and_go(mesh, "a", halted))
            tasks.create_task(come_and_go(mesh, "p", halted))
            suffering = Suffering(mesh, to_client, chance, DEAF_S)
            for _ in range(ROUNDS):
                await suffering.all()
            halted.set()
        report = await mesh.verdict()

    print(report)
    held(report, mesh)
    assert report.ok > 1000 * ROUNDS, str(report)
    assert report.recovered > 0, "no publish of unknown outcome arrived"
    said = {proc: {one.moment for one in samples} for proc, samples in report.history.usage.items()}
    living = {proc for proc, one in report.history.lifetimes.items() if not one.killed} - mesh.drained
    assert living == {proc for proc, moments in said.items() if moments == {"before", "during", "after"}}, said
    tries = [one.end for one in report.history.attempts.values() if one.end is not None]
    assert len({end.key for end in tries if end.delivered}) > 50 * ROUNDS, str(report)
    assert sum(end.duplicate for end in tries) > 50 * ROUNDS, str(report)
    went_wrong = {end.error.partition(":")[0] for end in tries}
    assert went_wrong & {"InFlight", "OutcomeUnknown"}, f"too little went wrong with keys: {went_wrong}"
    shared = [one for one in report.history.subscriptions.values() if one.asked.group]
    taken = Counter(key for one in shared for key in one.got)
    last = [key for key in report.history.publications if "/last/t." in key[0]]
    assert last
    assert [taken[key] for key in last] == [1] * len(last), "all was quiet, and a group did not get the last messages"
    assert len(taken) > 500 * ROUNDS, str(report)
    assert_typed(report)
    assert_causal(report)
    assert_pressed(report)
    assert report.history.closes, "no connection was closed by force"
    gaps = [event for event in report.history.events if isinstance(event, Gap)]
    assert {gap.reason for gap in gaps} >= {"overflow", "link"}, "too few losses: this shows little"
