"""Liminal, embedded: publisher and subscriber each in the program that holds their node; two processes, one link.

``unconfirmed`` is ``publish_nowait``, and ``writable`` when that is busy; ``windowed`` is a publisher whose every
message is acknowledged by the subscriber's node (``ack="nodes"``). Each subscription checks that what it was given
and what it was told as gaps make up what was published.
"""

from __future__ import annotations

from .liminal_parts import IN_FLIGHT, INBOX
from .result import SUBSCRIBERS, WINDOW, Result, measured, spent
from .roles import Role, Roles, roles

__all__ = ["fanout", "fanout_windowed", "link_ratio", "notes", "timed", "unconfirmed", "windowed", "windowed_default"]

NAME = "liminal embedded"
WINDOW_DEFAULT = 4096
RATIO_PUBLISHES = 2000


async def unconfirmed(messages: int) -> Result:
    """Publish to subscribe across the two nodes."""
    return await _run(NAME, "nowait", messages, 1)


async def windowed(messages: int) -> Result:
    """The same with receipts, as many in flight as the others have."""
    return await _run(NAME, "windowed", messages, 1, WINDOW)


async def windowed_default(messages: int) -> Result:
    """The same with the window that a publisher has unless it asks for another."""
    return await _run(f"{NAME} {WINDOW_DEFAULT}", "windowed", messages, 1, WINDOW_DEFAULT)


async def fanout(messages: int) -> Result:
    """One publisher, 1,000 subscriptions in the other program; counts deliveries."""
    return await _run(NAME, "nowait", messages, SUBSCRIBERS)


async def fanout_windowed(messages: int) -> Result:
    """The same with receipts."""
    return await _run(NAME, "windowed", messages, SUBSCRIBERS, WINDOW)


async def link_ratio() -> tuple[float, dict[str, str]]:
    """Measure the bytes on the link for 1,000 subscribers on the far node, as a multiple of those for one."""
    sizes = {count: await _link_bytes(count) for count in (1, SUBSCRIBERS)}
    facts = {f"{count:,} subscribers": f"{size:.1f} bytes a publish" for count, size in sizes.items()}
    return sizes[SUBSCRIBERS] / sizes[1], facts


async def _run(name: str, verb: str, messages: int, subscribers: int, window: int = 0) -> Result:
    async with roles() as processes:
        subscriber, publisher = await _start(processes, verb, messages, subscribers, window)
        return await timed(name, processes, publisher, subscriber, messages, subscribers)


async def _link_bytes(subscribers: int) -> float:
    async with roles() as processes:
        _, publisher = await _start(processes, "nowait", RATIO_PUBLISHES, subscribers, 0)
        await publisher.line()
        size: int = (await publisher.line())["link_bytes"]
        return size / RATIO_PUBLISHES


async def _start(processes: Roles, verb: str, messages: int, subscribers: int, window: int) -> tuple[Role, Role]:
    subscriber = await processes.python("benchmarks.liminal_parts", "subscribe", "alone", messages, subscribers)
    mesh = (await subscriber.line())["mesh"]
    return subscriber, await processes.python("benchmarks.liminal_parts", "publish", mesh, verb, messages, window)


async def timed(
    name: str, processes: Roles, publisher: Role, subscriber: Role, messages: int, subscribers: int
) -> Result:
    """Wait for a run's end; counts what was delivered, not what was told as a gap."""
    start, before = (await publisher.line())["start"], processes.cpu()
    arrived = await subscriber.line()
    sent = await publisher.line()
    # Where each is confirmed, both must be here: the last message and the last receipt.
    end = max(arrived["end"], sent["end"])
    delivered = messages * subscribers - arrived["missed"]
    cpu = spent(before, processes.cpu(), messages * subscribers)
    return measured(name, delivered, start, end, cpu, **notes(arrived["missed"]))


def notes(missed: int) -> dict[str, str]:
    """Say how many came as gaps, and with what inbox."""
    inbox = f"{IN_FLIGHT:,} in flight + {INBOX.messages:,} messages, {INBOX.overflow}"
    return {"gaps": f"{missed:,}", "inbox": inbox}
