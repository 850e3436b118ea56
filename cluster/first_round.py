"""The first round of a node: whether each seed was looked up and dialled once, and it is known how that ended."""

from __future__ import annotations

from collections.abc import Iterable

from .effects import Dial, Effect, Resolve

__all__ = ["FirstRound"]


class FirstRound:
    """What was asked first, and has no answer yet: targets of dials, and seeds that are looked up."""

    def __init__(self) -> None:
        self._asked: set[str] | None = None

    @property
    def over(self) -> bool:
        """Whether all of it was answered, whatever the answers were."""
        return self._asked is not None and not self._asked

    def begin(self, effects: Iterable[Effect]) -> None:
        """Take what the core asks for at its start."""
        self._asked = _asked(effects)

    def answered(self, asked: str, effects: Iterable[Effect] = ()) -> None:
        """Note an answer, and what the core asks for because of it."""
        if self._asked is not None and asked in self._asked:
            self._asked |= _asked(effects)
            self._asked.discard(asked)


def _asked(effects: Iterable[Effect]) -> set[str]:
    dialled = {effect.target for effect in effects if isinstance(effect, Dial)}
    return dialled | {effect.seed for effect in effects if isinstance(effect, Resolve)}
