"""Queues: the subscriptions of one group that get what is published on a channel, each message one of them.

A queue stands for a group on all channels that the same of its patterns cover, as one node sees it: its own members,
and how many there are at which peer. What they take here is decided here; what peers take, peers decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary
from zlib import crc32

from liminal_mesh.cluster import Eagerness, NodeId, Registry, split_queue

from .decisions import rank
from .inbox import Inbox, Run
from .orders import part_of
from .queueing import Candidate, Fate, Ring, Share, Turns, favourite
from .subscribers import Subscriber

if TYPE_CHECKING:
    from .route import Route
    from .subscribers import Group

__all__ = ["Queue", "Queues"]

MemberCrashed = Callable[[Subscriber, Exception], None]


class Queue:
    """A group on some channels.

    Args:
        me: this node.
        group: the group's name.
        routes: the ways to the peers that are linked.
    """

    __slots__ = ("__weakref__", "_me", "_peers", "_ring", "_routes", "_turns", "group", "members", "stamp")

    def __init__(self, me: NodeId, group: str, routes: Mapping[str, Route]) -> None:
        self.group = group
        self.members: tuple[Subscriber, ...] = ()
        """Those at this node."""
        self.stamp = -1
        """When members and peers were looked at last, by its owner's count."""
        self._me = me
        self._routes = routes
        self._peers: dict[str, list[set[int]]] = {}
        self._turns = Turns()
        self._ring = Ring()

    def refresh(self, members: Iterable[Subscriber], peers: Mapping[str, list[set[int]]]) -> None:
        """Take who is in it now: the members here, and the sets of members of each peer."""
        self.members = tuple(members)
        # Each node has an order of its own, so that what many nodes publish first does not all go to one.
        order = sorted(peers, key=lambda name: crc32(f"{self._me.name} {name}".encode()))
        self._peers = {name: peers[name] for name in order}
        self._turns.keep(self._peers)

    def __str__(self) -> str:
        return f"group {self.group}"

    # --- nodes ---

    def candidates(self, tried: tuple[str, ...]) -> list[Candidate]:
        """Return the nodes that have members and can be asked, but those that were; this one first."""
        found = []
        if self.members and self._me.name not in tried:
            ready = any(one.inbox.credit > len(one.inbox) for one in self.members)
            found.append(Candidate(self._me.name, len(self.members), True, ready))
        for name, sets in self._peers.items():
            route = self._routes.get(name)
            weight = sum(map(len, sets))
            if route is not None and weight and name not in tried:
                found.append(Candidate(name, weight, route.open, self._turns.ready(name)))
        return found

    def plan(self, count: int, candidates: list[Candidate], key: str) -> list[Share]:
        """Share messages out to nodes; if they have a key, all to the node that this is for."""
        if key:
            eagerness = Eagerness.ROOM if len(candidates) > 1 else Eagerness.ANY
            return [Share(favourite(key, candidates).node, count, eagerness)]
        return self._turns.plan(count, candidates)

    def heard(self, node: str, ready: bool) -> None:
        """Note whether a peer's members had credit for what they were offered."""
        self._turns.heard(node, ready)

    @property
    def crowded(self) -> bool:
        """Whether a publisher should wait: all members are at peers, and too much is on its way to each of them."""
        if self.members:
            return False
        for name in self._peers:
            route = self._routes.get(name)
            if route is None or not route.crowded:
                return False
        return bool(self._peers)

    # --- members here ---

    def give(self, run: Run, eagerness: Eagerness, crashed: MemberCrashed) -> list[tuple[int, Fate]]:
        """Give the messages of a run to members at this node, each to one; return what became of them, in runs.

        Args:
            run: what is to be given.
            eagerness: what the members may be asked to put up with.
            crashed: hears of one that broke.
        """
        giving = _Giving(self._ring, run, crashed)
        members = [one for one in self.members if not one.inbox.overflowed]
        if not members:
            return [(len(run.items), Fate.ABSENT)]
        giving.share(members, lambda one: one.inbox.credit - len(one.inbox), Fate.TAKEN)
        if giving.left and eagerness >= Eagerness.ROOM:
            giving.share(members, lambda one: one.inbox.limit - len(one.inbox), Fate.DEFERRED)
        if giving.left and eagerness == Eagerness.ANY:
            giving.force([one for one in members if one.inbox.overflow != "reject"])
        if giving.left:
            giving.fates.append((giving.left, Fate.FULL))
        if giving.broken:  # they are gone; what comes next may come before anybody looks who is there
            self.members = tuple(one for one in self.members if one not in giving.broken)
        return giving.fates

    @property
    def rejecting(self) -> bool:
        """Whether a member here refuses what it has no room for."""
        return any(one.inbox.overflow == "reject" for one in self.members)

    def room(self, run: Run) -> bool:
        """Whether a publish need not be refused: a peer may take it, or a member here has room, or drops something."""
        if self._peers:
            return True
        return any(one.inbox.overflow != "reject" or one.inbox.room(run) for one in self.members)

    def inbox_for(self, size: int) -> Inbox:
        """Return the inbox that a message of so many bytes goes to, if it stays here: of several that with most room.

        There must be a member here.
        """
        return min((one.inbox for one in self.members), key=lambda inbox: (rank(inbox, size), len(inbox)))


class _Giving:
    """A run on its way to members, from its front on."""

    def __init__(self, ring: Ring, run: Run, crashed: MemberCrashed) -> None:
        self.fates: list[tuple[int, Fate]] = []
        self._ring = ring
        self._run = run
        self._at = 0
        self._crashed = crashed
        self.broken: set[Subscriber] = set()

    @property
    def left(self) -> int:
        """How many messages nobody has."""
        return len(self._run.items) - self._at

    def share(self, members: list[Subscriber], room: Callable[[Subscriber], int], fate: Fate) -> None:
        """Share what is left among members that have room for it."""
        open_ = [one for one in members if one not in self.broken]
        while self.left and open_:
            shares = self._ring.share(self.left, open_, room)
            if not shares:
                return
            for member, count in shares:
                part = part_of(self._run, self._at, self._at + count)
                if not member.inbox.room(part):  # of bytes there is less
                    part = part_of(part, 0, member.inbox.fitting(part))
                    open_.remove(member)
                if part.items:
                    self._offer(member, part, fate)
                    if member in self.broken and member in open_:
                        open_.remove(member)

    def force(self, members: list[Subscriber]) -> None:
        """Let members have what is left, and their policies decide whom that costs."""
        open_ = [one for one in members if one not in self.broken]
        for member, count in self._ring.share(self.left, open_, lambda _: self.left):
            self._offer(member, part_of(self._run, self._at, self._at + count), Fate.DEFERRED)

    def _offer(self, member: Subscriber, part: Run, fate: Fate) -> None:
        count = len(part.items)
        self._at += count
        try:
            accepted = member.offer(part)
        except Exception as error:  # noqa: BLE001 - it is the supervisor's
            # It may have got them: they are not for anybody else.
            self.broken.add(member)
            self.fates.append((count, Fate.DROPPED))
            self._crashed(member, error)
            return
        self.fates += [(number, one) for number, one in ((accepted, fate), (count - accepted, Fate.DROPPED)) if number]


class Queues:
    """The queues that are in use at one node; who publishes on channels that the same patterns cover shares them.

    Args:
        me: this node.
        registry: knows who is in which queue at which peer.
        routes: the ways to the peers that are linked.
    """

    def __init__(self, me: NodeId, registry: Registry, routes: Mapping[str, Route]) -> None:
        self._me = me
        self._routes = routes
        self._registry = registry
        self._kept: WeakValueDictionary[tuple[str, ...], Queue] = WeakValueDictionary()

    def of(self, channel: str, local: Iterable[Group], stamp: int) -> tuple[Queue, ...]:
        """Return the queues that get what is published on a channel.

        Args:
            channel: its name.
            local: this node's members that it covers, by pattern and group.
            stamp: changes whenever members of any queue may be others.
        """
        by_group: dict[str, list[str]] = {}
        for name in sorted(self._registry.queues_of(channel)):
            by_group.setdefault(split_queue(name)[1], []).append(name)
        if not by_group:
            return ()
        here = list(local)
        return tuple(self._queue(group, tuple(names), here, stamp) for group, names in by_group.items())

    def _queue(self, group: str, names: tuple[str, ...], local: list[Group], stamp: int) -> Queue:
        queue = self._kept.get(names)
        if queue is None:
            queue = self._kept[names] = Queue(self._me, group, self._routes)
        if queue.stamp != stamp:
            queue.stamp = stamp
            peers: dict[str, list[set[int]]] = {}
            for name in names:
                for node, members in self._registry.queue_members(name).items():
                    if node != self._me.name:
                        peers.setdefault(node, []).append(members)
            queue.refresh((one for team in local if team.queue == group for one in team.subscribers.values()), peers)
        return queue
