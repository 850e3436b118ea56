"""Tells the owner of the control links what becomes known, on its own loop, in order, and never within its own call.

So whatever the owner hands in, it has carried out what it was doing before it hears what came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .control_plane import ControlOwner
from .effects import Notice
from .membership import MemberChanged

__all__ = ["Messenger"]


class Messenger:
    """Implements :class:`.ControlOwner`.

    Args:
        loop: the owner's.
        owner: who is told.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: ControlOwner) -> None:
        self._loop = loop
        self._owner = owner

    def tell(self, call: Callable[[], None]) -> None:
        """Have something done on the owner's loop; nothing is done once that is closed."""
        try:
            self._loop.call_soon_threadsafe(self._run, call)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - what is half done must not look whole, and the loop is the program's
            self._owner.mesh_failed(error)

    def member_changed(self, change: MemberChanged) -> None:
        """The view of the mesh changed."""
        self.tell(lambda: self._owner.member_changed(change))

    def member_doubted(self, name: str) -> None:
        """A member did not answer in time."""
        self.tell(lambda: self._owner.member_doubted(name))

    def member_departed(self) -> None:
        """Our goodbye is told."""
        self.tell(self._owner.member_departed)

    def mesh_failed(self, error: Exception) -> None:
        """The node cannot go on in this mesh."""
        self.tell(lambda: self._owner.mesh_failed(error))

    def mesh_noticed(self, notice: Notice) -> None:
        """Something happened that is worth telling."""
        self.tell(lambda: self._owner.mesh_noticed(notice))
