"""What caused what: chains of parents over the messages that were seen."""

from __future__ import annotations

from typing import Final

from .message import Message
from .reference import Reference

__all__ = ["Chains"]

KEPT: Final = 65_536
"""How many messages are remembered, unless somebody asks for another number."""


class Chains:
    """Remembers which message named which as its parent, and tells whether one happened before another.

    It knows what it was shown: a chain that runs over a message it has not seen, or has forgotten, ends there.

    Args:
        kept: how many messages to remember; beyond it the oldest is forgotten.
    """

    def __init__(self, kept: int = KEPT) -> None:
        if kept < 1:
            raise ValueError(f"kept={kept}: at least one message must be remembered")
        self._kept = kept
        self._parents: dict[tuple[str, int], tuple[str, int]] = {}

    def note(self, message: Message) -> None:
        """Remember a message; one without a parent begins a chain, and there is nothing to remember.

        Raises:
            ProtocolError: another program gave it a parent that is none.
        """
        parent = message.causal
        if parent is None:
            return
        self._parents[message.origin, message.id] = (parent.origin, parent.id)
        if len(self._parents) > self._kept:
            del self._parents[next(iter(self._parents))]

    def happened_before(self, first: Message | Reference, second: Message | Reference) -> bool:
        """Whether ``first`` is the parent of ``second``, or the parent of its parent, and so on.

        False says that nothing is known of it: the two may be independent, or the chain between them was not seen.

        Raises:
            ProtocolError: ``second`` was not noted, and another program gave it a parent that is none.
        """
        sought, at = (first.origin, first.id), (second.origin, second.id)
        passed = set()  # a program that names what it publishes later can close a circle
        while at not in passed:
            passed.add(at)
            parent = self._parents.get(at)
            if parent is None:
                parent = _told(second) if at == (second.origin, second.id) else None
            if parent is None:
                return False
            if parent == sought:
                return True
            at = parent
        return False


def _told(message: Message | Reference) -> tuple[str, int] | None:
    """Return the parent that a message itself tells of."""
    parent = message.causal if isinstance(message, Message) else None
    return None if parent is None else (parent.origin, parent.id)
