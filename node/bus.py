"""The Bus: the same verbs with the same meaning, on an embedded node and on a client of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from liminal_mesh.cluster import Member, Pid

from .mailbox import Mailbox
from .membership import GroupMembership
from .message import Message
from .monitor import Monitor
from .predicate import Where
from .process import Process, ProcessFunction
from .publisher import Publisher
from .reference import Reference
from .subscription import Subscription
from .values import PublishOutcome
from .watch import GroupWatch, MemberWatch

__all__ = ["Ack", "Bus", "Wait"]

Ack = Literal["accepted", "nodes"]
"""What a publish waits for: this node's acceptance, or the receipt of every interested node."""

Wait = Literal["cluster"]
"""What a subscription or a join waits for: that every linked peer knows of it."""


@runtime_checkable
class Bus(Protocol):
    """What a program holds of the bus.

    On a client each verb that asks the node raises ``NoConnection`` when no connection stands, ``OutcomeUnknown`` when
    it is lost before the answer, and ``DeadlineExceeded`` when the node does not answer in time. Publishes and sends
    wait for a connection that is being made again; their ``NoConnection`` says that the client is closed.
    """

    @property
    def pid(self) -> Pid:
        """The Bus's own process: the node, or the client's connection."""

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
        """Publish, and return how it fared.

        Args:
            channel: an exact name.
            payload: bytes, text, or what msgpack can hold; pydantic models, dataclasses and msgspec structs too.
            key: of the publisher's choice: within the channel's window what bears the same key and payload is
                delivered once, and told of as a ``duplicate`` else. It is acknowledged as with ``ack="nodes"``.
            headers: texts that travel beside the payload.
            parent: the message that caused this one, or its ``reference``; subscribers see it as ``message.causal``.
            ack: what to wait for; the channel's own when it is None.
            timeout: how long to wait for receipts, in seconds; one that is missing then reads ``unknown``.

        Raises:
            Busy: on a client, when too much of it waits for a channel that slows its publishers.
            ChannelNotConfigured: no configuration covers the channel.
            DeadlineExceeded: the channel slows its publishers, and this one's turn has not come within ``timeout``.
            Draining: the node leaves.
            InFlight: another publish with the same key is under way.
            KeyReused: the key was given to another payload.
            LimitExceeded: the message is larger than ``max_frame`` allows, or its key than ``key``, or too many
                channels are in use or too many keys remembered.
            NotAuthorized: the caller may not.
            OutcomeUnknown: of a publish with a key nobody is known to have taken it, and not every node has answered:
                publish again with the same key.
            Rejected: a local subscriber with the policy ``reject`` has no room, or the channel sheds what is no more
                important.
            SchemaRejected: the payload is not what the channel's schema demands.
            TypeError: the payload, the key or a header cannot be encoded, or the parent is no message.
            ValueError: the key is empty.
        """

    def publish_nowait(
        self,
        channel: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        parent: Message | Reference | None = None,
    ) -> None:
        """Publish without waiting for anything, and without hearing how it fared.

        Raises:
            Busy: a bound of the publisher's own is reached; :meth:`writable` waits for room.
            ChannelNotConfigured, Draining, LimitExceeded, NotAuthorized, Rejected, SchemaRejected, TypeError: as
                :meth:`publish`; on a client what the node refuses is raised by the next call for that channel.
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
        """Return a subscription, for ``async with``.

        Args:
            channel: an exact name, or a pattern: ``*`` stands for one token, a final ``>`` for one or more.
            group: the name of a group: of each message on the channel exactly one of the group's live subscriptions
                gets it, in the whole mesh, wherever it was published; it goes to one that has credit, if there is
                one. Patterns count: all subscriptions of the group that cover the channel share it. Only what was
                dropped after this one had got it shows as a ``Gap``.
            where: a function of the ``Message`` that tells whether it is wanted. It runs in this program when the
                message is taken; what is not wanted counts as handled, and gaps come in any case. If it raises, the
                message is not wanted, and ``statistics.predicate_errors`` counts it.
            max_in_flight: the credit: messages handed over and not yet done.
            causal: hand a message out after the one that it names as its parent, if this subscription gets that. One
                that has waited for ``limits.causal_wait`` comes all the same, as ``orphaned``. Not with ``group``.
            schemas: the versions of the channel's schema that this program understands, by their ids; the newest of
                them that the channel offers is selected, and stands in ``schema`` of the subscription. Without any it
                is the channel's own. Messages of other versions come all the same, and say theirs.
            wait: ``"cluster"`` returns when every peer that is linked has applied it.
            timeout: for that, in seconds.

        Entering it raises:
            ChannelClosed, ChannelFailed, ChannelNotConfigured: there is no such channel, or none any more.
            DeadlineExceeded: ``missing`` names the peers that have not applied it; nothing is left behind.
            Draining, LimitExceeded, NotAuthorized: as :meth:`publish`.
            SchemaIncompatible: the channel offers none of ``schemas``.

        The iteration raises, behind what waits:
            ChannelClosed: the channel of the exact name was closed.
            NoProcess: the channel failed, or the process of the subscription was ended otherwise.
            SchemaIncompatible: the channel offers none of ``schemas`` any more.

        Raises:
            TypeError: ``where`` is no function, or an async one, or a generator; or ``schemas`` are no ids.
            ValueError: the pattern is none; no group can have this name; there is no such ``wait``; ``where`` is a
                text: this version has no expressions; or ``causal`` comes together with ``group``, since a parent may
                be for another member.
        """

    @property
    def mailbox(self) -> Mailbox:
        """What is sent to groups that the Bus's own process has joined.

        If a node will not open a client's again after a lost connection, it ends with the error; the next join begins
        another one.
        """

    async def spawn(self, function: ProcessFunction) -> Process:
        """Run an async function as a process of the bus, in this program; it is handed its :class:`.Process`.

        Raises:
            Draining, NotAuthorized: as :meth:`publish`.
            LimitExceeded: this bus has spawned too many that run.
            NoConnection, OutcomeUnknown, DeadlineExceeded: on a client, as said above; nothing runs then.
            TypeError: it is no async function.
        """

    def monitor(self, pid: Pid) -> Monitor:
        """Return a monitor of a process anywhere in the mesh, for ``async with``; it may be over already.

        Entering it raises:
            DeadlineExceeded: the node did not answer (clients).
            LimitExceeded: there are too many monitors.
            NoConnection: the client is not connected, or the connection was lost before the answer.
            NotAuthorized: the caller may not.

        Raises:
            ValueError: there can be no such process.
        """

    async def join(
        self, group: str, pid: Pid | None = None, *, wait: Wait | None = None, timeout: float = 5.0
    ) -> GroupMembership:
        """Let a process join a process group; joining twice is once. It leaves with the membership, or when it ends.

        Args:
            group: its exact name; a group is there as long as it has members.
            pid: a process that this Bus has spawned; the Bus's own when it is None.
            wait: ``"cluster"`` returns when every peer that is linked has applied it.
            timeout: for that, in seconds.

        Raises:
            DeadlineExceeded: ``missing`` names the peers that have not applied it; it has left again, unless somebody
                else has joined it, too. On a client also when the node does not answer.
            Draining, NotAuthorized: as :meth:`publish`.
            LimitExceeded: too many groups are in use, peers would not take more members of one node, or too many
                requests of the client wait.
            NoConnection, OutcomeUnknown: on a client, as said above; it is no member then.
            NoProcess: the process is over, also if it ended meanwhile, or this Bus has not spawned it.
            ValueError: no group can have this name.
        """

    async def send_group(
        self,
        group: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Send to the mailbox of every member of a process group, on every node; return how it fared.

        It is numbered, queued and acknowledged as a publish is: what a member misses shows in its mailbox as a gap.

        Args:
            group: its exact name; nobody need be in it.
            payload: as of a publish.
            headers: as of a publish.
            ack: as of a publish; without it the nodes are not waited for.
            timeout: how long to wait for the nodes, in seconds.

        Raises:
            Draining, NotAuthorized: as :meth:`publish`.
            LimitExceeded: the message is too large, or the node uses too many groups.
            TypeError: the payload or a header cannot be encoded.
            ValueError: no group can have this name.
        """

    async def group_members(self, group: str) -> tuple[Pid, ...]:
        """Return the members of a process group as the node sees them, sorted.

        Raises:
            NoConnection, OutcomeUnknown, DeadlineExceeded: on a client, as said above.
            NotAuthorized: the caller may not.
            ValueError: no group can have this name.
        """

    def watch_group(self, group: str, scope: str = "group") -> GroupWatch:
        """Return the members of a group as an async stream: a ``GroupSnapshot``, then ``Joined`` and ``Left``.

        Args:
            group: an exact name; in the scope of channels also a pattern, which is the name of a group there.
            scope: ``channel``, ``subject``, ``consumer`` or ``group``.

        Entering it, or the first step of the iteration, raises:
            DeadlineExceeded: the node did not answer (clients).
            LimitExceeded: there are too many monitors and watches.
            NoConnection: the client is not connected, or the connection was lost before the answer.
            NotAuthorized: the caller may not.

        Raises:
            ValueError: there is no such scope, or no such group can be there.
        """

    async def ready(self, timeout: float = 5.0) -> None:
        """Wait until every peer that is linked now has applied all that the node has registered so far.

        Raises:
            DeadlineExceeded: ``missing`` names the peers that have not, after so many seconds. On a client also when
                the node does not answer.
            LimitExceeded: too many requests of the client wait.
            NoConnection, OutcomeUnknown: on a client, as said above.
            NotAuthorized: the caller may not.
        """

    async def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as the node sees them, itself included.

        Raises:
            NoConnection, OutcomeUnknown, DeadlineExceeded: on a client, as said above.
            NotAuthorized: the caller may not.
        """

    def watch_members(self) -> MemberWatch:
        """Return the nodes of the mesh, as the node sees them, as an async stream.

        A ``MembersSnapshot`` comes first, then a ``MemberChanged(before, after)`` for each change: ``before`` is what
        was told of the node until then (None: nothing), ``after`` is None when it is forgotten. Whoever falls behind
        gets a new snapshot instead of the changes it missed; so does a client after a lost connection.

        Entering it, or the first step of the iteration, raises:
            DeadlineExceeded, LimitExceeded, NoConnection, NotAuthorized: as :meth:`watch_group`.
        """
