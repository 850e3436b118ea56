"""What a subscription decides about a message: accept, defer or reject, and the four numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .inbox import Inbox
from .values import Pressure

__all__ = ["ACCEPT", "DECISIONS", "DEFER", "REJECT", "decide", "pressure_of", "rank", "worst_pressure"]

DECISIONS: Final = ("accept", "defer", "reject")
"""The worst last."""

ACCEPT, DEFER, REJECT = range(3)


def decide(in_flight: int, max_in_flight: int, buffered: int, max_buffered: int) -> int:
    """Return the rank of the decision: ``ACCEPT``, ``DEFER`` or ``REJECT``.

    Accept while fewer are in flight than may be, whatever waits; defer while the buffer has room; reject when both are
    full.

    Raises:
        ValueError: a capacity is none, or a number is below zero.
    """
    if max_in_flight < 1 or max_buffered < 1:
        raise ValueError(f"max_in_flight={max_in_flight}, max_buffered={max_buffered}: each must be at least 1")
    if in_flight < 0 or buffered < 0:
        raise ValueError(f"in_flight={in_flight}, buffered={buffered}: neither can be below zero")
    if in_flight < max_in_flight:
        return ACCEPT
    return DEFER if buffered < max_buffered else REJECT


def pressure_of(inbox: Inbox, size: int = 1) -> Pressure:
    """Return the decision that a message of so many bytes would meet at an inbox now, and its four numbers."""
    held = len(inbox)
    in_flight = min(held, inbox.credit)
    return Pressure(DECISIONS[rank(inbox, size)], in_flight, inbox.credit, held - in_flight, inbox.messages)


def worst_pressure(inboxes: Iterable[Inbox], size: int = 1) -> Pressure:
    """Return the worst of several; where decisions are equal, that of the fullest. Without inboxes it is an accept."""
    worst = max(inboxes, key=lambda one: (rank(one, size), len(one)), default=None)
    return Pressure() if worst is None else pressure_of(worst, size)


def rank(inbox: Inbox, size: int) -> int:
    """Return the rank of the decision that a message of so many bytes would meet at an inbox now.

    Bytes are a bound of their own: what does not fit in is rejected, however few messages there are.
    """
    if inbox.overflowed or inbox.bytes + size > inbox.size:
        return REJECT
    held = len(inbox)
    in_flight = min(held, inbox.credit)
    return decide(in_flight, inbox.credit, held - in_flight, inbox.messages)
