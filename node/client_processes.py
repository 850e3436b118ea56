"""The processes of a program that holds a client: the client's own, and those that it has spawned.

They run here, and live in the process table of the node that the client is connected to. A spawned process ends with
the connection; the client's own is the connection, and is another one after it was made again: what had joined groups
joins them again, and its mailbox says what it missed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from liminal_mesh.cluster import ClientFrame, ExitProcess, Join, Leave, LinkProcess, Pid

from .acks import check_wait
from .client_requests import REQUEST_S
from .client_residents import Resident, Stay
from .client_sinks import Answered, Call, Opening, patience_ms
from .errors import NoConnection, NoProcess, OutcomeUnknown
from .mailbox import Mailbox
from .membership import GroupMembership
from .names import check_name, check_pid
from .process import CLEANUP_S, Process, ProcessFunction, Spawner, check_function
from .processes import NO_CONNECTION, SHUTDOWN
from .reasons import clean_reason

if TYPE_CHECKING:
    from .client_session import ClientSession

__all__ = ["ClientProcesses"]


class _Abandoned(Answered):
    """A group that is left, since whoever wanted to join it waits no longer."""

    def failed(self, error: Exception, count: int) -> None:
        """The process or the connection is over, and its memberships with it."""

    def answer(self, frame: ClientFrame) -> None:
        """It was left."""


class ClientProcesses:
    """Spawns processes in the client's program, and lets them join groups. It is their keeper."""

    def __init__(self, client: ClientSession) -> None:
        self._client = client
        self._spawner = Spawner()
        self._spawned: dict[Pid, Resident] = {}
        self._own = Resident(client, client.next_number(), spawned=False)
        self._closed = False

    @property
    def mailbox(self) -> Mailbox:
        """The client's own mailbox."""
        return self._own.mailbox

    async def spawn(self, function: ProcessFunction) -> Process:
        """Begin a process that runs an async function; see :meth:`.Bus.spawn`."""
        check_function(function)
        resident = Resident(self._client, self._client.next_number(), spawned=True)
        await self._open(resident)
        process = resident.process
        assert process is not None
        if self._spawned.get(process.pid) is resident:  # else it was ended before it began
            self._spawner.start(process, function)
        return process

    async def join(self, group: str, pid: Pid | None, wait: str | None, timeout_s: float) -> GroupMembership:
        """Let a process of this program join a group; see :meth:`.Bus.join`."""
        check_name(group, "group")
        if pid is not None:
            check_pid(pid)
        barrier, patience = check_wait(wait), patience_ms(timeout_s)
        resident = self._spawned.get(pid) if pid is not None and pid != self._client.pid else await self._open_own()
        if resident is None:
            assert pid is not None
            raise NoProcess(str(pid), "it is over, or this client has not spawned it")
        make = partial(Join, subscription=resident.number, group=group, wait=barrier, timeout_ms=patience)
        stay = resident.groups.setdefault(group, Stay(group))
        stay.waiting += 1
        try:
            await self._client.requests.ask(Call("join"), make, timeout_s)
            stay.sure = True
        finally:
            stay.waiting -= 1
            if not (stay.sure or stay.waiting):
                self._abandon(resident, stay)
        if resident.spawned and self._spawned.get(resident.mailbox.pid) is not resident:
            raise NoProcess(str(pid), resident.reason)
        return GroupMembership(group, resident.mailbox, partial(self._leave, resident, stay))

    def stands(self, resident: Resident, process: Process) -> None:
        """The node has begun a process that was asked for."""
        self._spawned[process.pid] = resident

    def lost(self) -> None:
        """The connection is gone, and with it all processes that were spawned on it."""
        self._own.asked = False
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
            resident.reason = clean_reason(reason)
            try:
                self._client.feeds.remove(resident)
            finally:  # it is over here, whatever became of telling the node
                resident.end(None)

    # --- within ---

    async def _open_own(self) -> Resident:
        """Return the client's own process, once its mailbox has stood; who waits for that may give up, it goes on."""
        client = self._client
        if self._own.refused_with is not None:
            self._own = Resident(client, client.next_number(), spawned=False)
        own = self._own
        if not own.stood:
            self._check_open()
            call = Call("join")
            own.waiting.add(call)
            try:
                if not own.asked:
                    client.feeds.open(own)
                await client.requests.answer(call, REQUEST_S)
            finally:
                own.waiting.discard(call)
        return own

    async def _open(self, resident: Resident) -> None:
        client = self._client
        self._check_open()
        client.feeds.add(resident)
        try:
            await client.requests.ask(Opening("spawn", resident), resident.request)
        except BaseException:
            client.feeds.remove(resident)
            self._spawned.pop(resident.mailbox.pid, None)  # it may have begun right before
            raise

    def _check_open(self) -> None:
        self._client.raise_if_closed()
        if self._closed:
            raise NoConnection(self._client.where, "the client is being closed")

    def _abandon(self, resident: Resident, stay: Stay) -> None:
        """Leave a group that nobody has joined in the end: the node may have heard of it."""
        client = self._client
        if resident.forget(stay) and resident.asked:
            ref = client.ledger.request(_Abandoned())
            if not client.send(Leave(ref, resident.number, stay.group)):
                client.ledger.fail([ref], NoConnection(client.where, "the connection was lost"))

    def _link(self, pid: Pid, other: Pid, *, linked: bool) -> None:
        resident = self._spawned.get(pid)
        if resident is not None:
            self._client.send(LinkProcess(resident.number, *other, linked))

    async def _leave(self, resident: Resident, stay: Stay) -> None:
        if not resident.forget(stay):
            return
        make = partial(Leave, subscription=resident.number, group=stay.group)
        try:
            await self._client.requests.ask(Call("leave"), make)
        except (NoConnection, NoProcess, OutcomeUnknown):
            return  # the connection's end has ended the membership, or the process's

    def _end_all(self, reason: str) -> None:
        for pid in tuple(self._spawned):
            self.exit(pid, reason)
