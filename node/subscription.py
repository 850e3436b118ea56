"""The subscriber's end of a subscription, the same on a node and on a client."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from liminal_mesh.cluster import Pid

from .inbox import Inbox
from .receiver import Receiver

__all__ = ["Subscription"]

CREDIT_MAX: Final = 1_000_000
"""The largest ``max_in_flight``."""


class Subscription(Receiver):
    """A subscription: use it as ``async with``, and iterate over its items (``Message`` or ``Gap``).

    Taking the next item says that the last one is done. One task iterates at a time. Leaving the block, cancelling
    the task that holds it, or the end of the bus closes it.
    """

    def __init__(self, pattern: str, max_in_flight: int) -> None:
        super().__init__()
        if not 1 <= max_in_flight <= CREDIT_MAX:
            raise ValueError(f"max_in_flight={max_in_flight}: it must be 1 to {CREDIT_MAX}")
        self.pattern = pattern
        self.max_in_flight = max_in_flight

    # --- what node and client fill in ---

    async def _open(self) -> Inbox:
        """Make it stand; return the inbox."""
        raise NotImplementedError

    @property
    def id(self) -> Pid:
        """The process of the bus that the subscription is."""
        raise NotImplementedError

    # --- the subscriber's side ---

    @property
    def title(self) -> str:
        """What it is, in the words of an error."""
        return f"the subscription to {self.pattern!r}"

    async def __aenter__(self) -> Self:
        assert self._inbox is None, "a subscription is entered once"
        self._inbox = await self._open()
        self.ready()  # it may have overflowed while it was opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(None)
