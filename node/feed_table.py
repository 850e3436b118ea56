"""What a client has standing at its node, by the numbers that the node's frames bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from liminal_mesh.cluster import Anchored, ClientFrame, ClientGap, Deliver, Ended, Subscribed

from .client_feed import ClientFeed
from .client_sinks import Resubscription, error_of
from .errors import NoConnection
from .ledger import Ledger

__all__ = ["FeedHolder", "FeedTable"]


class FeedHolder(Protocol):
    """Something that a node delivers to, and that comes back on each new connection."""

    @property
    def number(self) -> int:
        """What the frames about it bear, unique within the client."""

    @property
    def feed(self) -> ClientFeed:
        """Takes what is delivered."""

    def request(self, ref: int) -> ClientFrame:
        """Return what asks the node for it."""

    def stands(self, frame: Subscribed) -> None:
        """The node has opened it."""

    def refused(self, error: Exception) -> None:
        """The node would not open it again, or the connection was lost before it answered."""

    def end(self, error: Exception | None) -> None:
        """It is over."""

    def goodbye(self) -> ClientFrame:
        """Return what ends it at the node."""


class FeedTable:
    """The feeds of a client.

    Args:
        ledger: numbers requests.
        send: sends a control frame; False when no connection stands.
        where: the node's addresses, for errors.
    """

    def __init__(self, ledger: Ledger, send: Callable[[ClientFrame], bool], where: str) -> None:
        self._ledger = ledger
        self._send = send
        self._where = where
        self._holders: dict[int, FeedHolder] = {}

    def add(self, holder: FeedHolder) -> None:
        """Let a holder receive, and come back on each new connection."""
        self._holders[holder.number] = holder

    def open(self, holder: FeedHolder) -> None:
        """Let a holder receive from now on: it is asked for as on a new connection; refused, if there is none."""
        self.add(holder)
        self._ask(holder)

    def remove(self, holder: FeedHolder) -> None:
        """Let it receive no more; tell the node, unless it has ended it already."""
        if self._holders.pop(holder.number, None) is not None:
            self._send(holder.goodbye())

    def forget(self, holder: FeedHolder) -> None:
        """Let it receive no more; the node knows."""
        self._holders.pop(holder.number, None)

    def begin(self) -> None:
        """A new connection stands: ask for everything again."""
        for holder in tuple(self._holders.values()):
            self._ask(holder)

    def take(self, frame: Deliver | ClientGap | Anchored) -> None:
        """Hand on what the node delivers.

        Raises:
            ProtocolError: it does not follow what came before.
        """
        holder = self._holders.get(frame.subscription)
        if holder is None:
            return  # it was closed while this was on its way
        if isinstance(frame, Deliver):
            holder.feed.deliver(frame)
        elif isinstance(frame, ClientGap):
            holder.feed.gap(frame)
        else:
            holder.feed.anchored(frame)

    def ended(self, frame: Ended) -> None:
        """The node has ended one.

        Raises:
            ProtocolError: the fields of its error are no map.
        """
        holder = self._holders.pop(frame.subscription, None)
        if holder is not None:
            holder.end(error_of(frame.error, frame.fields) if frame.error else None)

    def end(self, error: Exception | None) -> None:
        """End all of them."""
        for holder in tuple(self._holders.values()):
            holder.end(error)

    def _ask(self, holder: FeedHolder) -> None:
        holder.feed.begin()
        ref = self._ledger.request(Resubscription(holder))
        if not self._send(holder.request(ref)):
            self._ledger.fail([ref], NoConnection(self._where, "the connection was lost and is being made again"))
