"""Defects of the shipped code, planted in one process: a checker that does not find them proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from itertools import count
from types import ModuleType
from typing import Any

from liminal_mesh.cluster import CHANNEL_SCOPE, Eagerness, Envelope, Mesh, NodeId, Pid, ReceiptRun
from liminal_mesh.node import arrivals, route, runtime
from liminal_mesh.node.backing import Backing
from liminal_mesh.node.causal import NEVER, CausalOrder
from liminal_mesh.node.channel import Channel, ChannelSettings
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.connection import Connection
from liminal_mesh.node.dedup import Dedup
from liminal_mesh.node.hub import Hub
from liminal_mesh.node.inbox import Inbox, Notes, Run
from liminal_mesh.node.interests import Interests
from liminal_mesh.node.message import Message
from liminal_mesh.node.predicate import Predicate
from liminal_mesh.node.pressure import ChannelPressure
from liminal_mesh.node.queueing import Fate
from liminal_mesh.node.queues import MemberCrashed, Queue
from liminal_mesh.node.route import Pending, Route
from liminal_mesh.node.schema import Schema
from liminal_mesh.node.server import Server
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.supervision import Crashed
from liminal_mesh.node.values import Gap
from liminal_mesh.node.versions import offered_versions

__all__ = ["DEFECTS"]

HOARD = 300
"""How many megabytes are hoarded: more than the limits of a recorded run allow, and less than would be a nuisance."""


def plant(owner: type | ModuleType, name: str, defect: Callable[..., Any]) -> None:
    """Let a method, or a function that a module uses, do something else in this process.

    It has to take what the shipped one takes: else it would crash, and be found for that.
    """
    shipped, planted = (list(signature(one).parameters) for one in (getattr(owner, name), defect))
    assert planted == shipped, f"{owner.__name__}.{name} takes {shipped}, and the defect {planted}"
    setattr(owner, name, defect)


def silent_overflow() -> None:
    """What an inbox has no room for is dropped without a gap."""

    def lose(self: Inbox, notes: Notes, run: Run, start: int, stop: int) -> None:
        self.dropped += stop - start

    plant(Inbox, "_lose", lose)


def delivered_twice() -> None:
    """Every message is offered to each subscription twice."""
    offer = Inbox.offer

    def twice(self: Inbox, run: Run) -> int:
        offer(self, run)
        return offer(self, run)

    plant(Inbox, "offer", twice)


def delivered_backwards() -> None:
    """The messages of one turn come in the wrong order."""
    offer = Inbox.offer

    def backwards(self: Inbox, run: Run) -> int:
        return offer(self, Run(run.channel, run.origin, run.items[::-1]))

    plant(Inbox, "offer", backwards)


def sent_twice() -> None:
    """Every publish goes over each link twice; its receiver drops the copy, so that no subscriber sees it."""
    publish = Route.publish

    def twice(self: Route, run: Run, awaited: Pending | None, scope: int = CHANNEL_SCOPE, first: int = 0) -> int:
        publish(self, run, awaited, scope, first)
        return publish(self, run, None, scope)

    plant(Route, "publish", twice)


def silent_link() -> None:
    """Some publishes are lost on the way to a peer, and the peer does not tell its subscribers of the hole."""
    publish, calls = Route.publish, [0]

    def forgetful(self: Route, run: Run, awaited: Pending | None, scope: int = CHANNEL_SCOPE, first: int = 0) -> int:
        calls[0] += 1
        if calls[0] % 5 == 0 and awaited is None:
            return len(run.items)
        return publish(self, run, awaited, scope, first)

    def silent(self: Channel, origin: NodeId, last: int, reason: str, crashed: Crashed) -> int:
        self.heads[origin] = max(last, self.heads.get(origin, 0))
        return 0

    plant(Route, "publish", forgetful)
    plant(Channel, "pass_over", silent)


def forgetful() -> None:
    """A node does not remember which keys its subscribers have taken."""

    def delivered(self: Dedup, channel: str, key: str, now: float) -> None:
        return None

    plant(Dedup, "delivered", delivered)


def hoarded() -> None:
    """What an inbox is offered is kept for ever, and it weighs a megabyte."""
    offer, kept = Inbox.offer, list[bytes]()

    def hoard(self: Inbox, run: Run) -> int:
        if len(kept) < HOARD:
            kept.append(b"x" * 1_000_000)
        return offer(self, run)

    plant(Inbox, "offer", hoard)


def remembered() -> None:
    """Whoever has unsubscribed is a subscriber still."""

    def keep(self: ChannelTable, subscriber: Subscriber) -> bool:
        return True

    plant(ChannelTable, "unsubscribe", keep)


def unsifted() -> None:
    """A predicate is asked, and what it does not want is handed out all the same."""
    wants = Predicate.wants

    def asked(self: Predicate, message: Message) -> bool:
        wants(self, message)
        return True

    plant(Predicate, "wants", asked)


def oversifted() -> None:
    """Some of what a predicate wants is taken for unwanted."""
    wants, calls = Predicate.wants, count(1)

    def asked(self: Predicate, message: Message) -> bool:
        return wants(self, message) and next(calls) % 5 != 0

    plant(Predicate, "wants", asked)


def unchecked() -> None:
    """Whatever a schema says, it is taken, with its defaults."""

    def normalise(self: Schema, value: object) -> bool:
        return self.defaults.complete(value)

    plant(Schema, "normalise", normalise)


def incomplete() -> None:
    """Defaults are put in, and what is published is as if they were not."""
    shipped = Schema.normalise

    def normalise(self: Schema, value: object) -> bool:
        shipped(self, value)
        return False

    plant(Schema, "normalise", normalise)


def unevolved() -> None:
    """A new version of a schema is acknowledged, and the former one stays in force."""

    def replace(self: ChannelTable, settings: ChannelSettings) -> None:
        return None

    plant(ChannelTable, "replace", replace)


def unasked() -> None:
    """A subscription gets the version in force, whatever versions it names."""

    def select_version(self: Interests, pattern: str, accepted: Sequence[str]) -> str | None:
        return next(iter(offered_versions(self._hub.exchange.channels.settings(pattern))), None)

    plant(Interests, "select_version", select_version)


def uncausal() -> None:
    """Nobody waits for a parent."""

    def parent(self: CausalOrder, message: Message) -> None:
        return None

    plant(CausalOrder, "_parent", parent)


def impatient() -> None:
    """Whatever has to wait for its parent comes at once."""
    shipped = CausalOrder.take

    def take(self: CausalOrder, item: Message | Gap, now: float) -> None:
        shipped(self, item, now)
        while self.due < NEVER:
            self.expire(self.due)

    plant(CausalOrder, "take", take)


def hospitable() -> None:
    """A node that leaves takes what begins now all the same."""

    def admit(self: Hub, who: Pid, verb: str, name: str) -> None:
        self.permit(who, verb, name)

    plant(Hub, "admit", admit)


def slow_to_leave() -> None:
    """A node that leaves has not handed on everything when its time is up."""

    async def unfinished(bus: Backing, deadline: float) -> bool:
        return False

    plant(runtime, "hand_on", unfinished)


def wordless() -> None:
    """A node that leaves says no goodbye to the mesh."""

    def drain(self: Mesh, reason: str) -> None:
        for link in tuple(self.links.values()):
            link.wire.close(reason)

    plant(Mesh, "drain", drain)


def rude() -> None:
    """A client is sent away before it has what waits for it."""

    def take_leave(self: Connection, reason: str, others: Sequence[str]) -> None:
        self.deliveries.held.clear()
        self._take_leave(reason, others)

    plant(Connection, "take_leave", take_leave)


def sheds_all() -> None:
    """Where anything is shed, everything is."""

    def sheds(self: ChannelPressure, envelope: Envelope) -> bool:
        return self.shed_below > 0

    plant(ChannelPressure, "sheds", sheds)


def takes_all() -> None:
    """Nobody refuses a publish, whether there is room for it or not."""

    def room(self: Subscriber, run: Run) -> bool:
        return True

    plant(Subscriber, "room", room)


def denied() -> None:
    """A node says that it dropped what its subscribers have taken."""
    shipped = route.receipt_runs

    def receipt_runs(first: int, fates: Sequence[tuple[int, bool]]) -> list[ReceiptRun]:
        return shipped(first, [(count, False) for count, _ in fates])

    plant(arrivals, "receipt_runs", receipt_runs)


def unmoved() -> None:
    """A connection that is closed by force is not."""

    async def force(self: Server, connections: list[Connection], reason: str) -> int:
        return len(connections)

    plant(Server, "_force", force)


def speechless() -> None:
    """A connection that is closed by force ends without a word."""

    def say(self: Connection, code: str, reason: str, others: Sequence[str]) -> None:
        return None

    plant(Connection, "_say", say)


def shared_twice() -> None:
    """What is for one member of a group at a node is given to two."""
    give = Queue.give

    def twice(self: Queue, run: Run, eagerness: Eagerness, crashed: MemberCrashed) -> list[tuple[int, Fate]]:
        give(self, run, eagerness, crashed)
        return give(self, run, eagerness, crashed)

    plant(Queue, "give", twice)


DEFECTS: dict[str, Callable[[], None]] = {
    defect.__name__: defect
    for defect in (
        silent_overflow,
        delivered_twice,
        delivered_backwards,
        sent_twice,
        silent_link,
        forgetful,
        hoarded,
        remembered,
        shared_twice,
        unsifted,
        oversifted,
        unchecked,
        incomplete,
        unevolved,
        unasked,
        uncausal,
        impatient,
        hospitable,
        slow_to_leave,
        wordless,
        rude,
        sheds_all,
        takes_all,
        denied,
        unmoved,
        speechless,
    )
}
