"""Connections that their node closes by force: nothing of them is accepted any more, and what was is confirmed.

A message says by which process of its origin it was published: that is the connection that it came over, whatever the
client thought that it had. What a client did not read in time since the machine did not run it is nobody's fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..events import Deliver, NodeRun
from ..history import History
from ..records import Key, Publication
from ..violation import Violation

__all__ = ["x1", "x2"]

Session = tuple[NodeRun, int]


def x1(history: History) -> Iterator[Violation]:
    """Nothing that begins after a connection was closed by force comes over it."""
    if not history.closes:
        return
    for subscription in history.subscriptions.values():
        for delivery in subscription.firsts:
            close = history.closes.get(_session(delivery))
            published = history.publications.get((delivery.client, delivery.n))
            if close is None or close.over is None or published is None:
                continue
            if published.invoke.t_mono_ns > close.over.t_mono_ns and published.key not in history.keyed:
                text = f"it came over connection {delivery.publisher} of {delivery.origin}, which had been closed"
                yield Violation("X1", "phantom", delivery, text)


def x2(history: History) -> Iterator[Violation]:
    """Who waited when its connection was closed by force has its answer if it was accepted, or else hears why."""
    if not history.closes:
        return
    came: dict[Key, Session] = {}
    for subscription in history.subscriptions.values():
        for delivery in subscription.firsts:
            if (session := _session(delivery)) in history.closes:
                came[delivery.client, delivery.n] = session
    for session, waiting in _waiting(history).items():
        close = history.closes[session]
        for one in waiting:
            assert one.end is not None
            starved = (close.began.proc, one.invoke.proc)
            if any(history.starved(proc, one.end.t_mono_ns) for proc in starved):
                continue
            if one.invoke.ack == "accepted" and came.get(one.key) == session:
                yield Violation("X2", "lost", one.end, "it was accepted, and its publisher was not told")
            elif close.began.reason not in one.end.error:
                yield Violation("X2", "lost", one.end, f"its publisher was not told why: {close.began.reason}")


def _waiting(history: History) -> dict[Session, list[Publication]]:
    """Return the awaited publishes by the connection over which they began, whose outcome was lost with that."""
    found: dict[Session, list[Publication]] = defaultdict(list)
    for one in history.publications.values():
        begin, end = one.invoke, one.end
        session = (begin.node, begin.epoch), begin.session
        close = history.closes.get(session)
        if close is None or end is None or not begin.ack or not end.error.startswith("OutcomeUnknown"):
            continue
        if begin.t_mono_ns < close.began.t_mono_ns <= end.t_mono_ns:
            found[session].append(one)
    return found


def _session(delivery: Deliver) -> Session:
    return (delivery.origin, delivery.origin_epoch), delivery.publisher
