"""What crosses links.

F3 is observed at the receivers: each node writes down every frame with publishes as its mesh hands it over, before
anything filters what repeats. Sequences would hide a relay, since a relaying node would count the message as its own;
so the messages' contents are compared.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events import NodeRun
from ..history import History
from ..records import Key
from ..violation import Violation
from .content import crossed, duplicates, phantoms
from .order import disorder

__all__ = ["f1", "f3"]


def f1(history: History) -> Iterator[Violation]:
    """E1 to E3 hold for what came from other nodes."""
    yield from phantoms(history, "F1", crossed)
    yield from duplicates(history, "F1", crossed)
    yield from disorder(history, "F1", crossed)


def f3(history: History) -> Iterator[Violation]:
    """A message comes to a node over one link, that to its origin, and once.

    For each group it comes once more at most, and once before that for those alone who have credit.
    """
    seen: dict[tuple[NodeRun, str, bool], dict[Key, NodeRun]] = {}
    for arrival in history.arrivals:
        here = seen.setdefault(((arrival.node, arrival.epoch), arrival.group, arrival.spare), {})
        peer = arrival.peer, arrival.peer_epoch
        for key in arrival.keys:
            if key in history.keyed:  # whoever tries a key again sends its content again
                continue
            former, published = here.get(key), history.publications.get(key)
            here[key] = peer
            if former is not None:
                yield Violation("F3", "duplicated", arrival, f"{key} had come over the link from {former[0]} before")
            elif published is not None and published.origin not in (peer, None):
                yield Violation("F3", "duplicated", arrival, f"{key} is no publish of {peer[0]}: it was relayed")
