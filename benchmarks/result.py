"""What a run gives, and what a row of the table of contenders says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["BODY_BYTES", "SUBSCRIBERS", "WINDOW", "Contender", "Figure", "Result", "measured", "spent"]

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
    cpu: dict[str, float] = field(default_factory=dict)
    """Microseconds of CPU for each message, by process: far less noisy than rates on a machine that is shared."""


def measured(
    name: str, messages: int, start: float, end: float, cpu: Mapping[str, float] | None = None, **notes: str
) -> Result:
    """Make a result of two readings of the machine's monotonic clock, which all its processes share."""
    return Result(name, messages, end - start, messages / (end - start), notes, dict(cpu or {}))


def spent(before: Mapping[str, float], after: Mapping[str, float], messages: int) -> dict[str, float]:
    """Return the microseconds of CPU for each message, of two readings of :meth:`.Roles.cpu`."""
    return {name: (after[name] - before[name]) / messages * 1e6 for name in before}


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


@dataclass(frozen=True, slots=True)
class Figure:
    """Something else that is measured and has a bound: a ratio, or seconds.

    Args:
        name: what it is.
        run: gives one value, and notes to print beside it.
        unit: of the value.
        most: the largest that we want.
        core: whether it is in the one-minute version too.
    """

    name: str
    run: Callable[[], Awaitable[tuple[float, dict[str, str]]]]
    unit: str
    most: float
    core: bool = False
