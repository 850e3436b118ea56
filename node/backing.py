"""The bus, as the connections of clients reach it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from liminal_mesh.cluster import Envelope, Member, MemberChanged, Pid, Registry

    from .environment import Environment
    from .events import Events
    from .exchange import Exchange
    from .group_watches import GroupWatches
    from .interests import Interests
    from .processes import ProcessTable
    from .route import Pending
    from .shared import Shared
    from .sizes import Sizes
    from .waits import Room
    from .watchers import Watchers

__all__ = ["Backing"]


class Backing(Protocol):
    """Everything that the server and its connections ask of their node; in a node it is the :class:`.hub.Hub`.

    Attributes:
        loop: the running loop.
        environment: the world around the node.
        events: what is worth telling.
        sizes: the bounds of a message.
        room: whoever waits for room in a lane.
        processes: where connections, and what clients spawn, live.
        interests: who receives.
        shared: what all exchanges have in common.
        registry: the groups of the mesh.
        watches: who watches groups.
        member_watches: who watches the nodes of the mesh.
    """

    loop: asyncio.AbstractEventLoop
    environment: Environment
    events: Events
    sizes: Sizes
    room: Room
    processes: ProcessTable
    interests: Interests
    shared: Shared
    registry: Registry
    watches: GroupWatches
    member_watches: Watchers[None, MemberChanged]

    def permit(self, who: Pid, verb: str, name: str) -> None:
        """Check that ``who`` may use the verb on ``name``; raises NotAuthorized."""

    def admit(self, who: Pid, verb: str, name: str) -> None:
        """Check the same, and that the node takes new work; raises Draining if it does not."""

    def check(self, item: Envelope) -> None:
        """Look at a publish that is large, or has options; raises LimitExceeded."""

    def in_scope(self, scope: int) -> Exchange:
        """Return where publishes of a scope go; raises ProtocolError when nothing is published in it."""

    def expect(self, pending: Pending, timeout_s: float) -> None:
        """Expire a pending publish when its time is up."""

    def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh."""

    def others(self) -> tuple[str, ...]:
        """Return where clients can go that this node does not serve any more."""

    async def until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Wait until a condition holds; return whether it does."""

    def changed(self) -> None:
        """Something that is waited for in :meth:`until` may have come."""

    async def flush(self, timeout_s: float) -> None:
        """Wait until all that was accepted is on its way to the peers; raises DeadlineExceeded."""
