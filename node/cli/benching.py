"""The work of ``liminal bench``: publish to subscriptions of our own, and count what comes of it.

Every payload begins with a mark of this run and the moment of its publish, so that what others publish on the
channel meanwhile is not counted.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import Busy, ChannelNotConfigured
from ..values import Gap
from .connection import open_client
from .errors import Code, Stop
from .histogram import Histogram
from .output import emit, emit_json, say

if TYPE_CHECKING:
    from ..client import Client
    from ..subscription import Subscription

__all__ = ["Plan", "measure"]

PERCENTILES: Final = (50, 90, 99, 99.9)
CREDIT: Final = 1024
LOOK_S: Final = 0.1
_HEAD: Final = struct.Struct("8sq")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure; no ``ack`` means ``publish_nowait``."""

    channel: str
    messages: int
    size: int
    window: int
    ack: Literal["accepted", "nodes"] | None
    subscribers: int
    subscribe_at: str | None
    timeout_s: float
    json: bool


@dataclass(slots=True)
class _Tally:
    """What came of it so far."""

    wanted: int
    mark: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    begin: float = 0.0
    end: float = 0.0
    published: int = 0
    delivered: int = 0
    gaps: int = 0
    missed: int = 0
    latency: Histogram = field(default_factory=Histogram)
    whole: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def seen(self) -> int:
        """How many are accounted for."""
        return self.delivered + self.missed


async def measure(server: str | None, plan: Plan) -> int:
    """Carry out a plan and print what came of it, also when it ends early; return the exit code.

    Raises:
        Stop: a node cannot be reached, or does not know the channel.
    """
    tally = _Tally(plan.messages * plan.subscribers)
    try:
        async with (
            open_client(server) as publisher,
            open_client(plan.subscribe_at or server) as subscriber,
            _counting(subscriber, plan, tally),
        ):
            tally.begin = time.monotonic()
            try:
                async with _Progress(tally):
                    await _publish(publisher, plan, tally)
                    await _rest(plan, tally)
            finally:
                _print(plan, tally)
    except ChannelNotConfigured as error:
        near = f" (or --channel {error.nearest}?)" if error.nearest else ""
        text = f"the node has no channel {error.channel!r}{near}: name one with --channel, or configure it there with\n"
        raise Stop(f'{text}  [[channels]]\n  name = "{error.channel}"', Code.USAGE) from error
    return Code.OK if tally.seen >= tally.wanted else Code.TIMED_OUT


@asynccontextmanager
async def _counting(client: Client, plan: Plan, tally: _Tally) -> AsyncIterator[None]:
    """Open the subscriptions, and count what comes on them, within the block."""
    async with AsyncExitStack() as stack:
        subscriptions = [client.subscribe(plan.channel, max_in_flight=CREDIT) for _ in range(plan.subscribers - 1)]
        for subscription in subscriptions:
            await stack.enter_async_context(subscription)
        # The last one stands when all linked nodes know of it, and with it of those before.
        last = client.subscribe(plan.channel, max_in_flight=CREDIT, wait="cluster", timeout=plan.timeout_s)
        subscriptions.append(await stack.enter_async_context(last))
        counts = [asyncio.create_task(_count(subscription, tally)) for subscription in subscriptions]
        try:
            yield
        finally:
            for count in counts:
                count.cancel()
            ends = await asyncio.gather(*counts, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end


async def _count(subscription: Subscription, tally: _Tally) -> None:
    unpack, mark, add, clock = _HEAD.unpack_from, tally.mark, tally.latency.add, time.monotonic_ns
    try:
        async for item in subscription:
            if isinstance(item, Gap):
                tally.gaps += 1
                tally.missed += item.count
            elif item.body[:8] == mark:
                tally.delivered += 1
                add(clock() - unpack(item.body)[1])
            if tally.seen >= tally.wanted:
                tally.end = time.monotonic()
                break
    finally:
        tally.whole.set()  # all of them are here, or this subscription ended


async def _publish(client: Client, plan: Plan, tally: _Tally) -> None:
    rest = bytes(plan.size - _HEAD.size)
    pack, mark, clock = _HEAD.pack, tally.mark, time.monotonic_ns
    if plan.ack is None:
        for _ in range(plan.messages):
            while True:
                try:
                    client.publish_nowait(plan.channel, pack(mark, clock()) + rest)
                    break
                except Busy:
                    await client.writable(plan.channel)
            tally.published += 1
            if tally.published % plan.window == 0:
                await asyncio.sleep(0)  # the subscriptions are in this process
        return
    async with client.publisher(plan.channel, window=plan.window, ack=plan.ack, timeout=plan.timeout_s) as publisher:
        for _ in range(plan.messages):
            await publisher.send(pack(mark, clock()) + rest)
            tally.published += 1


async def _rest(plan: Plan, tally: _Tally) -> None:
    """Wait for what is on its way, until it is here or nothing has come for the time that the plan says."""
    former = -1
    while not tally.whole.is_set() and tally.seen > former:
        former = tally.seen
        try:
            async with asyncio.timeout(plan.timeout_s):
                await tally.whole.wait()
        except TimeoutError:
            continue


def _print(plan: Plan, tally: _Tally) -> None:
    span = max((tally.end or time.monotonic()) - tally.begin, 1e-9)
    rate = tally.delivered / span
    spread = {f"p{percent:g}": tally.latency.percentile(percent) / 1000 for percent in PERCENTILES}
    spread["max"] = tally.latency.largest / 1000
    lost = tally.published * plan.subscribers - tally.seen
    if plan.json:
        emit_json(_document(plan, tally, span, spread, lost))
        return
    each = f" to {plan.subscribers} subscriptions" if plan.subscribers > 1 else ""
    what = f"{tally.published:,} of {plan.size} B on {plan.channel}{each}"
    emit(f"published  {what} in {span:.2f} s, ack {plan.ack or 'none'}")
    emit(f"delivered  {tally.delivered:,}: {rate:,.0f} msgs/s, {rate * plan.size / 1e6:,.1f} MB/s")
    emit(f"missed     {tally.missed:,} in {tally.gaps:,} gaps")
    emit("latency    " + "  ".join(f"{name} {_time(value)}" for name, value in spread.items()))
    if lost > 0:
        say(f"{lost:,} were neither delivered nor told as missed: they were still on their way")


def _document(plan: Plan, tally: _Tally, span: float, spread: dict[str, float], lost: int) -> dict[str, Any]:
    return {
        "channel": plan.channel,
        "size": plan.size,
        "window": plan.window,
        "ack": plan.ack or "none",
        "subscribers": plan.subscribers,
        "published": tally.published,
        "delivered": tally.delivered,
        "missed": tally.missed,
        "gaps": tally.gaps,
        "unaccounted": max(lost, 0),
        "seconds": round(span, 6),
        "messages_per_s": round(tally.delivered / span),
        "bytes_per_s": round(tally.delivered * plan.size / span),
        "latency_us": {name: round(value, 1) for name, value in spread.items()},
    }


def _time(micros: float) -> str:
    return f"{micros / 1000:,.2f} ms" if micros >= 1000 else f"{micros:.0f} us"


class _Progress:
    """A bar on stderr that shows how many were delivered; nothing where stderr is no terminal."""

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if sys.stderr.isatty():
            self._task = asyncio.get_running_loop().create_task(self._draw())

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            # It has to be gone before the data is printed.
            await asyncio.wait([self._task])

    async def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = TextColumn("delivered {task.completed:,.0f}"), BarColumn(), TaskProgressColumn(show_speed=True)
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, auto_refresh=False, redirect_stdout=False) as bar:
            shown = bar.add_task("", total=self._tally.wanted)
            while True:
                bar.update(shown, completed=self._tally.seen, refresh=True)
                await asyncio.sleep(LOOK_S)
