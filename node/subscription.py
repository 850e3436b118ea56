"""The subscriber's end of a subscription, the same on a node and on a client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from liminal_mesh.cluster import Pid

from .acks import check_timeout, check_wait
from .causal import CausalBounds, CausalOrder
from .inbox import Inbox
from .lines import write_line
from .names import check_name, check_pattern, matches
from .predicate import Predicate, Where, check_where
from .receiver import Receiver
from .versions import check_schemas

__all__ = ["Subscription"]

log = logging.getLogger("liminal.subscription")

CREDIT_MAX: Final = 1_000_000
"""The largest ``max_in_flight``."""


class Subscription(Receiver):
    """A subscription: use it as ``async with``, and iterate over its items (``Message`` or ``Gap``).

    Taking the next item says that the last one is done. One task iterates at a time. Leaving the block, cancelling
    the task that holds it, or the end of the bus closes it. So does letting go of it (and of its messages) without
    leaving the block, which is a mistake, and logged.
    """

    _leave: Callable[[], None] | None = None
    """Takes it down; None while it does not stand."""

    def __init__(
        self,
        pattern: str,
        max_in_flight: int,
        group: str | None = None,
        where: Where | None = None,
        causal: CausalBounds | None = None,
        schemas: Sequence[str] = (),
        wait: str | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        check_pattern(pattern)
        predicate = order = None
        if where is not None:
            check_where(where)
            predicate = Predicate(where, pattern, asyncio.get_running_loop().time)
        if group is not None and causal is not None:
            why = "a parent may be for another member, and this one would wait for it in vain; choose one of the two"
            raise ValueError(f"group={group!r} with causal=True: {why}")
        if causal is not None:
            order = CausalOrder(partial(matches, pattern), causal)
        super().__init__(where=predicate, order=order)
        if not 1 <= max_in_flight <= CREDIT_MAX:
            raise ValueError(f"max_in_flight={max_in_flight}: it must be 1 to {CREDIT_MAX}")
        self.pattern = pattern
        self.group = None if group is None else check_name(group, "group")
        self.max_in_flight = max_in_flight
        self.schemas = check_schemas(schemas)
        self._barrier = check_wait(wait)
        self._timeout_s = check_timeout(timeout_s)

    # --- what node and client fill in ---

    async def _open(self) -> tuple[Inbox, Callable[[], None]]:
        """Make it stand; return the inbox, and what takes it down, which must not hold the subscription."""
        raise NotImplementedError

    @property
    def id(self) -> Pid:
        """The process of the bus that the subscription is."""
        raise NotImplementedError

    @property
    def schema(self) -> str | None:
        """The version of the channel's schema that was selected when it was entered; None without a schema.

        A message that was published by another version says so itself (``message.schema``). On a client it is selected
        again when the client was connected anew.
        """
        raise NotImplementedError

    # --- the subscriber's side ---

    @property
    def title(self) -> str:
        """What it is, in the words of an error."""
        return f"the subscription to {self.pattern!r}"

    async def __aenter__(self) -> Self:
        """Make it stand; see :meth:`.Bus.subscribe` for the errors."""
        if self._inbox is not None:
            raise RuntimeError(f"{self.title} was entered already: open another one")
        self._inbox, self._leave = await self._open()
        self.bell.inbox = self._inbox
        self._loop = asyncio.get_running_loop()
        if self._ended:  # the bus came to its end meanwhile
            self._close()
        self.ready()  # it may have overflowed while it was opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, and raise what the bus could not do of that; it is logged if another error is under way."""
        leave, self._leave = self._leave, None
        self.end(None)
        if leave is not None and error is None:
            leave()
        elif leave is not None:
            _take_down(self.pattern, self.id, leave)

    def __del__(self) -> None:
        # In any thread, and perhaps when the loop has come to its end, and everything with it.
        if self._leave is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_dropped, self.pattern, self.id, self._leave)

    def _close(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            _take_down(self.pattern, self.id, leave)


def _dropped(pattern: str, pid: Pid, leave: Callable[[], None]) -> None:
    """Take down what nobody holds any more."""
    facts = {"pattern": pattern, "pid": str(pid), "why": "it was dropped without leaving its 'async with'"}
    write_line(log, logging.WARNING, "subscription_dropped", facts)
    _take_down(pattern, pid, leave)


def _take_down(pattern: str, pid: Pid, leave: Callable[[], None]) -> None:
    try:
        leave()
    except Exception as error:  # noqa: BLE001 - whatever the bus could not do, the subscription is over
        write_line(log, logging.ERROR, "unsubscribe_failed", {"pattern": pattern, "pid": str(pid)}, error)
