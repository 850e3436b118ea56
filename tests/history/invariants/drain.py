"""Nodes that leave: from when on they take nothing, what becomes of what they took before, how they end, who sees what.

A drain is written down when it has certainly begun, so whatever begins later has to be refused. A process that the
machine did not run for a while says so by the holes between its measurements: whatever others thought of it then is no
fault of theirs, nor what it thought of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..events import Gap, Link, Member, NodeRun
from ..history import History
from ..records import DrainRecord, SubscriptionRecord, covers
from ..violation import Violation
from .accounting import lost_at_the_end

__all__ = ["n2", "n4", "n5", "n6"]

GRACE_S: Final = 5.0
"""What a node may take beyond its budget, for goodbyes and on a machine that is busy."""


def n2(history: History) -> Iterator[Violation]:
    """Nothing that begins after a drain has begun is accepted there."""
    drains = {run: drain.began.t_mono_ns for run, drain in history.drains.items()}
    if not drains:
        return
    got = set().union(*(one.got for one in history.subscriptions.values()))
    for one in history.publications.values():
        began = drains.get(one.origin) if one.origin is not None else None
        if began is None or one.invoke.t_mono_ns <= began or one.key in history.keyed:
            continue
        if one.outcome == "ok" or (one.outcome == "info" and one.key in got):
            yield Violation("N2", "phantom", one.end or one.invoke, f"{one.origin} was leaving, and took it")
    for attempt in history.attempts.values():
        end = attempt.end
        if end is not None and end.type == "ok":
            began = drains.get((end.node, end.epoch))
            if began is not None and attempt.invoke.t_mono_ns > began:
                yield Violation("N2", "phantom", end, f"{end.node} was leaving, and took it")
    for subscription in history.subscriptions.values():
        began = drains.get(subscription.home) if subscription.home is not None else None
        if began is not None and subscription.asked.t_mono_ns > began:
            yield Violation("N2", "phantom", subscription.asked, "its node was leaving, and opened it")


def n4(history: History) -> Iterator[Violation]:
    """Who drains ends within its budget, with exit code 0."""
    for run, drain in history.drains.items():
        lifetime = history.runs.get(run)
        if lifetime is not None and lifetime.killed:
            continue
        if drain.over is None:
            yield Violation("N4", "stuck", drain.began, "it never ended")
            continue
        took_s = (drain.over.t_mono_ns - drain.began.t_mono_ns) / 1e9
        if took_s > drain.began.budget_s + GRACE_S:
            yield Violation("N4", "stuck", drain.over, f"it took {took_s:.1f} s, of {drain.began.budget_s:g} s")
        code = None if lifetime is None else lifetime.code
        if not drain.over.handed_on or code not in {0, None}:
            yield Violation("N4", "lost", drain.over, f"it left something behind, and ended with {code}")


def n5(history: History) -> Iterator[Violation]:
    """Whoever lives on sees a node leave that drains, and neither suspects it nor holds it for dead."""
    for run, drain in history.drains.items():
        began, name = drain.began.t_mono_ns, run[0]
        if drain.over is None:
            continue
        seen: dict[NodeRun, Member] = {}
        for event in history.meeting:
            viewer = event.node, event.epoch
            if not isinstance(event, Member) or (event.member, event.member_epoch) != run:
                continue
            if event.t_mono_ns < began or history.leaving(viewer, event.t_mono_ns):
                continue
            seen[viewer] = event
            starved = any(history.starved(proc, event.t_mono_ns) for proc in (event.proc, drain.began.proc))
            if event.state in {"suspect", "dead"} and not starved:
                yield Violation("N5", "lost", event, f"{name} was leaving, and is {event.state} to {event.node}")
        for viewer in _witnesses(history, run, drain):
            if viewer not in seen:
                text = f"{name} has left, and {viewer[0]} has not seen it leave"
                yield Violation("N5", "lost", drain.over, text)


def n6(history: History) -> Iterator[Violation]:
    """What was accepted before is handed on: to the peers, and to the node's clients before they are told to go."""
    for run, drain in history.drains.items():
        over = drain.over
        if over is None or not over.handed_on or not _whole(history, run, drain.began.t_mono_ns):
            continue
        for subscription in history.subscriptions.values():
            if subscription.asked.group or subscription.home is None or subscription.settled is None:
                continue
            embedded = history.lifetimes[subscription.asked.proc].node == run
            if not embedded and run in {subscription.home, *subscription.peers}:
                yield from lost_at_the_end(history, "N6", subscription, run)
            if not embedded:
                yield from _lost_by_its_node(history, subscription, run, drain)


def _lost_by_its_node(
    history: History, subscription: SubscriptionRecord, run: NodeRun, drain: DrainRecord
) -> Iterator[Violation]:
    """Find what a client never got of its own node, though it stood there: only what overflowed may be missing."""
    since = _served(history, subscription, run, drain)
    if since is None:
        return
    for channel in [one for one in history.by_channel if covers(subscription.asked.pattern, one)]:
        items = subscription.streams.get((channel, *run), [])
        told = sum(one.count for one in items if isinstance(one, Gap) and one.reason == "overflow")
        missing = [
            one
            for one in history.numbered_at(run, channel).begun_between(since, float("inf"))
            if one.origin == run and one.outcome == "ok" and one.key not in subscription.got
        ]
        if len(missing) > told:
            text = f"{len(missing)} publishes on {channel} were not handed on to {subscription.asked.proc}, {told} told"
            yield Violation("N6", "lost", missing[-1].invoke, text, len(missing) - told)


def _served(history: History, subscription: SubscriptionRecord, run: NodeRun, drain: DrainRecord) -> int | None:
    """Return since when a subscription of a client certainly stood at its node: it has got something of that."""
    connected = _connected(history, subscription.asked.proc, run, drain.began.t_mono_ns)
    if connected is None:
        return None
    for delivery in subscription.firsts:
        one = history.publications.get((delivery.client, delivery.n))
        if one is not None and (delivery.origin, delivery.origin_epoch) == run and one.invoke.t_mono_ns >= connected:
            return delivery.t_mono_ns  # whatever begins from here on is numbered after it
    return None


def _connected(history: History, proc: str, run: NodeRun, time: int) -> int | None:
    """Return since when a client had the connection that it had at a time, None if that was with another node."""
    since = session = None
    for sample in reversed(history.usage[proc]):
        if sample.t_mono_ns > time:
            continue
        if (sample.node, sample.epoch) != run or session not in {sample.session, None}:
            break
        since, session = sample.t_mono_ns, sample.session
    return since


def _witnesses(history: History, run: NodeRun, drain: DrainRecord) -> list[NodeRun]:
    """Return the nodes that were linked with one when it began to leave, and lived on when it had left."""
    over = drain.over
    assert over is not None
    return [
        viewer
        for viewer, linked in _links(history, drain.began.t_mono_ns).items()
        if run in linked and viewer != run and _lives(history, viewer, over.t_mono_ns)
    ]


def _whole(history: History, run: NodeRun, time: int) -> bool:
    """Whether a node was linked with all that lived at a time."""
    links = _links(history, time)
    others = [one for one in history.runs if one != run and _lives(history, one, time)]
    return all(run in links.get(one, ()) and one in links.get(run, ()) for one in others)


def _links(history: History, time: int) -> dict[NodeRun, set[NodeRun]]:
    """Return which links nodes had at a time, as they saw it."""
    links: dict[NodeRun, set[NodeRun]] = {}
    for event in history.meeting:
        if isinstance(event, Link) and event.t_mono_ns <= time:
            linked = links.setdefault((event.node, event.epoch), set())
            (linked.add if event.up else linked.discard)((event.peer, event.peer_epoch))
    return links


def _lives(history: History, run: NodeRun, time: int) -> bool:
    """Whether a node runs at a time, and does not leave."""
    lifetime = history.runs[run]
    began = lifetime.began <= time and (lifetime.ended is None or lifetime.ended > time)
    return began and not history.leaving(run, time)
