"""What the bus keeps of a receiver: enough to wake it, and too little to keep it alive."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from liminal_mesh.cluster import NodeId, Pid
from liminal_mesh.storage import LiminalError

from .errors import LimitExceeded, NoProcess
from .inbox import Anchor, Inbox
from .processes import NORMAL, SHUTDOWN

if TYPE_CHECKING:
    from .receiver import Receiver

__all__ = ["Bell"]


class Bell:
    """Wakes whoever iterates over a receiver; it is the listener of the receiver's subscriber.

    It does not hold the receiver, so that a program which lets go of it is noticed. A task that waits in the
    iteration is held by the callbacks of its future, and holds the receiver itself.

    Attributes:
        waiter: what the iteration waits for, while it does.
        inbox: the receiver's, once that is open.
        anchored_in: the same, where somebody reads from the inbox where origins stand.
    """

    __slots__ = ("_receiver", "anchored_in", "inbox", "waiter")

    def __init__(self, receiver: Receiver, inbox: Inbox | None) -> None:
        self.waiter: asyncio.Future[None] | None = None
        self.inbox = inbox
        self.anchored_in: Inbox | None = None
        self._receiver = weakref.ref(receiver)

    def ready(self) -> None:
        """Something waits in the inbox."""
        waiter, inbox = self.waiter, self.inbox
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if inbox is not None and inbox.overflowed:
            self.end(LimitExceeded(*inbox.overflowed))

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """A peer knows of it; gaps come through the inbox, so that most receivers need not be told."""
        if self.anchored_in is not None:
            self.anchored_in.note_anchor(Anchor(origin, heads))
            self.ready()

    def exited(self, pid: Pid, reason: str, parting: LiminalError | None = None) -> None:
        """The receiver's process is over. If nobody asked for that, nor the node stops, whoever iterates hears why."""
        self.end(parting or (None if reason in {NORMAL, SHUTDOWN} else NoProcess(str(pid), reason)))

    def end(self, error: Exception | None) -> None:
        """The bus ends the receiver, if anybody still holds it."""
        receiver = self._receiver()
        if receiver is not None:
            receiver.end(error)
