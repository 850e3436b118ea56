"""A subscription of a client: it outlives connections, and says what it missed between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import Pid, Subscribe, Subscribed, Unsubscribe

from .client_feed import ClientFeed
from .client_sinks import patience_ms
from .errors import Draining, OutcomeUnknown
from .inbox import Inbox
from .subscription import Subscription

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ClientSubscription"]


class ClientSubscription(Subscription):
    """A subscription held by a client."""

    def __init__(
        self, client: Client, number: int, pattern: str, max_in_flight: int, wait: str | None, timeout_s: float
    ) -> None:
        super().__init__(pattern, max_in_flight)
        self.number = number
        self._client = client
        self._barrier = wait or ""
        self._timeout_s = timeout_s
        self._pid: Pid | None = None
        # What one connection still owed us may wait beside what the next one sends.
        self._waiting = Inbox(max_in_flight, max_in_flight * 3, 1 << 62, "drop-newest")
        self.feed = ClientFeed(number, self._waiting, self.ready, client.send)

    @property
    def id(self) -> Pid:
        """The process of the bus that the subscription is, at the node that the client is connected to now."""
        assert self._pid is not None, "a subscription has an id once it was entered"
        return self._pid

    async def _open(self) -> Inbox:
        try:
            await self._client.open_subscription(self, self._timeout_s)
        except BaseException:
            self._close()
            raise
        return self._waiting

    def request(self, ref: int) -> Subscribe:
        """Return what asks the node for it."""
        # The barrier is for the first time alone: whoever iterates does not wait for peers again.
        barrier, self._barrier = self._barrier, ""
        return Subscribe(ref, self.number, self.pattern, self.max_in_flight, barrier, patience_ms(self._timeout_s))

    def stands(self, frame: Subscribed) -> None:
        """The node has opened it."""
        node = self._client.pid
        self._pid = Pid(node.node, node.epoch, frame.number)

    def refused(self, error: Exception) -> None:
        """The node would not open it again. If it leaves, or the connection was lost, another attempt follows."""
        if not isinstance(error, OutcomeUnknown | Draining):
            self.end(error)

    def goodbye(self) -> Unsubscribe:
        """Return what ends it at the node."""
        return Unsubscribe(self.number)

    def _close(self) -> None:
        self._client.feeds.remove(self)

    def _finished(self, count: int) -> None:
        self.feed.finished(count)
