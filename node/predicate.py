"""The predicate of a subscription: which of its messages it wants, asked in the subscriber's program as it takes them.

What it does not want is done as if it had been handled. A predicate that raises has not wanted the message: that is
counted, and logged once in a while. How much it looks at before others get a turn is bounded, too.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Final, TypeAlias

from liminal_mesh.cluster import Notices

from .lines import write_line
from .message import Message

__all__ = ["Predicate", "Where", "check_where"]

log = logging.getLogger("liminal.subscription")

Where: TypeAlias = Callable[[Message], object]
"""Tells whether a message is wanted, by the truth of what it returns."""

LOOKS_MAX: Final = 128
"""How many messages are looked at before others get a turn."""

LOOK_S: Final = 0.002
"""For how long, at most; one look takes as long as it takes."""


def check_where(where: object) -> None:
    """Refuse what is no predicate.

    Raises:
        TypeError: it is no function, or one whose answer would always be true: an async one, or a generator.
        ValueError: it is a text.
    """
    if isinstance(where, str):
        raise ValueError(f"where={where!r}: CEL texts are not available in this version; give a function")  # noqa: TRY004
    if not callable(where):
        raise TypeError(f"where={where!r}: give a function of the message that returns whether it is wanted")
    called = where, type(where).__call__
    if any(map(inspect.iscoroutinefunction, called)) or any(map(inspect.isasyncgenfunction, called)):
        raise TypeError(f"where={where!r}: an async function cannot be asked while a message is taken; give a sync one")
    if any(map(inspect.isgeneratorfunction, called)):
        raise TypeError(f"where={where!r}: a generator's answer is never false; return it instead of yielding it")


class Predicate:
    """Asks a function about messages.

    Args:
        function: the predicate.
        title: whose it is, for the log.
        clock: seconds, of the loop.

    Attributes:
        filtered: messages that were not wanted, those that it raised on included.
        errors: how often it raised.
    """

    __slots__ = ("_clock", "_function", "_looks", "_notices", "_title", "_until", "errors", "filtered")

    def __init__(self, function: Where, title: str, clock: Callable[[], float]) -> None:
        self.filtered = 0
        self.errors = 0
        self._function = function
        self._title = title
        self._clock = clock
        self._notices = Notices()
        self._looks = 0
        self._until = 0.0

    def wants(self, message: Message) -> bool:
        """Ask about one message."""
        if self._looks == 0:
            self._until = self._clock() + LOOK_S
        self._looks += 1
        try:
            wanted = self._function(message)
            if wanted is not True and wanted is not False:
                wanted = _truth(wanted)
        except Exception as error:  # noqa: BLE001 - it is the user's, and told as below
            self._failed(message, error)
            wanted = False
        if not wanted:
            self.filtered += 1
        return bool(wanted)

    @property
    def tired(self) -> bool:
        """Whether others should get a turn now."""
        return self._looks >= LOOKS_MAX or (self._looks > 0 and self._clock() >= self._until)

    def rest(self) -> None:
        """Others get their turn."""
        self._looks = 0

    def _failed(self, message: Message, error: Exception) -> None:
        self.errors += 1
        facts = {"subscription": self._title, "message": repr(message), "errors": self.errors}
        notice = self._notices.take("error", "predicate_failed", "", self._clock(), **facts)
        if notice is not None:
            write_line(log, logging.ERROR, notice.event, notice.fields, error)


def _truth(answer: object) -> bool:
    if inspect.iscoroutine(answer):
        answer.close()  # it is never awaited, and would say so
    if isinstance(answer, Awaitable | AsyncGenerator | Generator):
        raise TypeError(f"the predicate returned a {type(answer).__name__}, which is never false: it has to be a value")
    return bool(answer)
