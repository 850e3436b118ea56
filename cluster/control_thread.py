"""Membership on a thread and a loop of its own: it answers while this node's main loop is stuck.

A main loop that is busy for seconds neither answers nor asks, and would be taken for dead, and take others for dead.
So the control links live beside it. Into the thread goes what the mesh hands in, out comes what the plane tells, each
in order, as calls on the other's loop. The thread also asks the main loop for a sign of life, and the others hear how
far it is behind: who is behind is ``stalled``, and not dead.
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol

from .control_plane import ControlOwner, ControlPlane
from .identity import NodeId
from .messenger import Messenger
from .wire import Wire

__all__ = ["ControlDriver", "ControlThread"]

LOOK_S: Final = 0.25
"""How often the main loop is asked for a sign of life."""

END_S: Final = 2.0
"""How long the thread may take to end."""


class ControlDriver(Protocol):
    """What the mesh asks of whoever drives the control links: :class:`.ControlPlane`, here or on a thread."""

    async def run(self) -> None:
        """Keep links until cancelled."""

    def take(self, wire: Wire, body: memoryview) -> None:
        """Take over a connection whose first frame says that it is to be a control link."""

    def seeds(self, addresses: Iterable[str]) -> None:
        """Set the addresses that the seeds stand for."""

    def met(self, node: NodeId, address: str) -> None:
        """Note that a data link with a node stands."""

    def said_goodbye(self, node: NodeId) -> None:
        """Note that a node said over its data link that it leaves."""

    def heard(self, name: str) -> None:
        """Note that bytes came from a member over its data link."""

    def leave(self) -> None:
        """Say goodbye."""


class ControlThread:
    """A control plane on a thread of its own. Implements :class:`ControlDriver`.

    Args:
        make: makes the plane, on the thread's loop.
        owner: gets what becomes known, on this loop.
    """

    def __init__(self, make: Callable[[ControlOwner], ControlPlane], owner: ControlOwner) -> None:
        self._make = make
        self._main = asyncio.get_running_loop()
        self._owner = Messenger(self._main, owner)
        self._ended: asyncio.Future[None] = self._main.create_future()
        self._thread = threading.Thread(target=self._live, name="liminal-control", daemon=True)
        self._lock = threading.Lock()
        self._early: list[Callable[[], None]] = []
        """What was handed in before the thread's loop ran."""
        self._handed: set[socket.socket] = set()
        """Connections on their way to the thread."""
        self._over = False
        """Whether it is ending, as the main loop sees it."""
        self._deaf = False
        """Whether the thread's loop has come to its end."""
        self._failure: BaseException | None = None
        """What a callback raised on the thread's loop."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._plane: ControlPlane | None = None
        self._running: asyncio.Task[None] | None = None
        self._asked_at = math.inf
        """When the main loop was asked for a sign of life that it has not given yet."""

    # --- on the main loop ---

    async def run(self) -> None:
        """Keep links until cancelled; an error of the thread is raised here."""
        self._thread.start()
        try:
            await asyncio.wait([self._ended])
        finally:
            self._over = True
            self._post(self._stop)
            try:
                await asyncio.wait([self._ended], timeout=END_S)
            finally:
                for sock in self._handed:
                    sock.close()
        self._ended.result()

    def take(self, wire: Wire, body: memoryview) -> None:
        """Take over a connection whose first frame says that it is to be a control link."""
        if self._over:
            wire.abort("the node stops")
            return
        sock, hello = wire.detach(), bytes(body)
        self._handed.add(sock)
        self._post(lambda: self._adopt(sock, hello))

    def seeds(self, addresses: Iterable[str]) -> None:
        """Set the addresses that the seeds stand for."""
        known = tuple(addresses)
        self._post(lambda: self._there.seeds(known))

    def met(self, node: NodeId, address: str) -> None:
        """Note that a data link with a node stands."""
        self._post(lambda: self._there.met(node, address))

    def said_goodbye(self, node: NodeId) -> None:
        """Note that a node said over its data link that it leaves."""
        self._post(lambda: self._there.said_goodbye(node))

    def heard(self, name: str) -> None:
        """Note that bytes came from a member over its data link."""
        self._post(lambda: self._there.heard(name))

    def leave(self) -> None:
        """Say goodbye."""
        self._post(lambda: self._there.leave())

    def _post(self, call: Callable[[], None]) -> None:
        """Have something done on the thread's loop, in order; nothing is done once it has ended."""
        with self._lock:
            if self._loop is None:
                self._early.append(call)
            elif not self._deaf:
                self._loop.call_soon_threadsafe(call)

    # --- on the thread ---

    @property
    def _there(self) -> ControlPlane:
        assert self._plane is not None, "it is made before anything is done"
        return self._plane

    def _live(self) -> None:
        error: BaseException | None = None
        runner = asyncio.Runner()
        try:
            runner.run(self._serve())
        except BaseException as caught:  # noqa: BLE001  # whatever it is, the node must hear of it
            error = caught
        with self._lock:  # whoever posts must not find the loop half closed
            self._deaf = True
        self._owner.tell(partial(self._note_end, error))
        runner.close()  # which waits for lookups of names that nobody waits for any more

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._broke)
        self._plane = self._make(self._owner)
        self._running = asyncio.ensure_future(self._plane.run())
        await asyncio.sleep(0)  # it must run before it is handed anything
        with self._lock:
            self._loop = loop
            for call in self._early:
                loop.call_soon(call)
            self._early.clear()
        self._look()
        await asyncio.wait([self._running])
        await asyncio.sleep(0)  # what was aborted is closed in the turn after
        if self._failure is not None:
            raise self._failure
        if not self._running.cancelled():
            self._running.result()

    def _broke(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the thread with what a callback raised: its work is half done, and a timer may not be set any more."""
        loop.default_exception_handler(context)
        error = context.get("exception")
        if error is not None and self._failure is None:
            self._failure = error
            self._stop()

    def _adopt(self, sock: socket.socket, hello: bytes) -> None:
        self._handed.discard(sock)
        self._there.adopt(sock, hello)

    def _stop(self) -> None:
        assert self._running is not None
        self._running.cancel()

    def _look(self) -> None:
        """See how far the main loop is behind, and ask it again."""
        loop = asyncio.get_running_loop()
        now, asked_at = loop.time(), self._asked_at  # read once: the answer may come at any moment
        if asked_at < math.inf:
            self._there.lagging(now - asked_at)
        else:
            self._there.lagging(0.0)
            self._asked_at = now
            self._owner.tell(self._answer)
        loop.call_later(LOOK_S, self._look)

    # --- what the thread has called on the main loop ---

    def _answer(self) -> None:
        self._asked_at = math.inf

    def _note_end(self, error: BaseException | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
