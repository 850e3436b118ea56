"""The windowed publisher, over a bus that a test answers for."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster import Envelope
from liminal_mesh.node.batch import Batch
from liminal_mesh.node.errors import Busy, LimitExceeded, Rejected
from liminal_mesh.node.publisher import Publisher
from liminal_mesh.node.values import Pressure

DEADLINE_S = 10.0
REJECTED = Rejected("full", Pressure())


class Owner:
    """What batches are open on."""

    holder: Batch | None = None


class ByHand(Publisher):
    """A publisher whose publishes are kept until a test says what became of them."""

    def __init__(self, window: int) -> None:
        super().__init__("ticks", window, Owner())
        self.handed: list[bytes] = []
        self.refuse: Exception | None = None
        self.room = True
        self.made_room = asyncio.Event()

    def _admit(self, envelope: Envelope) -> None:
        if len(envelope.body) > 100:
            raise LimitExceeded("max_frame", 100)

    def _crowded(self) -> bool:
        return not self.room

    def _submit(self, envelopes: list[Envelope]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.handed += [one.body for one in envelopes]

    async def _wait_writable(self) -> None:
        await self.made_room.wait()
        self.room = True


async def waits(task: asyncio.Task[None]) -> bool:
    """Return whether a task is not done after some turns."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


@pytest.mark.parametrize("window", [0, -1])
async def test_a_window_of_nothing_is_refused(window: int) -> None:
    """Nothing could ever be sent."""
    with pytest.raises(ValueError, match="window"):
        ByHand(window)


async def test_send_waits_only_at_the_window() -> None:
    """And goes on in large steps, when a quarter of it is free."""
    publisher = ByHand(8)
    for number in range(8):
        await publisher.send(bytes([number]))
    ninth = asyncio.create_task(publisher.send(b"ninth"))
    assert await waits(ninth)
    assert len(publisher.handed) == 8
    publisher.acknowledged(2, 0)
    assert await waits(ninth)
    publisher.acknowledged(1, 1)
    await asyncio.wait_for(ninth, DEADLINE_S)

    statistics = publisher.statistics
    assert (statistics.sent, statistics.acknowledged, statistics.undelivered, statistics.in_flight) == (9, 3, 1, 6)


async def test_a_window_of_one_goes_one_by_one() -> None:
    """It is never in two hands."""
    publisher = ByHand(1)
    for number in range(5):
        task = asyncio.create_task(publisher.send(number))
        assert await waits(task) == (number > 0)
        if number:
            publisher.acknowledged(1, 0)
        await asyncio.wait_for(task, DEADLINE_S)
        assert publisher.statistics.in_flight == 1


async def test_flush_hands_over_and_waits_for_the_last() -> None:
    """What was sent in this turn too."""
    publisher = ByHand(100)
    await publisher.send(b"1")
    await publisher.send(b"2")
    flushing = asyncio.create_task(publisher.flush())
    assert await waits(flushing)
    assert publisher.handed == [b"1", b"2"]
    publisher.acknowledged(1, 0)
    assert await waits(flushing)
    publisher.acknowledged(1, 0)

    await asyncio.wait_for(flushing, DEADLINE_S)
    await publisher.flush()


async def test_each_failure_surfaces_once() -> None:
    """The first of several that nobody has heard yet; then it can be used again."""
    publisher = ByHand(100)
    for _ in range(4):
        await publisher.send(b"x")
    publisher.failed(REJECTED, 2)
    publisher.failed(Busy(1.0), 1)
    publisher.acknowledged(1, 0)
    with pytest.raises(Rejected):
        await publisher.send(b"not sent")
    await publisher.flush()
    await publisher.send(b"sent")

    assert (publisher.statistics.sent, publisher.statistics.in_flight) == (5, 1)


async def test_a_failure_wakes_who_waits_at_the_window() -> None:
    """Rather than leaving it there until there is room."""
    publisher = ByHand(2)
    await publisher.send(b"1")
    await publisher.send(b"2")
    third = asyncio.create_task(publisher.send(b"3"))
    assert await waits(third)
    publisher.failed(REJECTED, 1)

    with pytest.raises(Rejected):
        await asyncio.wait_for(third, DEADLINE_S)
    assert publisher.statistics.sent == 2


async def test_a_bus_that_refuses_a_batch_fails_all_of_it() -> None:
    """Nobody is there to hear it when the turn ends."""
    publisher = ByHand(100)
    publisher.refuse = Busy(1.0)
    await publisher.send(b"1")
    await publisher.send(b"2")
    with pytest.raises(Busy):
        await publisher.flush()

    assert publisher.statistics.in_flight == 0


async def test_a_bus_without_room_is_waited_for() -> None:
    """Once the batch at hand was handed over."""
    publisher = ByHand(100)
    await publisher.send(b"1")
    publisher.room = False
    await asyncio.sleep(0)
    second = asyncio.create_task(publisher.send(b"2"))
    assert await waits(second)
    publisher.made_room.set()
    await asyncio.wait_for(second, DEADLINE_S)

    assert publisher.statistics.sent == 2


async def test_what_is_refused_at_the_door_changes_nothing() -> None:
    """It is in no count."""
    publisher = ByHand(1)
    for payload, error in ((b"x" * 101, LimitExceeded), (object(), TypeError)):
        with pytest.raises(error):
            await publisher.send(payload)

    assert publisher.statistics.sent == publisher.statistics.in_flight == 0


async def test_two_tasks_at_the_window_are_an_error() -> None:
    """For the second of them."""
    publisher = ByHand(1)
    await publisher.send(b"1")
    first = asyncio.create_task(publisher.send(b"2"))
    assert await waits(first)
    with pytest.raises(RuntimeError, match="two tasks"):
        await publisher.send(b"3")
    publisher.acknowledged(1, 0)

    await asyncio.wait_for(first, DEADLINE_S)


async def test_cancelling_who_waits_sends_nothing() -> None:
    """And the next can wait."""
    publisher = ByHand(1)
    await publisher.send(b"1")
    task = asyncio.create_task(publisher.send(b"2"))
    assert await waits(task)
    task.cancel()
    await asyncio.wait([task])
    assert publisher.statistics.sent == 1
    publisher.acknowledged(1, 0)
    await publisher.send(b"3")
    await asyncio.sleep(0)

    assert publisher.handed == [b"1", b"3"]


@given(st.integers(1, 5), st.lists(st.integers(0, 3), max_size=30))
@settings(deadline=None, max_examples=50)
def test_the_window_is_never_passed_and_nothing_is_lost(window: int, answers: list[int]) -> None:
    """Whenever the answers come."""

    async def run() -> None:
        publisher = ByHand(window)
        published = 20

        async def send() -> None:
            for number in range(published):
                await publisher.send(bytes([number]))
                assert publisher.statistics.in_flight <= window

        sending = asyncio.create_task(send())
        for answer in [*answers, *[1] * published]:
            for _ in range(3):
                await asyncio.sleep(0)
            ready = min(answer, len(publisher.handed) - publisher.statistics.acknowledged)
            if ready:
                publisher.acknowledged(ready, 0)
        publisher.acknowledged(len(publisher.handed) - publisher.statistics.acknowledged, 0)
        await asyncio.wait_for(sending, DEADLINE_S)
        assert publisher.statistics.sent == published

    asyncio.run(run())
