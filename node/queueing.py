"""Who gets what of a queue: the rules by which messages are shared out, first to nodes, then to members there.

A few messages at a time go to whoever has credit, as far as that is known: a consumer that is busy with one long job
must not keep others' work waiting. A burst is shared evenly, in runs, and waits in inboxes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from enum import IntEnum
from hashlib import blake2b
from itertools import islice, pairwise
from math import log
from typing import Final, NamedTuple, TypeVar

from liminal_mesh.cluster import Eagerness

__all__ = ["FEW", "PATIENCE", "Candidate", "Fate", "Ring", "Share", "Span", "Turns", "favourite", "spans"]

FEW: Final = 8
"""So many messages at once are no burst: they look for credit."""

PATIENCE: Final = 8
"""So many messages pass over a node whose members were busy, before it is asked again."""

WHOLE: Final = 720_720
"""One message, in the units of claims: any of up to 16 equal parts of it is a whole number."""


class Fate(IntEnum):
    """What became of a message at a node that was asked to give it to a member of a group."""

    TAKEN = 0
    """A member took it, within its credit."""
    DEFERRED = 1
    """It waits in the inbox of a member, none of which has credit left."""
    DROPPED = 2
    """It was dropped for a member, which is told, or which broke on it: nobody else may get it."""
    FULL = 3
    """There are members, and they have no room."""
    ABSENT = 4
    """There is no member."""
    SUPPRESSED = 5
    """Members here have taken a message under its key before."""


class Candidate(NamedTuple):
    """A node that can be asked.

    ``weight`` is how many members it has. It is ``open`` if what is sent to it is on its way at once, and ``ready`` if
    its members have credit, as far as is known.
    """

    node: str
    weight: int
    open: bool
    ready: bool


class Share(NamedTuple):
    """The next ``size`` messages are for ``node``, which shall put up with as much as ``eagerness`` says."""

    node: str
    size: int
    eagerness: Eagerness


def favourite(key: str, candidates: Sequence[Candidate]) -> Candidate:
    """Return the node that is asked first to take what has a key.

    Whoever publishes it, and publishes it again, asks the same node, which knows the key then; each node is the first
    for its part of all keys. When members come or go, few keys change their node.
    """

    def rank(one: Candidate) -> float:
        chance = int.from_bytes(blake2b(f"{one.node} {key}".encode(), digest_size=8).digest(), "big")
        return -one.weight / log((chance + 1) / (2**64 + 1))

    return max(candidates, key=rank)


class Turns:
    """The nodes of one queue in turns, in proportion to their members; and who of them was busy when last asked."""

    def __init__(self) -> None:
        self._claims: dict[str, int] = {}
        """How far behind its part each node is; together they are about nothing."""
        self._busy: dict[str, int] = {}
        """How many messages may still pass over a node whose members had no credit."""

    def ready(self, node: str) -> bool:
        """Whether the members of a node have credit, as far as it has said."""
        return node not in self._busy

    def keep(self, nodes: Container[str]) -> None:
        """Forget what other nodes than these have said."""
        self._busy = {node: left for node, left in self._busy.items() if node in nodes}

    def heard(self, node: str, ready: bool) -> None:
        """Note what a node's answer says of its members."""
        if ready:
            self._busy.pop(node, None)
        else:
            self._busy.setdefault(node, PATIENCE)

    def plan(self, count: int, candidates: Sequence[Candidate]) -> list[Share]:
        """Share ``count`` messages out, each node's in one run, in the order of the candidates.

        Args:
            count: how many.
            candidates: at least one; of those that are equally far behind the first gets the next.
        """
        if len(candidates) == 1:
            return [Share(candidates[0].node, count, Eagerness.ANY)]
        chosen = [one for one in candidates if one.open] or list(candidates)
        ready: list[Candidate] = []
        if count <= FEW:
            ready = [one for one in chosen if one.ready]
            if ready and len(ready) < len(chosen):
                self._pass_over([one.node for one in chosen if not one.ready], count)
                chosen = ready
        # With nobody else to turn to that may have credit, an inbox is good enough.
        eagerness = Eagerness.CREDIT if len(ready) > 1 else Eagerness.ROOM
        return [Share(node, part, eagerness) for node, part in self._split(count, chosen) if part]

    def _pass_over(self, nodes: Iterable[str], count: int) -> None:
        for node in nodes:
            left = self._busy.pop(node, 0) - count
            if left > 0:
                self._busy[node] = left

    def _next(self, chosen: Sequence[Candidate]) -> str:
        """Return whose turn it is: as :meth:`_split` does of one message."""
        total, before = sum([one.weight for one in chosen]), self._claims
        claims, best, most = dict[str, int](), "", -WHOLE * FEW
        for node, weight, _, _ in chosen:
            claim = claims[node] = before.get(node, 0) + weight * WHOLE // total
            if claim > most:
                best, most = node, claim
        claims[best] -= WHOLE
        if len(before) != len(claims):  # some have come, or gone: together they are to be nothing
            excess = sum(claims.values()) // len(claims)
            claims = {node: claim - excess for node, claim in claims.items()}
        self._claims = claims
        return best

    def _split(self, count: int, chosen: Sequence[Candidate]) -> list[tuple[str, int]]:
        if len(chosen) == 1:
            return [(chosen[0].node, count)]
        if count == 1:
            return [(self._next(chosen), 1)]
        total = sum([one.weight for one in chosen])
        # Who is not asked now has no claim on later ones, and whoever comes back begins anew.
        claims = {one.node: self._claims.get(one.node, 0) + count * one.weight * WHOLE // total for one in chosen}
        excess = (sum(claims.values()) - count * WHOLE) // len(claims)
        given, left = dict.fromkeys(claims, 0), count
        for node in sorted(claims, key=lambda node: -claims[node]):
            given[node] = min(left, max(0, (claims[node] - excess) // WHOLE))
            left -= given[node]
        for node in sorted(claims, key=lambda node: given[node] * WHOLE - claims[node])[:left]:
            given[node] += 1
        self._claims = {node: claims[node] - excess - given[node] * WHOLE for node in claims}
        return list(given.items())


Member = TypeVar("Member")


class Ring:
    """The members of a queue at one node, one after the other."""

    def __init__(self) -> None:
        self._next = 0

    def share(self, count: int, members: Sequence[Member], room: Callable[[Member], int]) -> list[tuple[Member, int]]:
        """Share ``count`` messages evenly among the members that have room for any; no more than each has room for.

        Returns:
            Members in turn, each with how many are for it; nothing when none has room.
        """
        size, start = len(members), self._next
        places = ((start + step) % size for step in range(size))
        found = list(islice((place for place in places if room(members[place]) > 0), count))
        if not found:
            return []
        part, extra = divmod(count, len(found))
        self._next = found[extra - 1] + 1 if extra else (found[-1] + 1 if part == 1 else start)
        shares = [(members[place], part + (index < extra)) for index, place in enumerate(found)]
        return [(member, min(most, room(member))) for member, most in shares]


class Span(NamedTuple):
    """The messages ``start`` to ``stop`` of a run, and the indexes of the parts that they belong to."""

    start: int
    stop: int
    parts: list[int]


def spans(parts: Sequence[tuple[int, int]], count: int) -> list[Span]:
    """Cut a run where any of some parts of it begins or ends.

    Args:
        parts: where each starts and stops.
        count: how many messages are wanted in any case, from the first of the run on; 0 if only those in parts are.

    Returns:
        Each message that is wanted in one span, in order.
    """
    edges = sorted({0, count, *(edge for part in parts for edge in part)})
    found = [
        Span(start, stop, [index for index, part in enumerate(parts) if part[0] <= start and stop <= part[1]])
        for start, stop in pairwise(edges)
    ]
    return [span for span in found if span.parts or span.stop <= count]
