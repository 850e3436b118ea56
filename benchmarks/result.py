"""What a run gives, and what a row of the table of contenders says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["BODY_BYTES", "SUBSCRIBERS", "WINDOW", "Contender", "Result", "measured"]

BODY_BYTES = 128
"""The size of every message's body."""

WINDOW = 256
"""How many publishes are in flight where each is confirmed."""

SUBSCRIBERS = 1000
"""How many subscriptions a fan-out has."""


@dataclass(frozen=True, slots=True)
class Result:
    """One run: ``messages`` arrived (or were confirmed) in ``seconds``; in a fan-out, deliveries."""

    name: str
    messages: int
    seconds: float
    rate: float
    notes: dict[str, str] = field(default_factory=dict)


def measured(name: str, messages: int, start: float, end: float, **notes: str) -> Result:
    """Make a result of two readings of the machine's monotonic clock, which all its processes share."""
    return Result(name, messages, end - start, messages / (end - start), notes)


@dataclass(frozen=True, slots=True)
class Contender:
    """One row: what runs, with how many publishes, in which scenario, and what it is to be compared with.

    Args:
        name: unique in its scenario.
        scenario: ``unconfirmed``, ``windowed``, ``fanout`` or ``fanout windowed``; rates are comparable within one.
        run: gives one result; its argument is the number of publishes.
        messages: publishes of one run, for two to three seconds.
        aims: name of another contender of the same scenario (or ``pipe``) to the least ratio we want.
        core: whether it is in the one-minute version too.
    """

    name: str
    scenario: str
    run: Callable[[int], Awaitable[Result]]
    messages: int
    aims: dict[str, float] = field(default_factory=dict)
    core: bool = True
