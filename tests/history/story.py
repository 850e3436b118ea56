"""Histories made by hand, in a few lines: what nodes did, one thing after the other, a microsecond each."""

from __future__ import annotations

from itertools import count
from typing import Any

from msgspec.structs import replace

from .events import (
    AnyEvent,
    Arrive,
    Attempt,
    Cause,
    Close,
    Deliver,
    Drain,
    Exit,
    Gap,
    Link,
    Member,
    MemberState,
    Moment,
    Policy,
    Publish,
    Rest,
    Run,
    Settle,
    Subscribe,
    Type,
    Unsubscribe,
    Usage,
    Version,
)
from .history import History
from .payloads import digest, payload

__all__ = ["Story", "StoryNode", "StorySubscription"]


class Story:
    """What happened; each call of its nodes and subscriptions adds events."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self._clock = count(1000, 1000)

    def add(self, event: AnyEvent) -> None:
        """Add an event, later than all before."""
        self.events.append(replace(event, t_mono_ns=next(self._clock)))

    def node(self, name: str, epoch: int = 1) -> StoryNode:
        """Start a node."""
        return StoryNode(self, name, epoch)

    def client(self, proc: str) -> None:
        """Start the process of a client."""
        self.add(Run(t_mono_ns=0, proc=proc, type="invoke"))

    def linked(self, *nodes: StoryNode) -> None:
        """Link nodes, all with all."""
        for node in nodes:
            for peer in nodes:
                if peer is not node:
                    node.link(peer)

    def meet(self, *nodes: StoryNode) -> None:
        """Link nodes, all with all, and let them see each other."""
        self.linked(*nodes)
        for node in nodes:
            for peer in nodes:
                if peer is not node:
                    node.see(peer)

    def rest(self) -> None:
        """Be healed for long."""
        self.add(Rest(t_mono_ns=0, proc="test"))

    def wait(self, ns: int) -> None:
        """Let so much time pass."""
        self._clock = count(next(self._clock) + ns, 1000)

    @property
    def history(self) -> History:
        """What a checker reads."""
        return History(self.events)


class StoryNode:
    """A node: it numbers what is published at it, as a node does."""

    def __init__(self, story: Story, name: str, epoch: int) -> None:
        self.story = story
        self.name, self.epoch = name, epoch
        self.at: dict[str, Any] = {"t_mono_ns": 0, "proc": f"{name}.{epoch}", "node": name, "epoch": epoch}
        self._numbers = count(1)
        self._published: dict[str, int] = {}
        self._messages = count(1)
        self._attempts = count(1)
        self._sequences: dict[str, int] = {}
        self._cause: Cause | None = None
        story.add(Run(**self.at, type="invoke"))

    def publish(
        self,
        type: Type = "ok",  # noqa: A002
        *,
        client: str = "",
        channel: str = "c",
        numbered: bool = True,
        told: dict[str, Any] | None = None,
        **more: Any,
    ) -> Deliver:
        """Publish, perhaps with ``more`` than a content; return what each subscription should be handed."""
        self.begin(client=client, channel=channel, **more)
        return self.finish(type, client=client, channel=channel, numbered=numbered, **(told or {}))

    def begin(self, *, client: str = "", channel: str = "c", **more: Any) -> None:
        """Begin a publish."""
        client = client or self.name
        n = self._published[client] = self._published.get(client, 0) + 1
        content: dict[str, Any] = {"nonce": "ab", "hash": digest(payload(client, n, "ab")), **more}
        self._cause = content.get("cause")
        self.story.add(Publish(**self.at, id=n, type="invoke", client=client, channel=channel, **content))

    def finish(
        self,
        type: Type = "ok",  # noqa: A002
        *,
        client: str = "",
        channel: str = "c",
        numbered: bool = True,
        **told: Any,
    ) -> Deliver:
        """End the publish that was begun, and be told of it; ``info`` leaves it open."""
        client = client or self.name
        n = self._published[client]
        if type != "info":
            self.story.add(Publish(**self.at, id=n, type=type, client=client, **told))
        if numbered:
            self._sequences[channel] = self._sequences.get(channel, 0) + 1
        return Deliver(
            **self.at,
            channel=channel,
            origin=self.name,
            origin_epoch=self.epoch,
            sequence=self._sequences.get(channel, 0),
            message=next(self._messages),
            client=client,
            n=n,
            nonce="ab",
            hash=digest(payload(client, n, "ab")),
            cause=self._cause,
        )

    def answer(self, parent: Deliver, **more: Any) -> Deliver:
        """Publish what names a message as its cause."""
        cause = parent.channel, parent.origin, parent.origin_epoch, parent.message
        return self.publish(parent=(parent.client, parent.n), cause=cause, **more)

    def attempt(
        self,
        type: Type = "ok",  # noqa: A002
        *,
        n: int = 1,
        original: Deliver | None = None,
        delivered: bool = True,
        ended: bool = True,
    ) -> Deliver:
        """Publish content ``n``, which is everybody's, under its key; it is answered as a duplicate of ``original``.

        Returns what each subscription should be handed, if it is handed anything.
        """
        body = payload("keys", n, "ab")
        content: dict[str, Any] = {"client": "keys", "n": n, "nonce": "ab", "hash": digest(body)}
        place: dict[str, Any] = {"id": next(self._attempts), "client": "keys", "n": n, "channel": "k", "key": f"{n}"}
        self.story.add(Attempt(**self.at, **{**content, **place}, type="invoke"))
        self._sequences["k"] = self._sequences.get("k", 0) + 1
        at: dict[str, Any] = {"channel": "k", "origin": self.name, "origin_epoch": self.epoch}
        message = Deliver(**self.at, **at, sequence=self._sequences["k"], message=next(self._messages), **content)
        if ended:
            answer: dict[str, Any] = {}
            if type == "ok":
                told = original or message
                answer = {"message": told.message, "delivered": delivered and not original, "duplicate": bool(original)}
            self.story.add(Attempt(**self.at, **place, type=type, **answer))
        return message

    def subscribe(self, pattern: str = "c", wait: str = "", version: str = "", **more: Any) -> StorySubscription:
        """Subscribe as what is asked says, embedded or as a client; ``version`` is what is selected."""
        at = {**self.at, "proc": more.pop("proc", self.at["proc"])}
        asked = Subscribe(**at, id=next(self._numbers), type="invoke", pattern=pattern, wait=wait, **more)
        return StorySubscription(self, asked, version)

    def evolve(self, version: str, type: Type = "ok", *, forced: bool = False, **properties: dict[str, Any]) -> None:  # noqa: A002
        """Put a version of the schema of channel ``c`` in force; all these properties are required."""
        document = {"properties": properties, "required": list(properties)}
        event = Version(**self.at, type="invoke", channel="c", version=version, document=document, forced=forced)
        self.story.add(event)
        self.story.add(replace(event, type=type))

    def policy(self, overflow: str = "drop-oldest", *sheds: int) -> None:
        """Say what is done on every channel when consumers are full."""
        self.story.add(Policy(**self.at, channel=">", overflow=overflow, sheds=list(sheds)))

    def link(self, peer: StoryNode, *, up: bool = True) -> None:
        """See a link begin or end."""
        self.story.add(Link(**self.at, peer=peer.name, peer_epoch=peer.epoch, up=up))

    def see(self, member: StoryNode, state: MemberState = "alive", incarnation: int = 0) -> None:
        """Hold something else of a node than before; ``""`` forgets it."""
        event = Member(**self.at, member=member.name, member_epoch=member.epoch, incarnation=incarnation, state=state)
        self.story.add(event)

    def arrive(self, peer: StoryNode, *messages: Deliver, **more: Any) -> None:
        """Take a frame from a peer, perhaps for a member of a group."""
        keys = [(one.client, one.n) for one in messages]
        self.story.add(Arrive(**self.at, peer=peer.name, peer_epoch=peer.epoch, channel="c", keys=keys, **more))

    def use(self, moment: Moment = "during", **more: int) -> None:
        """Say what it uses: 100 bytes and ten of everything, of up to 50 bytes more, and this more than that."""
        ten = dict.fromkeys(("descriptors", "tasks", "queues", "waiting"), 10)
        counted: dict[str, Any] = {"resident": 100, "caps": 50, **ten}
        for name, number in more.items():
            counted[name] += number
        self.story.add(Usage(**self.at, moment=moment, **counted))

    def close(self, session: int, reason: str = "make room") -> None:
        """Begin to close a connection by force."""
        self.story.add(Close(**self.at, type="invoke", session=session, reason=reason))

    def closed(self, session: int) -> None:
        """Have closed it."""
        self.story.add(Close(**self.at, session=session))

    def drain(self) -> None:
        """Begin to leave."""
        self.story.add(Drain(**self.at, type="invoke", budget_s=1.0))

    def drained(self, *, handed_on: bool = True, code: int = 0) -> None:
        """Have left, and end."""
        self.story.add(Drain(**self.at, handed_on=handed_on))
        self.end()
        self.story.add(Exit(t_mono_ns=0, proc="test", target=self.at["proc"], code=code))

    def end(self) -> None:
        """End well."""
        self.story.add(Run(**self.at, type="ok"))

    def kill(self) -> None:
        """End by a kill, as whoever killed it tells."""
        self.story.add(Run(t_mono_ns=0, proc="test", type="info", target=self.at["proc"]))


class StorySubscription:
    """A subscription."""

    def __init__(self, node: StoryNode, asked: Subscribe, version: str) -> None:
        self._node = node
        self._at = {**node.at, "proc": asked.proc, "id": asked.id}
        node.story.add(asked)
        node.story.add(Subscribe(**self._at, type="ok", wait=asked.wait, version=version))

    def got(self, *messages: Deliver, **changes: Any) -> None:
        """Take messages, perhaps not as they were published."""
        at = {name: value for name, value in self._at.items() if name != "t_mono_ns"}
        for message in messages:
            self._node.story.add(replace(message, **{**at, **changes}))

    def refused(self, *messages: Deliver) -> None:
        """Do not want messages."""
        self.got(*messages, wanted=False)

    def gap(self, *messages: Deliver, **changes: Any) -> None:
        """Be told of messages as lost."""
        first, last = messages[0], messages[-1]
        gap = Gap(
            **self._at,
            channel=first.channel,
            origin=first.origin,
            origin_epoch=first.origin_epoch,
            first=first.sequence,
            last=last.sequence,
            count=len(messages),
        )
        self._node.story.add(replace(gap, **changes))

    def settle(self, type: Type = "ok") -> None:  # noqa: A002
        """Wait for the last of everything, when all is quiet."""
        self._node.story.add(Settle(**self._at, type="invoke"))
        self._node.story.add(Settle(**self._at, type=type))

    def leave(self, *, drained: bool = True) -> None:
        """Unsubscribe."""
        self._node.story.add(Unsubscribe(**self._at, type="invoke"))
        self._node.story.add(Unsubscribe(**self._at, type="ok", drained=drained))
