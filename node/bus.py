"""The Bus: the same verbs with the same meaning, on an embedded node and on a client of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

from liminal_mesh.cluster import Member, Pid

from .publisher import Publisher
from .subscription import Subscription
from .values import PublishOutcome

__all__ = ["Ack", "Bus", "Wait"]

Ack = Literal["accepted", "nodes"]
"""What a publish waits for: this node's acceptance, or the receipt of every interested node."""

Wait = Literal["cluster"]
"""What a subscription waits for: that every linked peer knows of it."""


@runtime_checkable
class Bus(Protocol):
    """What a program holds of the bus."""

    @property
    def pid(self) -> Pid:
        """The Bus's own process: the node, or the client's connection."""

    async def publish(
        self,
        channel: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Publish, and return how it fared.

        Args:
            channel: an exact name.
            payload: bytes, text, or what msgpack can hold; pydantic models, dataclasses and msgspec structs too.
            headers: texts that travel beside the payload.
            ack: what to wait for; the channel's own when it is None.
            timeout: how long to wait for receipts, in seconds; one that is missing then reads ``unknown``.

        Raises:
            ChannelNotConfigured: no configuration covers the channel.
            Draining: the node leaves.
            LimitExceeded: the message is larger than ``max_frame`` allows, or too many channels are in use.
            NotAuthorized: the caller may not.
            Rejected: a local subscriber with the policy ``reject`` has no room.
            TypeError: the payload or a header cannot be encoded.
        """

    def publish_nowait(self, channel: str, payload: object, *, headers: Mapping[str, str] | None = None) -> None:
        """Publish without waiting for anything, and without hearing how it fared.

        Raises:
            Busy: a bound of the publisher's own is reached; :meth:`writable` waits for room.
            ChannelNotConfigured, Draining, LimitExceeded, NotAuthorized, Rejected, TypeError: as :meth:`publish`; on
                a client what the node refuses is raised by the next call for that channel.
        """

    async def writable(self, channel: str) -> None:
        """Wait until :meth:`publish_nowait` has room.

        Raises:
            LiminalError: the node refused an earlier ``publish_nowait`` on the channel (clients).
        """

    def publisher(self, channel: str, *, window: int = 4096, ack: Ack | None = None, timeout: float = 5.0) -> Publisher:
        """Return a windowed publisher, for ``async with``.

        Args:
            channel: an exact name.
            window: how many publishes may be in flight, at least 1.
            ack: what each waits for; the channel's own when it is None.
            timeout: how long one may be in flight before its outcome counts as unknown.
        """

    def subscribe(
        self, channel: str, *, max_in_flight: int = 256, wait: Wait | None = None, timeout: float = 5.0
    ) -> Subscription:
        """Return a subscription, for ``async with``.

        Args:
            channel: an exact name, or a pattern: ``*`` stands for one token, a final ``>`` for the rest.
            max_in_flight: the credit: messages handed over and not yet done.
            wait: ``"cluster"`` returns when every peer that is linked has applied it.
            timeout: for that, in seconds.

        Entering it raises:
            ChannelNotConfigured: no configuration covers the exact name.
            DeadlineExceeded: ``missing`` names the peers that have not applied it; nothing is left behind.
            Draining, LimitExceeded, NotAuthorized: as :meth:`publish`.
            ValueError: the pattern is none.
        """

    async def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as the node sees them, itself included."""
