"""A subscription of a client: it outlives connections, and says what it missed between two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from liminal_mesh.cluster import Pid, Subscribe, Subscribed, Unsubscribe

from .bell import Bell
from .causal import CausalBounds
from .client_feed import ClientFeed
from .client_sinks import Opening, patience_ms
from .errors import Draining, OutcomeUnknown
from .inbox import Inbox
from .predicate import Where
from .subscription import Subscription

if TYPE_CHECKING:
    from .client_session import ClientSession

__all__ = ["ClientSubscription", "StandingSubscription"]


class StandingSubscription:
    """What a client keeps of a subscription, so that it comes back on each new connection; a holder of a feed."""

    def __init__(
        self,
        client: ClientSession,
        number: int,
        pattern: str,
        group: str,
        schemas: Sequence[str],
        max_in_flight: int,
        barrier: str,
        timeout_s: float,
        bell: Bell,
        *,
        anchors: bool,
    ) -> None:
        self.number = number
        # What one connection still owed us may wait beside what the next one sends.
        self.inbox = Inbox(max_in_flight, max_in_flight * 3, 1 << 62, "drop-newest")
        self.feed = ClientFeed(number, self.inbox, bell.ready, client.send, anchors=anchors, shared=bool(group))
        self.pid: Pid | None = None
        self.schema: str | None = None
        self._client = client
        self._pattern = pattern
        self._group = group
        self._schemas = schemas
        self._max_in_flight = max_in_flight
        self._barrier = barrier
        self._timeout_s = timeout_s
        self._bell = bell

    def request(self, ref: int) -> Subscribe:
        """Return what asks the node for it."""
        # The barrier is for the first time alone: whoever iterates does not wait for peers again.
        barrier, self._barrier = self._barrier, ""
        patience = patience_ms(self._timeout_s)
        late = self._group, list(self._schemas)
        return Subscribe(ref, self.number, self._pattern, self._max_in_flight, barrier, patience, *late)

    def stands(self, frame: Subscribed) -> None:
        """The node has opened it."""
        node = self._client.pid
        self.pid = Pid(node.node, node.epoch, frame.number)
        self.schema = frame.schema or None

    def refused(self, error: Exception) -> None:
        """The node would not open it again. If it leaves, or the connection was lost, another attempt follows."""
        if not isinstance(error, OutcomeUnknown | Draining):
            self.end(error)

    def end(self, error: Exception | None) -> None:
        """It is over."""
        self._bell.end(error)

    def goodbye(self) -> Unsubscribe:
        """Return what ends it at the node."""
        return Unsubscribe(self.number)


class ClientSubscription(Subscription):
    """A subscription held by a client."""

    def __init__(
        self,
        client: ClientSession,
        number: int,
        pattern: str,
        group: str | None,
        where: Where | None,
        max_in_flight: int,
        causal: CausalBounds | None,
        schemas: Sequence[str],
        wait: str | None,
        timeout_s: float,
    ) -> None:
        super().__init__(pattern, max_in_flight, group, where, causal, schemas, wait, timeout_s)
        self._client = client
        self._standing = StandingSubscription(
            client,
            number,
            pattern,
            group or "",
            self.schemas,
            max_in_flight,
            self._barrier,
            timeout_s,
            self.bell,
            anchors=causal is not None,
        )

    @property
    def id(self) -> Pid:
        """The process of the bus that the subscription is, at the node that the client is connected to now."""
        if self._standing.pid is None:
            raise RuntimeError(f"{self.title} is not entered: it has no id yet")
        return self._standing.pid

    @property
    def schema(self) -> str | None:
        """The version of the channel's schema that the node which the client is connected to has selected."""
        return self._standing.schema

    async def _open(self) -> tuple[Inbox, Callable[[], None]]:
        leave = partial(self._client.feeds.remove, self._standing)
        try:
            self._client.raise_if_closed()
            self._client.feeds.add(self._standing)
            call = Opening("subscribe", self._standing)
            await self._client.requests.ask(call, self._standing.request, self._timeout_s)
        except BaseException:
            leave()
            raise
        return self._standing.inbox, leave

    def _finished(self, count: int) -> None:
        self._standing.feed.finished(count)
