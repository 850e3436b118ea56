"""Recorded runs of processes with a defect in them: the checker of ``tests/history`` finds it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.history.check import Report
from tests.history.events import Deliver

from .fleet import Fleet
from .pressed import PRESSED
from .recording import CHANNELS
from .runs import KEYED, recorded
from .shapes import ONE, TWO, TYPED

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

PROVE = bool(os.environ.get("LIMINAL_PROVE"))


def planted(*cases: tuple[str, set[str]]) -> pytest.MarkDecorator:
    """Plant no defect and the first one, and in ``make prove`` each of them; ``found`` is what has to find it."""
    return pytest.mark.parametrize(("defect", "found"), cases if PROVE else cases[:2])


def rejected(report: Report, defect: str, found: set[str]) -> None:
    """Assert that the invariants found a defect; and, without one, that they found nothing in the same run."""
    if defect:
        assert found <= report.broken(), str(report)
    else:
        assert not report.broken(), str(report)


@planted(
    ("", set()),
    ("silent_overflow", {"E4", "F2"}),
    ("silent_link", {"F2"}),
    ("delivered_twice", {"E2", "F1"}),
    ("delivered_backwards", {"E3", "F1", "O1"}),
    ("sent_twice", {"F3"}),
    ("shared_twice", {"E6"}),
    ("unsifted", {"E7"}),
    ("oversifted", {"E4", "F2"}),
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
    rejected(report, defect, found)


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


@planted(
    ("", set()),
    ("unchecked", {"S1"}),
    ("incomplete", {"S2"}),
    ("unevolved", {"S2"}),
    ("unasked", {"S3"}),
)
async def test_a_recorded_run_of_nodes_that_take_schemas_lightly_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: set[str]
) -> None:
    """What is published is complete, or can be, or never; a version follows, and then one that is forced."""
    async with recorded(fleet, tmp_path, "a", "b", defect=defect) as mesh:
        node = mesh.workers["a"]
        await mesh.all("listen", key="typed", pattern=TYPED, wait="cluster")
        for number in range(3):
            options = {"how": "awaited", "pace": 0.0, "burst": 20, "rounds": 1}
            await node.call("traffic", client=f"{number}", channel=TYPED, **options)
            await node.call("finished")
            await node.call("evolve")
            await node.call("listen", key=f"{number}", pattern=TYPED, schemas=[ONE.id, TWO.id])
        report = await mesh.verdict()
    rejected(report, defect, found)


@planted(
    ("", set()),
    ("uncausal", {"O4"}),
    ("impatient", {"O4"}),
)
async def test_a_recorded_run_of_programs_that_do_not_wait_for_parents_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: set[str]
) -> None:
    """Questions are answered on the other node, and some answers name questions that nobody asks."""
    async with recorded(fleet, tmp_path, "a", "b", defect=defect) as mesh:
        await mesh.all("listen", key="caused", pattern="t.*", causal=True, wait="cluster")
        answers = {"client": "answer", "pattern": "t.ask", "channel": "t.answer", "every": 1, "rest": 0}
        await mesh.workers["b"].call("answering", **answers)
        questions = {"client": "q", "channel": "t.ask", "how": "awaited", "pace": 0.0, "burst": 40, "rounds": 1}
        await mesh.workers["a"].call("traffic", **questions)
        await mesh.workers["a"].call("finished")
        report = await mesh.verdict()
    rejected(report, defect, found)
    orphans = [one for one in report.history.events if isinstance(one, Deliver) and one.orphaned]
    assert bool(orphans) == (defect != "uncausal")


@planted(
    ("", set()),
    ("sheds_all", {"R2"}),
    ("takes_all", {"R1"}),
    ("denied", {"R3"}),
)
async def test_a_recorded_run_of_nodes_that_mistake_how_full_consumers_are_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: set[str]
) -> None:
    """Consumers are too slow at both nodes, and each channel does something else about it."""
    async with recorded(fleet, tmp_path, "a", "b", defect=defect) as mesh:
        for channel in PRESSED:
            slow = {"pattern": channel, "wait": "cluster", "max_in_flight": 4, "pause": 0.02}
            await mesh.all("listen", key=channel, **slow)
        for channel in PRESSED:
            options = {"how": "awaited", "pace": 0.3, "burst": 40, "rounds": 3}
            await mesh.all("traffic", client=channel, channel=channel, **options)
        await mesh.all("finished")
        report = await mesh.verdict()
    rejected(report, defect, found)


@planted(
    ("", set()),
    ("unmoved", {"X1"}),
    ("speechless", {"X2"}),
)
async def test_a_recorded_run_of_nodes_that_do_not_part_with_clients_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: set[str]
) -> None:
    """A client publishes all the time, also while its node closes its connection."""
    async with recorded(fleet, tmp_path, "a", "b", defect=defect) as mesh:
        client = await mesh.client("k", mesh.workers["a"].addresses["client"])
        await mesh.all("listen", key="x", pattern="t.x", wait="cluster")
        for number in range(4):
            await client.call("traffic", client=f"{number}", channel="t.x", how="awaited", pace=0.0, burst=8)
        closed = 0
        while closed < 3:  # it comes back each time
            await asyncio.sleep(0.2)
            closed += await mesh.workers["a"].call("expel", reason=f"reason {closed}", most=closed % 2)
        await asyncio.sleep(0.2)
        report = await mesh.verdict()
    rejected(report, defect, found)


@planted(
    ("", set()),
    ("hospitable", {"N2"}),
    ("slow_to_leave", {"N4"}),
    ("wordless", {"N5"}),
    ("rude", {"N6"}),
)
async def test_a_recorded_run_of_a_node_that_leaves_badly_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: set[str]
) -> None:
    """It drains while all publish, and while a slow subscription of its client has much before it."""
    async with recorded(fleet, tmp_path, "a", "b", "c", defect=defect) as mesh:
        node = mesh.workers
        await mesh.client("k", *(node[name].addresses["client"] for name in ("c", "a")))
        await mesh.all("listen", key="x", pattern="t.x", wait="cluster")
        await node["k"].call("listen", key="slow", pattern="t.x", max_in_flight=8, pause=0.01)
        for one in node.values():
            await one.call("traffic", client="x", channel="t.x", how="awaited", pace=0.02, burst=2)
        await asyncio.sleep(0.5)
        await node["c"].call("traffic", client="y", channel="t.x", how="unawaited", pace=0.0, burst=20, rounds=5)
        await mesh.whole()
        await mesh.drain("c")
        await mesh.node("c")
        report = await mesh.verdict()
    rejected(report, defect, found)
    assert len(report.history.drains) == 4


@planted(
    ("", set()),
    ("hoarded", {"K1"}),
    ("remembered", {"K2"}),
)
async def test_a_recorded_run_of_nodes_that_give_nothing_back_is_rejected(
    fleet: Fleet, tmp_path: Path, defect: str, found: set[str]
) -> None:
    """P12: subscriptions come and go, and messages with them."""
    async with recorded(fleet, tmp_path, "a", "b", defect=defect) as mesh:
        node = mesh.workers["a"]
        await node.call("listen", key="all", pattern="t.x", wait="cluster")
        await node.call("traffic", client="x", channel="t.x", how="awaited", pace=0.0, burst=400, rounds=1)
        await node.call("finished")
        for number in range(10):
            await node.call("listen", key=f"brief{number}", pattern="t.x")
            await node.call("leave", key=f"brief{number}")
        report = await mesh.verdict()
    rejected(report, defect, found)
