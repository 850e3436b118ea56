"""What all parts of a running node share: the exchange, the registry, the links, and who waits for what.

It is the bus that the mesh calls, and the one place where waits are kept: receipts with a deadline (one sweep, no
timer each), barriers on the registry, and publishers that wait for room.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
    GROUP_SCOPE,
    SCOPES,
    Heads,
    Joined,
    Left,
    Link,
    Lost,
    MemberChanged,
    NodeId,
    Pid,
    ProcessFrame,
    ProtocolError,
    Publish,
    Purged,
    Receipt,
    Registry,
)
from liminal_mesh.cluster import Interest as InterestGained
from liminal_mesh.storage import LiminalError

from .channel import Channel, ChannelSettings, ChannelTable, Subscriber
from .environment import Environment
from .errors import DeadlineExceeded, Draining, LimitExceeded
from .exchange import Exchange
from .group_watches import GroupWatches
from .inbox import Budget, Inbox
from .names import check_pattern
from .permission import Permit
from .processes import NORMAL, SHUTDOWN, ProcessTable
from .route import Pending, Route, behind_of
from .shared import Shared
from .sizes import Sizes
from .waits import Room, Signal, Sweep, Turn

if TYPE_CHECKING:
    from liminal_mesh.cluster import Mesh

    from .channel import Listener

__all__ = ["Hub"]

log = logging.getLogger("liminal.node")

EVENTS_MAX: Final = 512
"""How many past events are kept for whoever asks."""


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
        inbox_bytes: int,
        entries_max: int,
        links_max: int,
    ) -> None:
        self.me = me
        self.registry = registry
        self.permit = permit
        self.environment = environment
        self.shared = Shared(me, registry, environment.wall_ns, Budget(inbox_bytes))
        self.exchange = Exchange(self.shared, channels)
        self.groups = Exchange(self.shared, groups, GROUP_SCOPE)
        self._exchanges = {CHANNEL_SCOPE: self.exchange, GROUP_SCOPE: self.groups}
        self.mesh: Mesh | None = None
        self.draining = False
        self.failure: Exception | None = None
        self.events: deque[dict[str, object]] = deque(maxlen=EVENTS_MAX)
        self.loop = asyncio.get_running_loop()
        self.sizes = sizes
        self._entries_max = entries_max
        self.processes = ProcessTable(me, self._send, self._broken, links_max)
        self.pid = self.processes.spawn("node", lambda _: None, traps=True)
        """The node's own process."""
        self.watches = GroupWatches(registry)
        self._routes: dict[str, Route] = {}
        self._awaited: Sweep[Pending] = Sweep(lambda pending: pending.expire())
        self._changes = Signal()
        self.turn = Turn()
        self.room = Room()
        """Whoever waits for room in a lane."""
        self._unwatch = registry.watch(self._group_event)

    def close(self) -> None:
        """Wake whoever still waits, and stop the sweep."""
        self._unwatch()
        self._awaited.close()
        self.lane_room()

    def end_processes(self, kind: str) -> None:
        """End all processes of a kind, since the node stops; subscriptions hand out what waits first."""
        for pid in self.processes.living(kind):
            self.processes.exit(pid, SHUTDOWN)

    def admit(self, who: Pid, verb: str, name: str) -> None:
        """Check that ``who`` may use the verb on ``name`` now.

        Raises:
            NotAuthorized: it may not.
            Draining: the node leaves.
        """
        self.permit(who, verb, name)
        if self.draining:
            raise Draining(())

    def note(self, kind: str, **facts: object) -> None:
        """Keep an event for whoever asks, and write its one log line."""
        self.events.append({"at": self.environment.wall_ns() / 1e9, "kind": kind, **facts})
        log.info(kind, extra={"fields": facts})

    # --- subscriptions ---

    def subscribe(
        self,
        pattern: str,
        credit: int,
        listener: Listener,
        exited: Callable[[Pid, str], None],
        owner: Pid | None = None,
        budget: Budget | None = None,
    ) -> Subscriber:
        """Begin a subscription, with the inbox that its channel's configuration says. It is a process, until that ends.

        Args:
            pattern: an exact name or a pattern.
            credit: how many messages the subscriber may have in hand.
            listener: is told when something waits.
            exited: is told the process and the reason when it is over, and the subscription taken down.
            owner: the process that it belongs to, and ends with.
            budget: what its inbox shares with others of the owner.

        Raises:
            ChannelNotConfigured: nothing covers an exact name.
            LimitExceeded: peers would not take more entries of one node.
            ValueError: the pattern is none.
        """
        check_pattern(pattern)
        self._check_entries()
        inbox = self._make_inbox(self.exchange.channels.settings(pattern), credit, budget)
        ended: list[Callable[[str], None]] = []
        pid = self.processes.spawn("subscription", lambda reason: ended[0](reason), follows=owner)
        subscriber = Subscriber(pid, pattern, inbox, listener)
        ended.append(partial(self._unsubscribed, subscriber, exited))
        self.exchange.subscribe(subscriber)
        self._changed()
        return subscriber

    def unsubscribe(self, subscriber: Subscriber, reason: str = NORMAL) -> None:
        """End a subscription; nothing happens if it is over.

        Raises:
            Exception: what went wrong when it was taken down; it is over nevertheless.
        """
        self.processes.exit(subscriber.pid, reason)
        failure, subscriber.failure = subscriber.failure, None
        if failure is not None:
            raise failure

    def _unsubscribed(self, subscriber: Subscriber, exited: Callable[[Pid, str], None], reason: str) -> None:
        try:
            self.exchange.unsubscribe(subscriber)
        except Exception as error:
            subscriber.failure = error
            raise
        finally:
            self.shared.retire(subscriber.inbox)
            self._changed()
            exited(subscriber.pid, reason)

    def _check_entries(self) -> None:
        if self.exchange.channels.subscriptions + self.groups.channels.subscriptions >= self._entries_max:
            raise LimitExceeded("registry_entries", self._entries_max)

    def _make_inbox(self, settings: ChannelSettings, credit: int, budget: Budget | None) -> Inbox:
        budgets = (self.shared.budget, *(() if budget is None else (budget,)))
        return Inbox(credit, settings.messages, settings.size, settings.overflow, budgets)

    # --- process groups ---

    def make_mailbox(self, credit: int, budget: Budget | None = None) -> Inbox:
        """Return the inbox of a process, one for all its groups; at its end it goes to ``shared.retire``."""
        return self._make_inbox(self.groups.channels.settings(""), credit, budget)

    def join(self, pid: Pid, group: str, inbox: Inbox, listener: Listener) -> Subscriber:
        """Put a process of this node into a group; return its subscriber, the one that stands if it is in already.

        Raises:
            LimitExceeded: too many groups are in use, or peers would not take more entries of one node.
            ValueError: no group can have this name.
        """
        member = self.groups.channels.member(group, pid)
        if member is None:
            self._check_entries()
            self.groups.resolve(group)  # from now on there is room for what peers send to it
            member = Subscriber(pid, group, inbox, listener)
            self.groups.subscribe(member)
            self._changed()
        return member

    def leave(self, member: Subscriber) -> None:
        """Take a process out of a group; its mailbox stays. Nothing happens when it has left already."""
        self.groups.unsubscribe(member)
        self._changed()

    def _changed(self) -> None:
        """Tell the peers at the end of the turn what has changed of this node's groups."""
        if self.mesh is not None:
            self.mesh.changed()

    async def barrier(self, phase: str, pattern: str, timeout_s: float, scope: int = CHANNEL_SCOPE) -> None:
        """Wait until every peer that is linked now has applied this node's log of the scope as it stands now.

        It must also have told where its channels stand, for the group ``pattern``: only then does what it publishes
        show as a gap if the link breaks in the next moment. A peer whose session ends meanwhile is not waited for.

        Raises:
            DeadlineExceeded: ``missing`` names who has not.
        """
        missing = self.in_scope(scope).barrier(pattern)
        if not await self.until(lambda: not missing(), self.loop.time() + timeout_s):
            raise DeadlineExceeded(phase, node=self.me.name, missing=sorted(missing()))

    async def ready(self, timeout_s: float) -> None:
        """Wait until every peer that is linked now has applied all of this node's groups as they stand now.

        Raises:
            DeadlineExceeded: ``missing`` names who has not.
        """
        behind = [behind_of(self.registry, scope, tuple(self._routes.values())) for scope in range(len(SCOPES))]

        def missing() -> set[str]:
            return {route.name for one in behind for route in one() if self._routes.get(route.name) is route}

        if not await self.until(lambda: not missing(), self.loop.time() + timeout_s):
            raise DeadlineExceeded("ready", node=self.me.name, missing=sorted(missing()))

    async def until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Wait until a condition holds, looked at after each change of the mesh; return whether it does."""
        return await self._changes.until(condition, deadline)

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

    def expect(self, pending: Pending, timeout_s: float) -> None:
        """Expire a pending publish when its time is up."""
        pending.forget = partial(self._awaited.remove, pending, self._awaited.add(pending, timeout_s))

    async def writable(self, channel: Channel) -> None:
        """Wait until no peer that keeps up holds publishers on the channel back."""
        # Resolved each time: the lane of a link that ended stays as full as it was.
        await self.room.until(lambda: not self.exchange.crowded(self.exchange.resolve(channel.name)))

    # --- what the mesh calls ---

    def link_up(self, link: Link) -> None:
        """A session with a peer stands."""
        route = Route(link.peer, link.lane, link.wake)
        self._routes[link.peer.name] = route
        for exchange in self._exchanges.values():
            exchange.link_up(route)
        self.processes.node_up(link.peer)
        self.note("link_up", peer=link.peer.name, epoch=str(link.peer.epoch), address=link.address)

    def link_down(self, link: Link, reason: str) -> None:
        """It ended."""
        route = self._routes.pop(link.peer.name)
        for exchange in self._exchanges.values():
            exchange.link_down(route)
        self.processes.node_down(link.peer)
        self.note("link_down", peer=link.peer.name, epoch=str(link.peer.epoch), reason=reason)
        self.lane_room()

    def link_frame(self, link: Link, frame: Publish | Lost | Heads | Receipt | ProcessFrame) -> None:
        """A frame with publishes, or about them, or about processes."""
        if isinstance(frame, Publish):
            runs = self.in_scope(frame.scope).receive(link.peer, frame)
            if runs:
                link.send(Receipt(runs))
        elif isinstance(frame, Receipt):
            self._routes[link.peer.name].receipts(frame.runs)
        elif isinstance(frame, Heads):
            self.in_scope(frame.scope).receive_heads(link.peer, frame)
            self.mesh_changed()  # barriers wait for it
        elif isinstance(frame, Lost):
            self.in_scope(frame.scope).receive_lost(link.peer, frame)
        else:
            self.processes.receive(link.peer, frame)

    def _send(self, node: str, frame: ProcessFrame) -> None:
        link = self.mesh.links.get(node) if self.mesh is not None else None
        if link is not None:  # else its session has just ended, which says it all
            link.send(frame)

    def _broken(self, pid: Pid, error: Exception) -> None:
        log.error("process_not_taken_down", extra={"fields": {"pid": str(pid)}}, exc_info=error)

    def mesh_changed(self) -> None:
        """Something that was waited for may have come."""
        for exchange in self._exchanges.values():
            exchange.mesh_changed()
        self._changes.notify()

    def lane_room(self) -> None:
        """A lane has room again, or its peer is not waited for any more: whoever waits looks again."""
        self.room.notify()

    def mesh_failed(self, error: Exception) -> None:
        """The node cannot go on in this mesh."""
        if self.failure is None:
            self.failure = error
            facts = {"error": str(error) or type(error).__name__}
            self.events.append({"at": self.environment.wall_ns() / 1e9, "kind": "failed", **facts})
            log.error("failed", extra={"fields": facts}, exc_info=None if isinstance(error, LiminalError) else error)
            self._changes.notify()

    def member_changed(self, change: MemberChanged) -> None:
        """A node that was dead for long is forgotten: what was counted of it is dropped too."""
        if change.before is not None and change.after is None:
            for exchange in self._exchanges.values():
                exchange.forget(NodeId(change.before.name, change.before.epoch))

    def _group_event(self, event: Joined | Left | Purged | InterestGained) -> None:
        if isinstance(event, Joined | Left):
            self.watches.told(event)
        elif isinstance(event, InterestGained):
            if event.scope in self._exchanges:
                self._exchanges[event.scope].interest_gained(event.node.name, event.groups, event.applied)
        elif isinstance(event, Purged):
            self.note(
                "purged", node=event.node.name, epoch=str(event.node.epoch), reason=event.reason, members=event.members
            )
