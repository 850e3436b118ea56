"""Who is in the mesh, as each node saw it.

A node's view is put together from the changes that it wrote down; of itself it need not say anything. What it has seen
of a member is compared run by run: an epoch, and within it an incarnation, which only that run raises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..events import Link, Member, NodeRun, Rest
from ..history import History
from ..violation import Violation

__all__ = ["g1", "g2", "g3", "g4"]

GONE = ("dead", "left")
Views = dict[NodeRun, dict[str, Member]]


def g1(history: History) -> Iterator[Violation]:
    """At rest every view is the truth: it shows each living node's present run as alive, and nobody else."""
    for rest, views, living in _moments(history):
        for viewer, view in views.items():
            for name, epoch in living.items():
                held = view.get(name)
                if name == viewer[0] or (held is not None and (held.member_epoch, held.state) == (epoch, "alive")):
                    continue
                if held is not None and held.member_epoch == epoch and held.state in GONE:
                    continue  # that is G3
                shown = "nothing" if held is None else f"{held.state!r} of run {held.member_epoch}"
                yield Violation("G1", "lost", held or rest, f"{viewer[0]} shows {shown} of {name}, run {epoch}")
            for name, held in view.items():
                if name not in living and held.state not in GONE:
                    yield Violation("G1", "phantom", held, f"{viewer[0]} shows {name}, which is not there")


def g2(history: History) -> Iterator[Violation]:
    """Who was purged does not come back: a run that is dead returns with a higher incarnation, one that left never."""
    over: dict[tuple[NodeRun, str], tuple[int, int | float]] = {}
    for event in history.meeting:
        if not isinstance(event, Member):
            continue
        key = (event.node, event.epoch), event.member
        run, purged = (event.member_epoch, event.incarnation), over.get(key, (0, -1))
        if event.state in {"alive", "suspect"} and run <= purged:
            yield Violation("G2", "phantom", event, f"{event.member} is back as {run}, and {purged} was over")
        ended: tuple[int, int | float] = (event.member_epoch - 1, float("inf"))
        if event.state == "dead":
            ended = run
        elif event.state == "left":
            ended = event.member_epoch, float("inf")
        over[key] = max(purged, ended)


def g3(history: History) -> Iterator[Violation]:
    """At rest no living node is held for dead, or gone."""
    for _, views, living in _moments(history):
        for viewer, view in views.items():
            for name, held in view.items():
                if living.get(name) == held.member_epoch and held.state in GONE:
                    yield Violation("G3", "lost", held, f"{viewer[0]} holds {name} for {held.state}, and it lives")


def g4(history: History) -> Iterator[Violation]:
    """Two nodes have one link: none begins while one stands, and at rest each has one to each."""
    up: dict[NodeRun, set[NodeRun]] = defaultdict(set)
    for event in history.meeting:
        if isinstance(event, Link):
            here, peer = up[event.node, event.epoch], (event.peer, event.peer_epoch)
            if event.up and any(name == event.peer for name, _ in here):
                yield Violation("G4", "duplicated", event, f"{event.node} has another link to {event.peer}")
            (here.add if event.up else here.discard)(peer)
        elif isinstance(event, Rest):
            living = set(_living(history, event).items())
            for run in sorted(living):
                for peer in sorted(living - up[run] - {run}):
                    yield Violation("G4", "lost", event, f"{run[0]} has no link to {peer[0]}")


def _moments(history: History) -> Iterator[tuple[Rest, Views, dict[str, int]]]:
    """Yield each moment of rest, with the views of those that live then."""
    views: Views = defaultdict(dict)
    for event in history.meeting:
        if isinstance(event, Member):
            view = views[event.node, event.epoch]
            if event.state:
                view[event.member] = event
            else:
                view.pop(event.member, None)
        elif isinstance(event, Rest):
            living = _living(history, event)
            yield event, {run: views[run] for run in sorted(living.items())}, living


def _living(history: History, rest: Rest) -> dict[str, int]:
    """Return the nodes that live at a moment, and their runs."""
    now = rest.t_mono_ns
    living: dict[str, int] = {}
    for (name, epoch), lifetime in history.runs.items():
        if lifetime.began < now and (lifetime.ended is None or lifetime.ended > now):
            living[name] = max(epoch, living.get(name, 0))
    return living
