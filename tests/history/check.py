"""Holds a history to all invariants, and says what it found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from .events import AnyEvent, Attempt, Deliver, Gap, Member, Publish, Usage
from .history import History
from .invariants import INVARIANTS
from .violation import Kind, Violation

__all__ = ["Report", "check"]

CONTEXT = 8
"""Events shown before the first bad operation."""

SHOWN = 12
"""Violations shown in full."""

KINDS: tuple[Kind, ...] = ("lost", "duplicated", "phantom", "reordered", "stuck", "leaked")


@dataclass(frozen=True)
class Report:
    """What became of all operations of a history.

    Attributes:
        attempted: publishes.
        acknowledged: of these, those that ended well.
        ok: of these, those that some subscription got.
        recovered: unknown ones that some subscription got.
        attempts: publishes with keys, which are in none of the numbers before.
        keys: contents that were published under keys; ``once`` of them some subscription got.
        delivered: deliveries, each subscription's own.
        filtered: messages that the predicates of subscriptions did not want.
        told: messages that subscriptions were told of as lost.
        violations: the oldest first.
    """

    history: History
    attempted: int
    acknowledged: int
    ok: int
    recovered: int
    attempts: int
    keys: int
    once: int
    delivered: int
    filtered: int
    told: int
    violations: tuple[Violation, ...]

    def count(self, kind: Kind) -> int:
        """Return how many messages or operations are wrong in one way."""
        return sum(one.count for one in self.violations if one.kind == kind)

    def broken(self) -> set[str]:
        """Return the names of the invariants that do not hold."""
        return {one.invariant for one in self.violations}

    def __str__(self) -> str:
        facts: dict[str, int] = {
            "events": len(self.history.events),
            "processes": len(self.history.lifetimes),
            "subscriptions": len(self.history.subscriptions),
            "published": self.attempted,
            "acknowledged": self.acknowledged,
            "ok": self.ok,
            "unknown-recovered": self.recovered,
            "attempts with keys": self.attempts,
            "keys": self.keys,
            "keys delivered": self.once,
            "delivered": self.delivered,
            "filtered": self.filtered,
            "told as lost": self.told,
            **{kind: self.count(kind) for kind in KINDS},
        }
        lines = [f"{name:<18} {number:>9}" for name, number in facts.items()]
        held = [name for name in INVARIANTS if name not in self.broken()]
        lines.append(f"held: {' '.join(held)}")
        lines += [f"{one.invariant} {one.kind}: {one.text}" for one in self.violations[:SHOWN]]
        if len(self.violations) > SHOWN:
            lines.append(f"... and {len(self.violations) - SHOWN} more")
        if self.violations:
            lines += ["the first bad operation, and what led to it:", *self._story(self.violations[0].event)]
        return "\n".join(lines)

    def _story(self, bad: AnyEvent) -> list[str]:
        """Return the events before the bad one that have to do with it, and itself."""
        related: list[AnyEvent] = []
        for event in self.history.events:
            if event is bad:
                break
            if _related(event, bad):
                related.append(event)
        encode = msgspec.json.Encoder().encode
        shown = [f"   {encode(event).decode()}" for event in related[-CONTEXT:]]
        return [*shown, f">> {encode(bad).decode()}"]


def check(history: History, names: Iterable[str] = ()) -> Report:
    """Hold a history to some invariants, or to all."""
    violations = [violation for name in names or INVARIANTS for violation in INVARIANTS[name](history)]
    violations.sort(key=lambda one: one.event.t_mono_ns)
    got = set().union(*(one.got for one in history.subscriptions.values()))
    plain = (one for one in history.publications.values() if one.key not in history.keyed)
    outcomes = [(one.outcome, one.key in got) for one in plain]
    streams = [items for one in history.subscriptions.values() for items in one.streams.values()]
    came = [item.wanted for one in history.subscriptions.values() for item in (*one.firsts, *one.repeats)]
    told = sum(item.count for items in streams for item in items if isinstance(item, Gap))
    return Report(
        history,
        attempted=len(outcomes),
        acknowledged=sum(outcome == "ok" for outcome, _ in outcomes),
        ok=outcomes.count(("ok", True)),
        recovered=outcomes.count(("info", True)),
        attempts=len(history.attempts),
        keys=len(history.keyed),
        once=len(history.keyed & got),
        delivered=came.count(True),
        filtered=came.count(False),
        told=told,
        violations=tuple(violations),
    )


def _related(event: AnyEvent, bad: AnyEvent) -> bool:
    """Whether two events are of one operation or subscription, or one is a fault or an end of a process."""
    if event.__struct_config__.tag in {"run", "fault", "link", "rest", "drain", "close"}:
        return True
    if isinstance(event, Attempt) and isinstance(bad, Deliver | Attempt):
        return (event.client, event.n) == (bad.client, bad.n)
    if isinstance(event, Publish) and isinstance(bad, Deliver | Publish):
        n = bad.n if isinstance(bad, Deliver) else bad.id
        return event.id <= n < event.id + event.count and event.client == bad.client
    if isinstance(bad, Usage):
        return isinstance(event, Usage) and event.proc == bad.proc
    if isinstance(event, Member) and isinstance(bad, Member):
        return (event.proc, event.member) == (bad.proc, bad.member)
    return (event.proc, event.id) == (bad.proc, bad.id)
