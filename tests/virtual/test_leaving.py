"""Entering and leaving a cluster: everything that ran has ended, and whoever comes too late or too early hears so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process
from liminal_mesh.node.virtual_cluster import START_S
from liminal_mesh.testing import Cluster


def others() -> list[str]:
    """Return the names of all tasks but this one."""
    return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def cleaning(seconds: float) -> Callable[[Process], Awaitable[None]]:
    """Return a function that takes so long to clean up, however often it is cancelled."""

    async def function(_me: Process) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            loop = asyncio.get_running_loop()
            until = loop.time() + seconds
            while loop.time() < until:
                try:
                    await asyncio.sleep(until - loop.time())
                except asyncio.CancelledError:
                    continue

    return function


async def test_leaving_is_finished_however_often_it_is_cancelled() -> None:
    """No task is left that would run on in real time, and the cancellation is passed on."""
    entered = asyncio.Event()

    async def body() -> None:
        async with Cluster(nodes=3) as cluster:
            for node in cluster.nodes.values():
                await node.spawn(cleaning(2))
            entered.set()
            await asyncio.Event().wait()

    test = asyncio.create_task(body())
    await entered.wait()
    for _ in range(5):
        test.cancel()
        await asyncio.sleep(0.1)
    with pytest.raises(asyncio.CancelledError):
        await test
    assert others() == []


@pytest.mark.parametrize("turns", range(1, 40, 4))
async def test_entering_can_be_cancelled_at_any_time(turns: int) -> None:
    """And while what has begun is ended, once more."""
    cluster = Cluster(nodes=3)
    test = asyncio.create_task(cluster.__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    test.cancel()
    await asyncio.sleep(0)
    test.cancel()
    await asyncio.wait([test])
    assert others() == []
    assert "time" not in vars(asyncio.get_running_loop())


async def test_leaving_waits_for_the_functions_of_killed_nodes() -> None:
    """They belong to the test, although nobody in the mesh hears of them."""
    ended = []
    async with Cluster(nodes=2) as cluster:
        process = await cluster["a"].spawn(cleaning(3))
        assert process.task is not None
        process.task.add_done_callback(lambda _: ended.append(cluster.now))
        began = cluster.now
        await cluster.kill("a")
    assert ended == [pytest.approx(began + 3, abs=0.1)]
    assert others() == []


async def test_functions_that_do_not_end_are_reported() -> None:
    """By name, and without hiding why the test failed."""
    said = r"still running: process-a\.\d+\.2"
    with pytest.raises(RuntimeError, match=said):
        async with Cluster(nodes=1) as cluster:
            deaf = await cluster["a"].spawn(cleaning(5.1))
    assert others() == [f"process-{deaf.pid}"]

    async def fails() -> None:
        async with Cluster(nodes=1) as cluster:
            await cluster["a"].spawn(cleaning(5.1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as failed:
        await fails()
    assert "still running" in failed.value.__notes__[0]


async def test_a_stop_that_still_drains_is_ended_too() -> None:
    """Whoever waits for it hears that it was cut off."""
    async with Cluster(nodes=2) as cluster:
        await cluster["a"].spawn(cleaning(2))
        stop = asyncio.create_task(cluster.stop("a"))
        await asyncio.sleep(0.1)
        assert not stop.done()
    assert not await stop
    assert others() == []


async def refusals(cluster: Cluster) -> list[str]:
    """Return what each verb of a cluster that is not entered says."""

    async def client() -> None:
        cluster.client("a", name="reader")

    async def partition() -> None:
        cluster.partition("a", "b")

    async def heal() -> None:
        cluster.heal()

    async def node() -> None:
        cluster["a"]

    calls: tuple[Callable[[], Awaitable[object]], ...] = (client, partition, heal, node, cluster.linked)
    names = (cluster.kill, cluster.stop, cluster.restart)
    said = []
    for call in (*calls, *(partial(verb, "a") for verb in names)):
        with pytest.raises(RuntimeError) as refused:
            await call()
        said.append(str(refused.value))
    return said


async def test_a_cluster_is_used_within_its_block() -> None:
    """Before and after, each verb says so, and nothing is started."""
    cluster = Cluster(nodes=2)
    assert all("not entered yet" in said for said in await refusals(cluster))
    async with cluster:
        pass
    assert all("was left" in said for said in await refusals(cluster))
    with pytest.raises(RuntimeError, match="entered once"):
        await cluster.__aenter__()
    assert dict(cluster.nodes) == {}
    assert others() == []


@pytest.mark.parametrize("turns", range(1, 60, 10))
async def test_a_restart_that_is_overtaken_by_the_end_leaves_no_node(turns: int) -> None:
    """It says that the cluster was left."""
    async with Cluster(nodes=2) as cluster:
        await cluster.kill("a")
        restart = asyncio.create_task(cluster.restart("a"))
        await asyncio.sleep(START_S)
        for _ in range(turns):
            await asyncio.sleep(0)
    ended = await asyncio.gather(restart, return_exceptions=True)
    assert isinstance(ended[0], RuntimeError | Node)
    assert others() == []
    assert dict(cluster.nodes) == {}
