"""What a process under test says, one JSON line each, on its standard output; the same for every contender."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..roles import now

__all__ = ["Sighting", "listening", "sighting", "stand_until_told"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one process holds of one member since ``at`` (seconds of the machine's monotonic clock).

    ``state`` is alive, suspect, dead, left or gone (shown no more); ``reachable`` says whether it could be talked to.
    """

    at: float
    name: str
    epoch: int
    incarnation: int
    state: str
    reachable: bool


def listening(epoch: int, at: float) -> None:
    """Say that the process serves, which run of its name it is, and when it began to (imports are over by then)."""
    _say({"said": "listening", "at": at, "epoch": epoch})


def sighting(name: str, epoch: int, incarnation: int, state: str, reachable: bool) -> None:
    """Say what is held of a member from now on."""
    facts = {"name": name, "epoch": epoch, "incarnation": incarnation, "state": state, "reachable": reachable}
    _say({"said": "member", "at": now(), **facts})


def _say(facts: dict[str, object]) -> None:
    # One write a line: what was said before a SIGKILL is whole.
    os.write(sys.stdout.fileno(), json.dumps(facts).encode() + b"\n")


async def stand_until_told(leave: Callable[[], Awaitable[object]]) -> None:
    """Stay until SIGTERM, then leave; or until whoever started us is gone, then end at once."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(sys.stdin.fileno(), _read, ended)
    await ended.wait()
    loop.remove_reader(sys.stdin.fileno())
    await leave()


def _read(ended: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        ended.set()
