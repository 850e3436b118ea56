"""Consumers that are full: what a publish hears of them, who is refused for it, and where it is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ..events import NodeRun, Policy, Publish
from ..history import History
from ..records import Key, Publication, covers
from ..violation import Violation

__all__ = ["r1", "r2", "r3"]

PRIORITY: Final = 5
"""Of what bears none."""

SHEDS: Final = re.compile(r"sheds what has a priority below (\d+)")


def r1(history: History) -> Iterator[Violation]:
    """What a publish hears follows from the four numbers, and what is accepted was not rejected where that refuses."""
    for one in history.publications.values():
        end = one.end
        if end is None or end.type != "ok" or end.pressure is None:
            continue
        decision, in_flight, credit, buffered, room = end.pressure
        if not (0 <= in_flight <= credit and 0 <= buffered <= room):
            yield Violation("R1", "phantom", end, f"there cannot be such numbers: {end.pressure}")
            continue
        policy = _policy(history, end, one.invoke.channel)
        right = "accept" if in_flight < credit or not credit else ("defer" if buffered < room else "reject")
        over = decision == "reject" and policy is not None and policy.overflow == "disconnect"  # of who takes no more
        if decision != right and not over:
            yield Violation("R1", "phantom", end, f"{decision}, where {end.pressure[1:]} is {right}")
        if decision == "reject" and policy is not None and policy.overflow == "reject":
            yield Violation("R1", "phantom", end, "accepted, though a consumer there had no room and refuses then")


def r2(history: History) -> Iterator[Violation]:
    """A publish is refused for want of room only where a consumer says so, or what is less important is shed."""
    for one in history.publications.values():
        end = one.end
        if end is None or end.type != "fail" or not end.error.startswith("Rejected"):
            continue
        policy = _policy(history, end, one.invoke.channel)
        if policy is None:
            continue
        shed, priority = SHEDS.search(end.error), _priority(one)
        if shed is None and policy.overflow != "reject":
            yield Violation("R2", "lost", end, f"refused, where the policy is {policy.overflow}")
        elif shed is not None and (int(shed[1]) not in policy.sheds or priority >= int(shed[1])):
            text = f"shed with priority {priority}, where what is below {policy.sheds} may be"
            yield Violation("R2", "lost", end, text)


def r3(history: History) -> Iterator[Violation]:
    """Where a publish is told that it was dropped, or lost on the way, nobody is handed it, unless groups share it."""
    shared = [one.asked.pattern for one in history.subscriptions.values() if one.asked.group]
    alone = {channel for channel in history.by_channel if not any(covers(pattern, channel) for pattern in shared)}
    nowhere: dict[Key, set[str]] = {}
    for one in history.publications.values():
        if one.end is not None and one.end.nodes and one.invoke.channel in alone:
            names = {name for name, fate in one.end.nodes.items() if fate in {"dropped", "lost"}}
            if names:
                nowhere[one.key] = names
    for subscription in history.subscriptions.values():
        # A client may have got it from the node that it was connected to before.
        if subscription.asked.group or history.lifetimes[subscription.asked.proc].node == ("", 0):
            continue
        for delivery in subscription.firsts:
            if delivery.node in nowhere.get((delivery.client, delivery.n), ()):
                yield Violation("R3", "phantom", delivery, f"its publisher was told that {delivery.node} dropped it")


def _policy(history: History, end: Publish, channel: str) -> Policy | None:
    """Return what the node that has answered does on a channel when its consumers are full."""
    run: NodeRun = end.node, end.epoch
    return next((one for one in history.policies.get(run, ()) if covers(one.channel, channel)), None)


def _priority(one: Publication) -> int:
    return PRIORITY if one.invoke.priority is None else one.invoke.priority
