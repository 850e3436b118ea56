"""A client: the Bus of a program that speaks with a node somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from liminal_mesh.cluster import CHANNEL_SCOPE, GROUP_SCOPE, Member, MemberEntry, Pid

from .acks import check_timeout
from .bus import Ack, Wait
from .client_outgoing import Outgoing
from .client_publisher import ClientPublisher
from .client_session import ClientSession
from .client_subscription import ClientSubscription
from .client_watches import ClientGroupWatch, ClientMemberWatch, ClientMonitor
from .environment import REAL, Environment
from .mailbox import Mailbox
from .membership import GroupMembership
from .message import Message
from .monitor import Monitor
from .names import check_name
from .predicate import Where
from .process import Process, ProcessFunction
from .publisher import Publisher
from .reference import Reference
from .subscription import Subscription
from .url import DEFAULT_URL
from .values import PublishOutcome
from .waits import FOREVER_S
from .watch import GroupWatch, MemberWatch

__all__ = ["Client"]

_MEMBERS: Final = msgspec.msgpack.Decoder(list[MemberEntry])
_PIDS: Final = msgspec.msgpack.Decoder(list[tuple[str, int, int]])


class Client(ClientSession):
    """A client, made by ``connect``. It reconnects by itself, and its subscriptions come back with it."""

    def __init__(self, url: str = DEFAULT_URL, *, name: str | None = None, environment: Environment = REAL) -> None:
        super().__init__(url, name, environment)
        self._outgoing = Outgoing(self)

    # --- the Bus ---

    async def publish(
        self,
        channel: str,
        payload: object,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        parent: Message | Reference | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Publish, and return how it fared; see :meth:`.Bus.publish`.

        Raises, beside what is said there:
            DeadlineExceeded: the node did not answer in time.
            OutcomeUnknown: the connection was lost before the node answered.
        """
        return await self._outgoing.publish(
            CHANNEL_SCOPE, check_name(channel), payload, headers, parent, ack, timeout, key
        )

    def publish_nowait(
        self,
        channel: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        parent: Message | Reference | None = None,
    ) -> None:
        """Publish without waiting; see :meth:`.Bus.publish_nowait`."""
        self._outgoing.nowait(channel, payload, headers, parent)

    async def writable(self, channel: str) -> None:
        """Wait until :meth:`publish_nowait` has room; see :meth:`.Bus.writable`."""
        await self._outgoing.writable(channel)

    def publisher(self, channel: str, *, window: int = 4096, ack: Ack | None = None, timeout: float = 5.0) -> Publisher:
        """Return a windowed publisher; see :meth:`.Bus.publisher`."""
        return ClientPublisher(self, channel, window, ack, timeout)

    def subscribe(
        self,
        channel: str,
        *,
        group: str | None = None,
        where: Where | None = None,
        max_in_flight: int = 256,
        causal: bool = False,
        schemas: Sequence[str] = (),
        wait: Wait | None = None,
        timeout: float = 5.0,
    ) -> Subscription:
        """Return a subscription; see :meth:`.Bus.subscribe`. It comes back by itself after a lost connection."""
        bounds = self.causal_bounds if causal else None
        how = group, where, max_in_flight, bounds, schemas, wait, timeout
        return ClientSubscription(self, self.next_number(), channel, *how)

    async def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as the client's node sees them."""
        result = await self.requests.by_name("members", None)
        return tuple(entry.member for entry in _MEMBERS.decode(result))

    def watch_members(self) -> MemberWatch:
        """Watch the nodes of the mesh; see :meth:`.Bus.watch_members`. A new connection begins with a snapshot."""
        return ClientMemberWatch(self, self.next_number())

    # --- processes and groups ---

    @property
    def mailbox(self) -> Mailbox:
        """What is sent to groups that the client itself has joined."""
        return self.processes.mailbox

    async def spawn(self, function: ProcessFunction) -> Process:
        """Run an async function as a process; see :meth:`.Bus.spawn`. It ends with the connection."""
        return await self.processes.spawn(function)

    def monitor(self, pid: Pid) -> Monitor:
        """Watch a process; see :meth:`.Bus.monitor`. When the connection is lost, the reason is ``noconnection``."""
        return ClientMonitor(self, self.next_number(), pid, self._environment.monotonic)

    async def join(
        self, group: str, pid: Pid | None = None, *, wait: Wait | None = None, timeout: float = 5.0
    ) -> GroupMembership:
        """Join a process group; see :meth:`.Bus.join`. The client's own memberships come back with its connection."""
        return await self.processes.join(group, pid, wait, timeout)

    async def send_group(
        self,
        group: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Send to the mailbox of every member of a process group; see :meth:`.Bus.send_group`."""
        return await self._outgoing.publish(
            GROUP_SCOPE, check_name(group, "group"), payload, headers, None, ack, timeout
        )

    async def group_members(self, group: str) -> tuple[Pid, ...]:
        """Return the members of a process group; see :meth:`.Bus.group_members`."""
        result = await self.requests.by_name("group_members", (GROUP_SCOPE, check_name(group, "group")))
        return tuple(Pid(*member) for member in _PIDS.decode(result))

    def watch_group(self, group: str, scope: str = "group") -> GroupWatch:
        """Watch the members of a group; see :meth:`.Bus.watch_group`. A new connection begins with a snapshot."""
        return ClientGroupWatch(self, self.next_number(), group, scope)

    async def ready(self, timeout: float = 5.0) -> None:
        """Wait until every peer of the node knows of all that is registered there; see :meth:`.Bus.ready`."""
        await self.requests.by_name("ready", min(check_timeout(timeout), FOREVER_S), timeout)
