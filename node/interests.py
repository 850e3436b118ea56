"""Who at this node receives: subscriptions of channels, and the members of process groups.

Each is a process of the node, or belongs to one, and is a member of its group in the registry for as long as that
lives; peers are told at the end of the turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from liminal_mesh.cluster import CHANNEL_SCOPE, SCOPES, Pid
from liminal_mesh.storage import LiminalError

from .acks import check_timeout
from .errors import DeadlineExceeded, LimitExceeded
from .inbox import Budget, Inbox
from .lines import write_line
from .names import check_pattern
from .processes import NORMAL
from .reasons import error_reason
from .subscribers import Listener, Subscriber
from .versions import select_version

if TYPE_CHECKING:
    from .channel import ChannelSettings
    from .hub import Hub

__all__ = ["Interests", "wait_s"]

log = logging.getLogger("liminal.node")

Exited: TypeAlias = Callable[[Pid, str, LiminalError | None], None]
"""Hears that a process is over: which, why, and what its program is to be told, if that is more."""

WAIT_S_MAX: Final = 3600.0
"""How long a client's request may wait for peers, whatever it asks for."""


def wait_s(timeout_s: float) -> float:
    """Return for how many seconds a client's request waits for peers, of those that it asks for."""
    return min(timeout_s, WAIT_S_MAX)


class Interests:
    """The receivers of one node.

    Args:
        hub: the node's middle.
        entries_max: how many subscriptions and members of groups there may be.
    """

    def __init__(self, hub: Hub, entries_max: int) -> None:
        self._hub = hub
        self._entries_max = entries_max

    # --- subscriptions ---

    def make_inbox(self, pattern: str, credit: int, budget: Budget | None = None) -> Inbox:
        """Return the inbox for a subscription, as its channel's configuration says.

        Args:
            pattern: an exact name or a pattern.
            credit: how many messages the subscriber may have in hand.
            budget: what it shares with others of its owner.

        Raises:
            ChannelClosed: the channel of the exact name was closed.
            ChannelFailed: it crashed too often.
            ChannelNotConfigured: nothing covers an exact name.
            ValueError: the pattern is none.
        """
        table = self._hub.exchange.channels
        table.check_open(pattern)
        return self._make(table.settings(check_pattern(pattern)), credit, budget)

    def select_version(self, pattern: str, accepted: Sequence[str]) -> str | None:
        """Return the version of a schema that a subscription gets; of a pattern that of the family it belongs to.

        Raises:
            SchemaIncompatible: there is none of those that it accepts.
        """
        return select_version(self._hub.exchange.channels.settings(pattern), accepted)

    def subscribe(
        self,
        pattern: str,
        inbox: Inbox,
        listener: Listener,
        exited: Exited,
        owner: Pid | None = None,
        group: str = "",
        schemas: Sequence[str] = (),
    ) -> Subscriber:
        """Begin a subscription; it is a process, and lasts as long as that.

        Args:
            pattern: what the inbox was made for.
            inbox: what waits for the subscriber.
            listener: is told when something waits.
            exited: is told when it is over, and the subscription taken down.
            owner: the process that it belongs to, and ends with.
            group: with whose other members it shares what is published; "" if it gets all of that.
            schemas: the versions of a schema that it accepts; none if it takes what the channel has.

        Raises:
            LimitExceeded: peers would not take more entries of one node.
        """
        self._check_entries()
        ended: list[Callable[[str], None]] = []
        pid = self._hub.processes.spawn("subscription", lambda reason: ended[0](reason), follows=owner)
        subscriber = Subscriber(pid, pattern, inbox, listener, group, tuple(schemas))
        ended.append(partial(self._unsubscribed, subscriber, exited, owner))
        try:
            self._hub.exchange.subscribe(subscriber)
        except BaseException:  # a listener that cannot be told leaves no member behind
            self._hub.processes.exit(pid, NORMAL)
            raise
        self._changed()
        return subscriber

    def unsubscribe(self, subscriber: Subscriber, reason: str = NORMAL) -> None:
        """End a subscription; nothing happens if it is over.

        Raises:
            Exception: what went wrong when it was taken down; it is over nevertheless.
        """
        self._hub.processes.exit(subscriber.pid, reason)
        failure, subscriber.failure = subscriber.failure, None
        if failure is not None:
            raise failure

    def end(self, subscriber: Subscriber, error: LiminalError) -> None:
        """End a subscription for a reason of the bus's own, which its program is told."""
        subscriber.parting = error
        self._hub.processes.exit(subscriber.pid, error_reason(error))

    def _unsubscribed(self, subscriber: Subscriber, exited: Exited, owner: Pid | None, reason: str) -> None:
        try:
            self._hub.exchange.unsubscribe(subscriber)
        except Exception as error:  # noqa: BLE001 - it is over all the same, and whoever unsubscribes is told
            subscriber.failure = error
            if owner is not None:  # a client's: nobody here will ask
                facts = {"pattern": subscriber.pattern, "pid": str(subscriber.pid)}
                write_line(log, logging.ERROR, "unsubscribe_failed", facts, error)
        self._hub.shared.retire(subscriber.inbox)
        self._changed()
        exited(subscriber.pid, reason, subscriber.parting)

    # --- process groups ---

    def make_mailbox(self, credit: int, budget: Budget | None = None) -> Inbox:
        """Return the inbox of a process, one for all its groups; at its end it goes to ``shared.retire``."""
        return self._make(self._hub.groups.channels.settings(""), credit, budget)

    def join(self, pid: Pid, group: str, inbox: Inbox, listener: Listener) -> Subscriber:
        """Put a process of this node into a group; return its subscriber, the one that stands if it is in already.

        Raises:
            LimitExceeded: too many groups are in use, or peers would not take more entries of one node.
            ValueError: no group can have this name.
        """
        groups = self._hub.groups
        member = groups.channels.member(group, pid)
        if member is None:
            self._check_entries()
            groups.resolve(group)  # from now on there is room for what peers send to it
            member = Subscriber(pid, group, inbox, listener)
            self._hub.shared.mailboxes[inbox] = listener
            try:
                groups.subscribe(member)
            except BaseException:  # as above
                self.leave(member)
                raise
            self._changed()
        return member

    def leave(self, member: Subscriber) -> None:
        """Take a process out of a group; its mailbox stays. Nothing happens when it has left already."""
        self._hub.groups.unsubscribe(member)
        self._changed()

    # --- barriers ---

    async def barrier(
        self, phase: str, pattern: str, timeout_s: float, scope: int = CHANNEL_SCOPE, group: str = ""
    ) -> None:
        """Wait until every peer that is linked now has applied this node's log of the scope as it stands now.

        It must also have told where its channels stand, for the group ``pattern``: only then does what it publishes
        show as a gap if the link breaks in the next moment. A peer whose session ends meanwhile is not waited for.
        For a subscription that shares with a ``group`` it is enough that they know of it.

        Raises:
            DeadlineExceeded: ``missing`` names who has not.
        """
        await self._wait(phase, self._hub.in_scope(scope).barrier(pattern, group), timeout_s)

    async def ready(self, timeout_s: float) -> None:
        """Wait until every peer that is linked now has applied all of this node's groups as they stand now.

        Raises:
            DeadlineExceeded: ``missing`` names who has not.
        """
        hub = self._hub
        asked = {route: [hub.registry.position(scope) for scope in range(len(SCOPES))] for route in hub.routes()}

        def missing() -> list[str]:
            linked = hub.routes()
            return [
                route.name
                for route, positions in asked.items()
                if route in linked
                and any(hub.registry.acknowledged(route.name, scope) < at for scope, at in enumerate(positions))
            ]

        await self._wait("ready", missing, timeout_s)

    async def _wait(self, phase: str, missing: Callable[[], list[str]], timeout_s: float) -> None:
        hub = self._hub
        if not await hub.until(lambda: not missing(), hub.loop.time() + check_timeout(timeout_s)):
            raise DeadlineExceeded(phase, node=hub.me.name, missing=sorted(missing()))

    # --- within ---

    def _check_entries(self) -> None:
        tables = (self._hub.exchange.channels, self._hub.groups.channels)
        if sum(table.subscriptions for table in tables) >= self._entries_max:
            raise LimitExceeded("registry_entries", self._entries_max)

    def _make(self, settings: ChannelSettings, credit: int, budget: Budget | None) -> Inbox:
        budgets = (self._hub.shared.budget, *(() if budget is None else (budget,)))
        return Inbox(credit, settings.messages, settings.size, settings.overflow, budgets)

    def _changed(self) -> None:
        """Tell the peers at the end of the turn what has changed of this node's groups."""
        if self._hub.mesh is not None:
            self._hub.mesh.changed()
