"""The processes of a program that holds a client: the client's own, and those that it has spawned.

They run here, and live in the process table of the node that the client is connected to. A spawned process ends with
the connection; the client's own is the connection, and is another one after it was made again: what had joined groups
joins them again, and its mailbox says what it missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from liminal_mesh.cluster import ClientFrame, ExitProcess, Join, Leave, LinkProcess, OpenMailbox, Pid, Subscribed

from .client_feed import ClientFeed
from .client_sinks import Answered, Call, Opening, patience_ms
from .errors import Draining, NoConnection, NoProcess, OutcomeUnknown
from .inbox import Inbox
from .mailbox import Mailbox
from .membership import GroupMembership
from .names import check_name
from .process import CLEANUP_S, Process, ProcessFunction, Spawner, check_function
from .processes import NO_CONNECTION, NORMAL, SHUTDOWN

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ClientProcesses"]

log = logging.getLogger("liminal.client")

CREDIT: Final = 256
"""How many messages of a mailbox the node may have on their way."""


class _ClientMailbox(Mailbox):
    """A mailbox that gives credit back to the node."""

    feed: ClientFeed

    def _finished(self, count: int) -> None:
        self.feed.finished(count)


class _Resident:
    """A process of this program, as its client keeps it: a holder of a feed.

    Args:
        client: its bus.
        number: of its mailbox.
        spawned: whether it is a process of its own, and not the client's.
    """

    def __init__(self, client: Client, number: int, *, spawned: bool) -> None:
        self.number = number
        self.spawned = spawned
        self.groups: set[str] = set()
        self.joining: Counter[str] = Counter()
        """How many wait for an answer to a join of each group."""
        self.process: Process | None = None
        self.asked = False
        """Whether the node was asked for it, and is on each new connection before anything else can be sent there."""
        self.reason = NORMAL
        inbox = Inbox(CREDIT, CREDIT * 3, 1 << 62, "drop-newest")
        self.mailbox = _ClientMailbox(Pid("", 0, 0), inbox)
        self.feed = self.mailbox.feed = ClientFeed(number, inbox, self.mailbox.bell.ready, client.send, exact=True)
        self._client = client

    def request(self, ref: int) -> OpenMailbox:
        """Return what asks the node for it."""
        self.asked = True
        return OpenMailbox(ref, self.number, CREDIT, self.spawned)

    def stands(self, frame: Subscribed) -> None:
        """The node has opened it; the groups that it was in before are joined again."""
        node = self._client.pid
        self.mailbox.pid = Pid(node.node, node.epoch, frame.number)
        if self.spawned:
            self.process = Process(self.mailbox.pid, self.mailbox, self._client.processes)
            self._client.processes.stands(self, self.process)
        for group in sorted(self.groups):
            ref = self._client.ledger.request(_Rejoin(self, group))
            self._client.send(Join(ref, self.number, group, "", 0))

    def refused(self, error: Exception) -> None:
        """The node would not open it again; whoever joins next, or another connection, will try once more."""
        self.asked = False
        if not isinstance(error, OutcomeUnknown):
            log.error("mailbox_lost", extra={"fields": {"groups": sorted(self.groups), "why": str(error)}})

    def end(self, error: Exception | None) -> None:
        """It is over."""
        if self.process is not None:
            self.process.exited(self.reason)
        else:
            self.mailbox.end(error)

    def goodbye(self) -> ClientFrame:
        """Return what ends it at the node."""
        return ExitProcess(self.number, self.reason)


class _Rejoin(Answered):
    """A group that is joined again on a new connection."""

    def __init__(self, resident: _Resident, group: str) -> None:
        self._resident = resident
        self._group = group

    def failed(self, error: Exception, count: int) -> None:
        """The node refuses it, which nobody waits to hear; or the connection was lost again."""
        if not isinstance(error, OutcomeUnknown | Draining):  # else another connection will try once more
            self._resident.groups.discard(self._group)
            log.error("membership_lost", extra={"fields": {"group": self._group, "why": str(error)}})

    def answer(self, frame: ClientFrame) -> None:
        """It is a member again."""


class _Abandoned(Answered):
    """A group that is left, since whoever wanted to join it waits no longer."""

    def failed(self, error: Exception, count: int) -> None:
        """The process or the connection is over, and its memberships with it."""

    def answer(self, frame: ClientFrame) -> None:
        """It was left."""


class ClientProcesses:
    """Spawns processes in the client's program, and lets them join groups. It is their keeper."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._spawner = Spawner()
        self._spawned: dict[Pid, _Resident] = {}
        self._own = _Resident(client, client.next_number(), spawned=False)
        self._opening: asyncio.Task[None] | None = None
        """Asks for the client's own mailbox, for all who join at first."""
        self._closed = False

    @property
    def mailbox(self) -> Mailbox:
        """The client's own mailbox."""
        return self._own.mailbox

    async def spawn(self, function: ProcessFunction) -> Process:
        """Begin a process that runs an async function; see :meth:`.Bus.spawn`."""
        check_function(function)
        resident = _Resident(self._client, self._client.next_number(), spawned=True)
        await self._open(resident)
        process = resident.process
        assert process is not None
        if self._spawned.get(process.pid) is resident:  # else it was ended before it began
            self._spawner.start(process, function)
        return process

    async def join(self, group: str, pid: Pid | None, wait: str | None, timeout_s: float) -> GroupMembership:
        """Let a process of this program join a group; see :meth:`.Bus.join`."""
        check_name(group, "group")
        resident = self._own if pid is None or pid == self._client.pid else self._spawned.get(pid)
        if resident is None:
            assert pid is not None
            raise NoProcess(str(pid), "it is over, or this client has not spawned it")
        if not resident.asked:
            await self._open_own()
        patience = patience_ms(timeout_s)
        make = partial(Join, subscription=resident.number, group=group, wait=wait or "", timeout_ms=patience)
        resident.joining[group] += 1
        try:
            await self._client.requests.ask(Call("join"), make, timeout_s)
            resident.groups.add(group)
        finally:
            resident.joining[group] -= 1
            if not resident.joining[group]:
                del resident.joining[group]
                self._abandon(resident, group)

        async def leave() -> None:
            await self._leave(resident, group)

        return GroupMembership(group, resident.mailbox.pid, leave)

    def stands(self, resident: _Resident, process: Process) -> None:
        """The node has begun a process that was asked for."""
        self._spawned[process.pid] = resident

    def lost(self) -> None:
        """The connection is gone, and with it all processes that were spawned on it."""
        self._end_all(NO_CONNECTION)

    async def close(self) -> None:
        """End everything, since the client ends."""
        self._closed = True
        self._end_all(SHUTDOWN)
        self._own.mailbox.end(None)
        await self._spawner.close(CLEANUP_S)

    def exited(self, frame: ExitProcess) -> None:
        """The node has ended a process: something that it was linked with did."""
        for pid, resident in self._spawned.items():
            if resident.number == frame.subscription:
                del self._spawned[pid]
                resident.reason = frame.reason
                self._client.feeds.forget(resident)
                resident.end(None)
                return

    # --- the processes' keeper ---

    def link(self, pid: Pid, other: Pid) -> None:
        """Link two processes."""
        self._link(pid, other, linked=True)

    def unlink(self, pid: Pid, other: Pid) -> None:
        """End their link."""
        self._link(pid, other, linked=False)

    def exit(self, pid: Pid, reason: str) -> None:
        """End a process."""
        resident = self._spawned.pop(pid, None)
        if resident is not None:
            # A lone surrogate, as file names in messages of errors have it, could not be sent.
            resident.reason = reason.encode(errors="replace").decode()
            self._client.feeds.remove(resident)
            resident.end(None)

    # --- within ---

    async def _open_own(self) -> None:
        if self._opening is None or self._opening.done():
            # In a task of its own: one of several who wait for it may give up.
            self._opening = asyncio.create_task(self._open(self._own), name="open-mailbox")
            self._opening.add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )  # nobody may wait by then
        await asyncio.shield(self._opening)

    async def _open(self, resident: _Resident) -> None:
        client = self._client
        client.raise_if_closed()
        if self._closed:
            raise NoConnection(client.where, "the client is being closed")
        client.feeds.add(resident)
        try:
            await client.requests.ask(Opening("spawn" if resident.spawned else "join", resident), resident.request)
        except BaseException:
            resident.asked = False
            if resident.spawned:
                client.feeds.remove(resident)
            else:
                client.feeds.forget(resident)
            raise

    def _abandon(self, resident: _Resident, group: str) -> None:
        """Leave a group that nobody has joined in the end: the node may have heard of it."""
        client = self._client
        if group not in resident.groups and resident.asked:
            ref = client.ledger.request(_Abandoned())
            if not client.send(Leave(ref, resident.number, group)):
                client.ledger.fail([ref], NoConnection(client.where, "the connection was lost"))

    def _link(self, pid: Pid, other: Pid, *, linked: bool) -> None:
        resident = self._spawned.get(pid)
        if resident is not None:
            self._client.send(LinkProcess(resident.number, *other, linked))

    async def _leave(self, resident: _Resident, group: str) -> None:
        if group not in resident.groups:
            return
        resident.groups.discard(group)
        resident.feed.forget(group)
        try:
            await self._client.requests.ask(Call("leave"), partial(Leave, subscription=resident.number, group=group))
        except (NoConnection, NoProcess, OutcomeUnknown):
            return  # the connection's end has ended the membership, or the process's

    def _end_all(self, reason: str) -> None:
        for pid in tuple(self._spawned):
            self.exit(pid, reason)
