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
    return _pressure(inbox, rank(inbox, size))


def worst_pressure(inboxes: Iterable[Inbox], size: int = 1) -> Pressure:
    """Return the worst of several; where decisions are equal, that of the fullest. Without inboxes it is an accept."""
    worst, decision, held = None, ACCEPT, -1
    for one in inboxes:  # no key function: this stands in front of every publish that is awaited
        its = rank(one, size)
        if its > decision or (its == decision and one.queued + one.lent > held):
            worst, decision, held = one, its, one.queued + one.lent
    return Pressure() if worst is None else _pressure(worst, decision)


def rank(inbox: Inbox, size: int) -> int:
    """Return the rank of the decision that a message of so many bytes would meet at an inbox now.

    Bytes are a bound of their own: what does not fit in is rejected, however few messages there are.
    """
    if inbox.overflowed or inbox.bytes + size > inbox.size:
        return REJECT
    held, credit = inbox.queued + inbox.lent, inbox.credit
    buffered = held - credit
    if buffered < 0:
        return decide(held, credit, 0, inbox.messages)
    return decide(credit, credit, buffered, inbox.messages)


def _pressure(inbox: Inbox, decision: int) -> Pressure:
    held, credit = inbox.queued + inbox.lent, inbox.credit
    in_flight = min(held, credit)
    return Pressure(DECISIONS[decision], in_flight, credit, held - in_flight, inbox.messages)
