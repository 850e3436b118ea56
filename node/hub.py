"""What all parts of a running node share: the exchange, the registry, the links, and who waits for what.

It is the bus that the mesh calls, and the one place where waits are kept: receipts with a deadline (one sweep, no
timer each), barriers on the registry, and publishers that wait for room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
    GROUP_SCOPE,
    SCOPES,
    BusFrame,
    Declare,
    Envelope,
    Heads,
    Joined,
    Left,
    Link,
    Lost,
    Member,
    MemberChanged,
    Membership,
    Mesh,
    NodeId,
    NoRoute,
    Notice,
    Offer,
    Pid,
    ProcessFrame,
    ProtocolError,
    Publish,
    Purged,
    Receipt,
    Registry,
    SlowDown,
    Taken,
)
from liminal_mesh.cluster import Interest as InterestGained
from liminal_mesh.storage import LiminalError

from .channel_table import ChannelTable
from .declarations import Declarations
from .environment import Environment
from .errors import Draining, NotAuthorized
from .events import Events
from .exchange import Exchange
from .flushing import flush
from .group_watches import GroupWatches
from .inbox import Budget
from .interests import Interests
from .key_sweep import KeySweep
from .keyed import Keys
from .member_news import MemberNews
from .permission import PUBLISH_VERBS, Permit
from .pressings import Pressings
from .processes import SHUTDOWN, ProcessTable
from .route import Pending, Route
from .shared import Shared
from .sizes import Sizes
from .supervision import Supervisor
from .throttles import Throttles
from .trace import drop_bad_trace
from .waits import Room, Signal, Sweep, Turn
from .watchers import Watchers

__all__ = ["Hub"]


class Hub:
    """The shared middle of a node.

    Args:
        me: the node.
        registry: of process groups.
        channels: the configured channels.
        groups: the process groups, of which any name can be one.
        permit: the one permission check, which every verb calls.
        environment: the world around the node.
        sizes: the bounds of a message.
        keys: makes what is remembered of publishes with keys, and notes what goes wrong.
        inbox_bytes: what all inboxes may hold together.
        entries_max: the most subscriptions and group members of this node.
        links_max: the most links and monitors of its processes.
    """

    def __init__(
        self,
        me: NodeId,
        registry: Registry,
        channels: ChannelTable,
        groups: ChannelTable,
        permit: Permit,
        environment: Environment,
        sizes: Sizes,
        keys: Callable[[Events], Keys],
        inbox_bytes: int,
        entries_max: int,
        links_max: int,
    ) -> None:
        self.me = me
        self.registry = registry
        self.permit = permit
        self.environment = environment
        self.noted = Signal()
        """Wakes who waits for events."""
        self.events = events = Events(me.epoch, environment.wall_ns, self.noted.notify)
        self.processes = ProcessTable(
            me, self._send, lambda pid, error: events.broke("process_not_taken_down", error, pid=str(pid)), links_max
        )
        self.note = events.note
        """Notes an event: the one call for whatever is worth telling."""
        self.supervisor = channels.supervisor = Supervisor(self.processes, environment.monotonic, self.events)
        self.shared = Shared(
            me, registry, environment.wall_ns, Budget(inbox_bytes), self.supervisor, keys(self.events), sizes
        )
        self.exchange = Exchange(self.shared, channels)
        self.pressings = channels.pressings = Pressings(self, channels.channels)
        self.groups = Exchange(self.shared, groups, GROUP_SCOPE)
        self._exchanges = {CHANNEL_SCOPE: self.exchange, GROUP_SCOPE: self.groups}
        self.mesh: Mesh | None = None
        self._membership: Membership | None = None
        self.draining = False
        self.others: Callable[[], tuple[str, ...]] = tuple
        """Where clients can go that this node does not serve any more."""
        self.failure: Exception | None = None
        self.loop = asyncio.get_running_loop()
        self.sizes = sizes
        self.pid = self.processes.spawn("node", lambda _: None, traps=True)
        """The node's own process."""
        self.supervisor.own = self.pid
        self.watches = GroupWatches()
        self.member_watches: Watchers[None, MemberChanged] = Watchers()
        self.interests = Interests(self, entries_max)
        self.supervisor.expel = self.interests.leave
        self.member_news = MemberNews(self.events)
        self.declarations = Declarations(channels.declared, self.note, self.loop.call_soon)
        self.throttles = Throttles(me.name, self.pressings.wished)
        self._routes: dict[str, Route] = {}
        self._awaited: Sweep[Pending] = Sweep(lambda pending: pending.expire())
        self._key_sweep = KeySweep(self.shared.keys.dedup, environment.monotonic)
        self._changes = Signal()
        self.turn = Turn()
        self.room = Room(self.exchange.offers.look)
        """Whoever waits for room in a lane."""
        self._unwatch = registry.watch(self._group_event)

    def close(self) -> None:
        """End every process that is left, wake whoever still waits, and stop the sweep."""
        self.end_processes()
        self._unwatch()
        self.watches.close()
        self.member_watches.close()
        self._awaited.close()
        self._key_sweep.close()
        self.pressings.close()
        self.lane_room()

    def end_processes(self, *kinds: str) -> None:
        """End all processes, or those of some kinds, since the node stops; subscriptions hand out what waits first."""
        for pid in self.processes.living(*kinds):
            self.processes.exit(pid, SHUTDOWN)

    def admit(self, who: Pid, verb: str, name: str) -> None:
        """Check that ``who`` may use the verb on ``name`` now.

        Raises:
            ChannelClosed, ChannelFailed, ChannelNotConfigured: it may not publish there, and neither may anybody.
            NotAuthorized: it may not.
            Draining: the node leaves.
        """
        try:
            self.permit(who, verb, name)
        except NotAuthorized:
            if verb == PUBLISH_VERBS[CHANNEL_SCOPE]:  # whether there is such a channel is said first
                self.exchange.channels.check_open(name)
                self.exchange.channels.settings(name)
            raise
        if self.draining:
            raise Draining(self.others())

    def routes(self) -> list[Route]:
        """Return the ways to the peers that are linked now."""
        return list(self._routes.values())

    def follow(self, membership: Membership) -> None:
        """Take the view of who is in the mesh, and follow its changes."""
        self._membership = membership
        membership.watch(self._member_changed)

    def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as this one sees them, itself included, by name."""
        if self._membership is None:
            return (Member(*self.me, 0, "alive", True, False, ""),)
        return self._membership.members()

    async def until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Wait until a condition holds, looked at after each change of the mesh; return whether it does."""
        return await self._changes.until(condition, deadline)

    def changed(self) -> None:
        """Something of this node that was waited for may have come."""
        self._changes.notify()

    async def flush(self, timeout_s: float) -> None:
        """Wait until everything that was accepted before this call is on its way to the peers.

        Raises:
            DeadlineExceeded: ``missing`` names the peers that have not taken it.
        """
        await flush(self, timeout_s)

    # --- publishes ---

    def in_scope(self, scope: int) -> Exchange:
        """Return the exchange of a scope.

        Raises:
            ProtocolError: nothing is published in it.
        """
        exchange = self._exchanges.get(scope)
        if exchange is None:
            raise ProtocolError(f"publishes in scope {SCOPES[scope]!r}")
        return exchange

    def check(self, envelope: Envelope) -> None:
        """Look at a message that enters here, if it is large or has options: a trace context that is none is dropped.

        Raises:
            LimitExceeded: the message fits into no frame.
        """
        self.sizes.check(envelope)
        if envelope.options and drop_bad_trace(envelope):
            self.shared.statistics.traces_dropped += 1

    def expect(self, pending: Pending, timeout_s: float) -> None:
        """Expire a pending publish when its time is up."""
        pending.forget = partial(self._awaited.remove, pending, self._awaited.add(pending, timeout_s))

    # --- what the mesh calls ---

    def link_up(self, link: Link) -> None:
        """A session with a peer stands."""
        route = self._routes[link.peer.name] = Route(link.peer, link.lane, link.wake)
        for exchange in self._exchanges.values():
            exchange.link_up(route)
        self.processes.node_up(link.peer)
        self.declarations.link_up(link.peer, link.send)
        self.throttles.link_up(link.peer, link.send)
        self.member_news.linked(link.peer)
        self.note("link_up", peer=link.peer.name, epoch=str(link.peer.epoch), address=link.address)

    def link_down(self, link: Link, reason: str) -> None:
        """It ended."""
        route = self._routes.pop(link.peer.name)
        for exchange in self._exchanges.values():
            exchange.link_down(route)
        self.processes.node_down(link.peer)
        self.declarations.link_down(link.peer)
        self.throttles.link_down(link.peer)
        self.note("link_down", peer=link.peer.name, epoch=str(link.peer.epoch), reason=reason)
        self.lane_room()

    def link_frame(self, link: Link, frame: BusFrame) -> None:
        """A frame with publishes, or about them, or about processes or channels."""
        if isinstance(frame, Publish):
            if (receipt := self.in_scope(frame.scope).arrivals.receive(link.peer, frame)) is not None:
                link.send(receipt)
        elif isinstance(frame, Offer):
            for answer in self.exchange.arrivals.receive_offer(self._routes[link.peer.name], frame):
                link.send(answer)
        elif isinstance(frame, Taken | NoRoute):
            if self.exchange.offers.answered(self._routes[link.peer.name], frame):
                self.lane_room()
            if self.draining:
                self._changes.notify()
        elif isinstance(frame, Receipt):
            self._routes[link.peer.name].receipts(frame)
        elif isinstance(frame, Heads):
            self.in_scope(frame.scope).arrivals.receive_heads(link.peer, frame)
            self.mesh_changed()  # barriers wait for it
        elif isinstance(frame, Lost):
            self.in_scope(frame.scope).arrivals.receive_lost(link.peer, frame)
        elif isinstance(frame, Declare):
            self.declarations.receive(link.peer, frame)
        elif isinstance(frame, SlowDown):
            self.throttles.receive(link.peer, frame)
        else:
            self.processes.receive(link.peer, frame)

    def _send(self, node: str, frame: ProcessFrame) -> None:
        if self.mesh is not None and (link := self.mesh.links.get(node)) is not None:
            link.send(frame)  # else its session has just ended, which says it all

    def mesh_changed(self) -> None:
        """Something that was waited for may have come."""
        for exchange in self._exchanges.values():
            exchange.mesh_changed()
        self._changes.notify()

    def lane_room(self) -> None:
        """A lane has room again, or its peer is not waited for any more: whoever waits looks again."""
        self.room.notify()

    def seed_changed(self, seed: str, addresses: tuple[str, ...], failure: str) -> None:
        """What a seed stands for is another matter than before, or cannot be told for another reason."""
        if failure:
            self.note("seed_unresolved", level="warning", seed=seed, reason=failure, last_good=list(addresses))
        else:
            self.note("seed_resolved", seed=seed, addresses=list(addresses))

    def mesh_failed(self, error: Exception) -> None:
        """The node cannot go on in this mesh."""
        if self.failure is None:
            self.failure = error
            if isinstance(error, LiminalError):  # which says what it means
                self.note("failed", level="error", error=str(error))
            else:
                self.events.broke("failed", error, error=str(error) or type(error).__name__)
            self._changes.notify()

    def mesh_noticed(self, notice: Notice) -> None:
        """Something happened in the mesh that is worth telling."""
        self.events.notice(notice)

    def _member_changed(self, change: MemberChanged) -> None:
        """Tell who watches. A node that was dead for long is forgotten: what was counted of it is dropped too."""
        self.member_watches.tell(None, change)
        self.member_news.changed(change)
        if change.after is not None and change.after.name in self._routes:
            self._routes[change.after.name].stalled = change.after.stalled
        if change.after is None and (gone := change.before) is not None:
            self.declarations.forget(gone.name)
            for exchange in self._exchanges.values():
                exchange.forget(gone.name)

    def _group_event(self, event: Joined | Left | Purged | InterestGained) -> None:
        if isinstance(event, Joined | Left):
            self.watches.told(event)
        elif isinstance(event, InterestGained):
            if event.scope in self._exchanges:
                self._exchanges[event.scope].interest_gained(event.node.name, event.groups, event.applied)
        elif isinstance(event, Purged):
            epoch = str(event.node.epoch)
            self.note("purged", node=event.node.name, epoch=epoch, reason=event.reason, members=event.members)
