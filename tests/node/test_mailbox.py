"""The receiving end of a process, over an inbox that a test fills."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.cluster import Encoding, Envelope, NodeId, Pid
from liminal_mesh.node.errors import LimitExceeded, NoConnection
from liminal_mesh.node.inbox import Budget, Inbox, Overflow, Run
from liminal_mesh.node.mailbox import Mailbox
from liminal_mesh.node.message import Message
from liminal_mesh.node.values import Gap

DEADLINE_S = 10.0
PID = Pid("a", 1, 7)
ORIGIN = NodeId("b", 3)


class Delivery:
    """A mailbox with room for three messages, and who fills it."""

    def __init__(self, overflow: Overflow = "drop-newest") -> None:
        self.budget = Budget(1 << 20)
        self.inbox = Inbox(1, 2, 1 << 20, overflow, (self.budget,))
        self.mailbox = Mailbox(PID, self.inbox)
        self.last = 0

    def offer(self, count: int) -> None:
        """Let messages arrive."""
        numbers = range(self.last + 1, self.last + 1 + count)
        self.last += count
        items = [Envelope(number, number, 0, 1, Encoding.TEXT, b"x") for number in numbers]
        self.inbox.offer(Run("", ORIGIN, items))
        self.mailbox.ready()


async def drain(mailbox: Mailbox) -> list[int | Gap]:
    """Return everything until the end: sequences, and gaps."""
    async with asyncio.timeout(DEADLINE_S):
        return [item.sequence if isinstance(item, Message) else item async for item in mailbox]


async def test_it_is_open_from_the_start() -> None:
    """What waits is there at once, and what comes later wakes who waits."""
    delivery = Delivery()
    delivery.offer(1)
    waiting = asyncio.create_task(drain(delivery.mailbox))
    await asyncio.sleep(0)
    assert delivery.mailbox.statistics.delivered == 1
    delivery.offer(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert delivery.mailbox.statistics.delivered == 2
    delivery.mailbox.end(None)

    assert await waiting == [1, 2]


async def test_its_end_hands_out_what_waits_and_gives_the_budget_back() -> None:
    """Then the iteration stops, however often it is tried."""
    delivery = Delivery()
    delivery.offer(4)
    assert delivery.budget.used
    delivery.mailbox.end(None)

    assert not delivery.budget.used
    assert await drain(delivery.mailbox) == [1, 2, 3, Gap("", "b", 4, 4, 1, "overflow", 3)]
    assert await drain(delivery.mailbox) == []


async def test_its_end_wakes_who_waits() -> None:
    """With the reason, where there is one."""
    delivery = Delivery()
    waiting = asyncio.create_task(drain(delivery.mailbox))
    await asyncio.sleep(0)
    delivery.mailbox.end(NoConnection("a"))

    with pytest.raises(NoConnection):
        await waiting


async def test_one_that_overflowed_for_good_ends_by_the_name_of_the_limit() -> None:
    """After what it had."""
    delivery = Delivery("disconnect")
    delivery.offer(9)
    delivery.offer(1)

    with pytest.raises(LimitExceeded) as error:
        await drain(delivery.mailbox)
    assert error.value.name == "inbox_messages"
    assert delivery.mailbox.statistics.delivered == 3


async def test_a_second_task_is_told_whose_mailbox_it_is() -> None:
    """By the pid of the process."""
    delivery = Delivery()
    first = asyncio.create_task(drain(delivery.mailbox))
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match=r"two tasks iterate over the mailbox of a\.1\.7"):
        await drain(delivery.mailbox)
    delivery.mailbox.end(None)
    assert await first == []
