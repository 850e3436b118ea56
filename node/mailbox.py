"""What a process of the bus receives."""

from __future__ import annotations

from typing import ClassVar, Final

from liminal_mesh.cluster import GROUP_SCOPE, Pid

from .inbox import Inbox
from .receiver import Receiver

__all__ = ["CREDIT", "Mailbox"]

CREDIT: Final = 256
"""How many messages of a mailbox may be in hand, or on their way to it; as of a subscription."""


class Mailbox(Receiver):
    """The mailbox of a process: iterate over its items (``Message`` or ``Gap``).

    Taking the next item says that the last one is done. One task iterates at a time. It opens and ends with its
    process, so that there is no block to enter; after the end it hands out what waits, and then the iteration stops.

    Args:
        pid: the process.
        inbox: what was sent to it and waits.
    """

    scope: ClassVar[int] = GROUP_SCOPE

    def __init__(self, pid: Pid, inbox: Inbox) -> None:
        super().__init__(inbox)
        self.pid = pid

    @property
    def title(self) -> str:
        """What it is, in the words of an error."""
        return f"the mailbox of {self.pid}"

    def _close(self) -> None:
        assert self._inbox is not None
        self._inbox.release()
