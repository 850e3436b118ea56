"""Publishes of one turn of the loop on one channel, handed over together: one pass instead of one each.

A batch is handed over at the end of the turn, when it is large, or as soon as anyone else publishes on the channel:
whoever holds an open batch stands in its owner's ``holder``, and is flushed first, so that the order in which
publishes were made is the order in which they are numbered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from liminal_mesh.cluster import Envelope

__all__ = ["BUSY_RETRY_S", "Batch", "Holder"]

BUSY_RETRY_S: Final = 0.01
"""What a publisher that was refused for want of room is told to wait at least: a full lane empties in about this."""

ITEMS_MAX: Final = 128
BYTES_MAX: Final = 64 * 1024


class Holder(Protocol):
    """What several batches may be open on, one at a time."""

    holder: Batch | None


class Batch:
    """An open batch, or none.

    Args:
        owner: what it is open on.
        submit: takes the envelopes; must not raise, since nobody is there to hear it.
        defer: runs a function at the end of the turn.
    """

    __slots__ = ("_defer", "_owner", "_size", "_submit", "items")

    def __init__(
        self,
        owner: Holder,
        submit: Callable[[list[Envelope]], None],
        defer: Callable[[Callable[[], None]], object],
    ) -> None:
        self.items: list[Envelope] = []
        self._size = 0
        self._owner = owner
        self._submit = submit
        self._defer = defer

    def add(self, envelope: Envelope) -> None:
        """Add a publish; the batch may be handed over by this."""
        items = self.items
        if not items:
            self._open()
        items.append(envelope)
        self._size += len(envelope.body)
        if self._size > BYTES_MAX or len(items) == ITEMS_MAX:
            self.flush()

    def flush(self) -> None:
        """Hand over what there is."""
        if self._owner.holder is self:
            self._owner.holder = None
        if self.items:
            items, self.items, self._size = self.items, [], 0
            self._submit(items)

    def _open(self) -> None:
        other = self._owner.holder
        if other is not None:
            other.flush()
        self._owner.holder = self
        self._defer(self.flush)
