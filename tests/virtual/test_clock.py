"""Virtual time on a loop: what it does to whoever sleeps, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from liminal_mesh.testing import Cluster

try:
    import uvloop
except ImportError:  # it is an extra of the package
    uvloop = None  # type: ignore[assignment]


async def test_whoever_sleeps_does_so_in_virtual_time() -> None:
    """In the order of what they wait for, at its very time."""
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, cluster.now - began))

    async with Cluster(nodes=1) as cluster:
        began = cluster.now
        await asyncio.gather(sleep("hour", 1800), sleep("minute", 60), sleep("second", 1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await asyncio.Event().wait()

    assert [name for name, _ in woken] == ["second", "minute", "hour"]
    assert [seconds for _, seconds in woken] == pytest.approx([1, 60, 1800])


async def test_a_sleep_is_never_shorter_than_it_should_be() -> None:
    """Not even by the last bit, for which a loop would turn for ever."""
    async with Cluster(nodes=1):
        loop = asyncio.get_running_loop()
        for number in range(1, 100):
            began = loop.time()
            await asyncio.sleep(number / 7)
            assert loop.time() - began >= number / 7


async def test_a_thread_of_the_loop_is_waited_for() -> None:
    """However long the nearest timer would have been over: the clock stands still meanwhile."""
    async with Cluster(nodes=2) as cluster:
        before = cluster.now
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(time.sleep, 0.2)
        assert cluster.now == before


async def test_a_thread_may_wait_for_the_loop() -> None:
    """The clock goes on when the thread shows that it has time."""
    async with Cluster(nodes=1) as cluster:
        loop = asyncio.get_running_loop()

        def wait() -> None:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.5), loop).result(10)

        before = cluster.now
        await asyncio.to_thread(wait)
        assert cluster.now >= before + 0.5


async def hangs(forever: Any, **limits: Any) -> BaseException:
    """Return how a test ends that waits in vain."""

    async def test() -> None:
        async with Cluster(nodes=2, **limits):
            await forever()

    [end] = await asyncio.gather(asyncio.create_task(test()), return_exceptions=True)
    assert isinstance(end, BaseException)
    return end


async def test_a_test_that_waits_for_ever_fails_where_it_waits() -> None:
    """The nodes' own timers would keep it going for ever."""

    async def waits_here() -> None:
        await asyncio.Event().wait()

    error = await hangs(waits_here, limit=100.0)

    assert isinstance(error, RuntimeError)
    assert "100." in str(error)
    assert "has not happened" in str(error)
    trace, names = error.__cause__.__traceback__ if error.__cause__ else None, []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "waits_here" in names


async def test_a_loop_that_only_polls_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """In virtual time it would poll for ever in one instant."""
    monkeypatch.setattr("liminal_mesh.node.virtual_clock.TURNS_MAX", 1000)

    async def polls() -> None:
        until = asyncio.get_running_loop().time() + 1
        while asyncio.get_running_loop().time() < until:  # noqa: ASYNC110
            await asyncio.sleep(0)

    error = await hangs(polls)
    assert isinstance(error, RuntimeError)
    assert "polls with sleep" in str(error)


def test_a_deadlock_is_an_error() -> None:
    """No timer, nothing ready: also when whoever entered the cluster is not there any more."""

    async def enter() -> Cluster:
        cluster = Cluster(nodes=1)
        await cluster.__aenter__()
        await cluster.kill("a")
        return cluster

    async def wait() -> None:
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        cluster = runner.run(enter())
        with pytest.raises(RuntimeError, match="nothing is left that could ever happen"):
            runner.run(wait())
        runner.run(cluster.__aexit__(None, None, None))


async def test_real_time_is_back_afterwards() -> None:
    """Also for timers that were started before or meanwhile, and after a failure."""
    loop = asyncio.get_running_loop()
    fired: list[str] = []
    real = loop.time()
    loop.call_later(30, fired.append, "before, passed")
    before = loop.call_later(1000, fired.append, "before")
    meanwhile = before

    async def fail() -> None:
        nonlocal meanwhile
        async with Cluster(nodes=1) as cluster:
            assert loop.time() == cluster.now
            meanwhile = loop.call_later(1000, fired.append, "meanwhile")
            await asyncio.sleep(100)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert fired == ["before, passed"]
    assert real <= loop.time() < real + 60
    assert before.when() == pytest.approx(real + 900, abs=60)
    assert meanwhile.when() == pytest.approx(real + 900, abs=60)
    for timer in (before, meanwhile):
        timer.cancel()
    began = time.monotonic()
    await asyncio.sleep(0.05)
    assert time.monotonic() - began >= 0.04
    assert {"time", "run_in_executor"}.isdisjoint(vars(loop))


async def test_a_cancelled_test_leaves_real_time_behind() -> None:
    """At whatever moment it is cancelled."""

    async def test() -> None:
        async with Cluster(nodes=2):
            await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    for turns in range(30):
        task = asyncio.create_task(test())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "time" not in vars(loop)


async def test_one_clock_is_enough() -> None:
    """A second cluster on the same loop is refused, and the first goes on."""
    async with Cluster(nodes=2) as cluster:
        with pytest.raises(RuntimeError, match="virtual time already"):
            async with Cluster():
                pass
        await cluster["a"].publish("t", b"")


@pytest.mark.skipif(uvloop is None, reason="the extra uvloop is not installed")
def test_a_loop_that_cannot_be_steered_is_refused() -> None:
    """The error says what to do."""

    async def enter() -> None:
        async with Cluster():
            pass

    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(RuntimeError, match=r"uvloop.*SelectorEventLoop"),
    ):
        runner.run(enter())


def test_nothing_of_it_is_left_running() -> None:
    """No thread, no task."""

    async def run() -> int:
        before = len(asyncio.all_tasks())
        async with Cluster(nodes=3):
            pass
        return len(asyncio.all_tasks()) - before

    threads = threading.active_count()
    assert asyncio.run(run()) == 0
    assert threading.active_count() == threads
