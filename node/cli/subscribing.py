"""The work of ``liminal sub``: items to stdout, gaps and the sum to stderr."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from liminal_mesh.cluster import ProtocolError

from ..text import printable
from ..values import Gap
from .connection import open_client
from .documents import gap_document, message_document, plain
from .errors import Code
from .output import emit, say

if TYPE_CHECKING:
    from ..bus import Wait
    from ..message import Message
    from ..subscription import Subscription

__all__ = ["Sum", "Wanted", "watch_channel"]

TERMINAL_TEXT_MAX = 1 << 20
"""The longest line of a message that a terminal gets whole."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show, and how."""

    channel: str
    group: str | None
    count: int | None
    timeout_s: float | None
    wait: Wait | None
    wait_s: float
    json: bool


@dataclass(slots=True)
class Sum:
    """What came so far."""

    received: int = 0
    missed: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    begin: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        span = time.monotonic() - self.begin
        rate = f"{self.received / span:,.1f}/s in {span:.1f} s" if span else ""
        origins = "".join(f"; {name} {count}" for name, count in sorted(self.origins.items()))
        return f"received {self.received}, missed {self.missed}, {rate}{origins}"


async def watch_channel(server: str | None, wanted: Wanted) -> int:
    """Show a channel until there is an end of it; return the exit code."""
    seen = Sum()
    code = Code.OK
    async with open_client(server) as client:
        subscription = client.subscribe(wanted.channel, group=wanted.group, wait=wanted.wait, timeout=wanted.wait_s)
        async with subscription:
            shared = "" if wanted.group is None else f" in group {wanted.group}"
            say(f"subscribed to {wanted.channel}{shared} at node {client.pid.node}")
            seen.begin = time.monotonic()
            try:
                async with asyncio.timeout(wanted.timeout_s):
                    await _show_all(subscription, wanted, seen)
            except TimeoutError:
                code = Code.OK if wanted.count is None else Code.TIMED_OUT
                say(str(seen))
            except asyncio.CancelledError:
                say(f"\n{seen}" if sys.stderr.isatty() else str(seen))
                raise
    return code


async def _show_all(subscription: Subscription, wanted: Wanted, seen: Sum) -> None:
    # One at a time when they are counted, so that none is taken that is not shown.
    most = 500 if wanted.count is None else 1
    async for batch in subscription.batches(most, 0.0):
        for item in batch:
            if isinstance(item, Gap):
                _tell_gap(item, wanted, seen)
            else:
                seen.received += 1
                seen.origins[item.origin] += 1
                emit(_line(item, wanted))
        sys.stdout.flush()
        if seen.received == wanted.count:
            return


def _tell_gap(gap: Gap, wanted: Wanted, seen: Sum) -> None:
    seen.missed += gap.count
    if wanted.json:
        emit(json.dumps(gap_document(gap)))
    say(f"missed {gap.count} on {gap.channel} from {gap.origin}: {gap.first} to {gap.last} ({gap.reason})")


def _line(message: Message, wanted: Wanted) -> str:
    try:
        if wanted.json:
            return json.dumps(message_document(message))
        return _shown(plain(message.payload))
    except ProtocolError as error:
        say(f"message {message.id} of {message.origin} cannot be read: {error}")
        return json.dumps({"channel": message.channel, "id": str(message.id), "error": str(error)})


def _shown(payload: Any) -> str:
    if not isinstance(payload, str):
        return json.dumps(payload)
    if not sys.stdout.isatty():
        return payload
    # Whoever may publish must not be able to move the cursor of whoever watches.
    return "\n".join(printable(line, TERMINAL_TEXT_MAX) for line in payload.split("\n"))
