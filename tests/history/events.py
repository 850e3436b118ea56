"""What is written down: one line of JSON for each event, with the same first fields whatever happened.

An operation is an ``invoke`` and, later, one of ``ok``, ``fail`` (it certainly did not happen) and ``info`` (nobody
knows). An operation without an end counts as ``info``: its process died, or was still busy. An operation is known by
its process and ``id``; a publish by its ``client`` and ``id``, since several clients may publish in one process.

A new kind of event is a new class here, in :data:`AnyEvent`, and an index in ``history``.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

__all__ = [
    "AnyEvent",
    "Arrive",
    "Attempt",
    "Cause",
    "Close",
    "Deliver",
    "Drain",
    "Event",
    "Exit",
    "Fault",
    "Gap",
    "Link",
    "Member",
    "MemberState",
    "Moment",
    "NodeRun",
    "Policy",
    "Publish",
    "Rest",
    "Run",
    "Settle",
    "Subscribe",
    "Type",
    "Unsubscribe",
    "Usage",
    "Version",
]

Type = Literal["invoke", "ok", "fail", "info"]
MemberState = Literal["alive", "suspect", "dead", "left", ""]
Moment = Literal["before", "during", "after"]
NodeRun: TypeAlias = tuple[str, int]
"""A node's name and epoch: one run of it."""
Cause: TypeAlias = tuple[str, str, int, int]
"""A message: its channel, its origin and the epoch of that, and its id."""


class Event(Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="op"):
    """What all events have.

    Attributes:
        t_mono_ns: CLOCK_MONOTONIC, which all processes of a machine share.
        proc: the process, each run of it with a name of its own.
        node: the node that it is, or that it is connected to; empty while it is connected to none.
        epoch: that node's run.
        id: of the operation, within its process.
        type: what it is to the operation.
    """

    t_mono_ns: int
    proc: str
    node: str = ""
    epoch: int = 0
    id: int = 0
    type: Type = "ok"


class Run(Event, tag="run"):
    """A process: ``invoke`` when it stands, ``ok`` when it ends well, ``info`` when it was killed.

    ``target`` names the process when another one, which killed it, tells of it.
    """

    target: str = ""


class Drain(Event, tag="drain"):
    """A node leaves: ``invoke`` when it certainly takes nothing new any more, ``ok`` when it has gone.

    ``handed_on`` says whether it has left nothing behind; it may take ``budget_s`` seconds.
    """

    budget_s: float = 0.0
    handed_on: bool = False


class Exit(Event, tag="exit"):
    """A process has ended, as whoever started it tells: its name, and its exit code."""

    target: str
    code: int


class Close(Event, tag="close"):
    """A node closes a client's connection by force, for a ``reason``: ``invoke``, and ``ok`` when it is closed."""

    session: int
    reason: str = ""


class Publish(Event, tag="publish"):
    """A publish; ``id`` counts those of its ``client``, from 1. An end may speak for ``count`` publishes at once.

    Attributes:
        session: the number of the connection, 0 within a node.
        ack: what its publisher waits for, ``accepted`` or ``nodes``; empty if it does not wait for this one alone.
        fields: what the payload holds beside its content, where a schema has a say in them.
        parent: the content that it names as its cause, by its client and number.
        cause: the same by channel, origin, its epoch, and the message's id; there may be no such message.
        priority: how important it is, 0 to 9, if it says so.
        pressure: of an end, the worst decision of its node's consumers, and the four numbers behind it.
        nodes: of an end, what became of it at other nodes, as far as that was asked for.
    """

    client: str
    channel: str = ""
    nonce: str = ""
    hash: str = ""
    session: int = 0
    ack: str = ""
    fields: dict[str, Any] | None = None
    parent: tuple[str, int] | None = None
    cause: Cause | None = None
    priority: int | None = None
    pressure: tuple[str, int, int, int, int] | None = None
    nodes: dict[str, str] = {}
    count: int = 1
    error: str = ""


class Attempt(Event, tag="attempt"):
    """A publish with a key; ``id`` counts those of its process.

    ``client``, ``n``, ``nonce`` and ``hash`` are the content's that the key stands for: whoever tries the key publishes
    that same content. Of an end, ``message`` is the id that was answered.
    """

    client: str
    n: int
    channel: str = ""
    key: str = ""
    nonce: str = ""
    hash: str = ""
    message: int = 0
    delivered: bool = False
    duplicate: bool = False
    error: str = ""


class Subscribe(Event, tag="subscribe"):
    """A subscription; its other events bear its ``id``.

    Attributes:
        wait: the barrier that it asked for.
        group: with the others of it the subscription shares what is published.
        where: what its predicate wants of each client's publishes: a number and a rest; on no rest it raises.
        schemas: the versions that it takes; ``version`` is the one that was selected.
        causal_s: for so long its messages wait for their parents, in seconds; 0 if it asks for no causal order.
    """

    pattern: str = ""
    wait: str = ""
    group: str = ""
    where: tuple[int, int] | None = None
    schemas: list[str] = []
    version: str = ""
    causal_s: float = 0.0
    error: str = ""


class Unsubscribe(Event, tag="unsubscribe"):
    """Its end. ``drained``: it was read to its end afterwards, and what was accepted before had reached it.

    An ``info`` alone says that the subscription ended by an error.
    """

    drained: bool = False
    error: str = ""


class Settle(Event, tag="settle"):
    """All is healed: the subscription waits for the last message of everyone; ``info`` when some did not come."""

    missing: list[tuple[str, int]] = []


class Deliver(Event, tag="deliver"):
    """A message was taken from a subscription; or, if it is not ``wanted``, its predicate was asked, and said no.

    Attributes:
        message: its id, of the origin.
        publisher: the number of its publisher's process, of the origin.
        client, n, nonce: as its content says; ``hash`` is made from all of that.
        fields: what the payload holds beside the content.
        version: that of the schema that it says it was checked by.
        cause: the parent that it names; ``orphaned`` says that it came without.
    """

    channel: str
    origin: str
    origin_epoch: int
    sequence: int
    message: int
    publisher: int = 0
    client: str = ""
    n: int = 0
    nonce: str = ""
    hash: str = ""
    wanted: bool = True
    fields: dict[str, Any] | None = None
    version: str = ""
    cause: Cause | None = None
    orphaned: bool = False


class Gap(Event, tag="gap"):
    """A subscription was told of messages that it will not get."""

    channel: str
    origin: str
    origin_epoch: int
    first: int
    last: int
    count: int
    reason: str = ""


class Link(Event, tag="link"):
    """A node's session with a peer begins or ends, as the node sees it."""

    peer: str
    peer_epoch: int
    up: bool


class Member(Event, tag="member"):
    """A node holds something else of another than before; ``state`` is empty for one that it has forgotten."""

    member: str
    member_epoch: int
    incarnation: int
    state: MemberState


class Rest(Event, tag="rest"):
    """All is healed, and has been for as long as views may take: what the living nodes hold now must be true."""


class Arrive(Event, tag="arrive"):
    """A frame with publishes came to a node over the link from a peer; ``keys`` are their clients and numbers.

    Those for a member of a ``group`` there are told by group, beside those that all the others get; ``spare`` asks only
    members that have credit for them.
    """

    peer: str
    peer_epoch: int
    channel: str
    keys: list[tuple[str, int]]
    group: str = ""
    spare: bool = False


class Version(Event, tag="version"):
    """A node puts a version of a channel's schema in force; ``ok`` alone is what it begins with.

    ``document`` is the JSON Schema. ``forced``: although it refuses what the former one took.
    """

    channel: str
    version: str = ""
    document: dict[str, Any] = {}
    forced: bool = False
    error: str = ""


class Policy(Event, tag="policy"):
    """What a node does on a channel, or a family, when its consumers are full: of all its run.

    ``overflow`` is whom a full inbox costs what; what has a priority below one of ``sheds`` may be refused.
    """

    channel: str
    overflow: str
    sheds: list[int] = []


class Usage(Event, tag="usage"):
    """What a process uses: ``before`` it has anything to do, ``during`` its work, and ``after`` all of that is over.

    ``resident`` is its memory in bytes, ``caps`` the sum of its configured caps on memory (0: it has none), ``queues``
    the inboxes, lanes and the like that there are, and ``waiting`` what is in them. ``session`` is the number of a
    client's connection.
    """

    moment: Moment
    resident: int
    descriptors: int
    tasks: int
    queues: int
    waiting: int
    caps: int = 0
    session: int = 0


class Fault(Event, tag="fault"):
    """What was done to the mesh; for whoever reads the history, no invariant asks for it."""

    what: str


AnyEvent: TypeAlias = (
    Run
    | Drain
    | Exit
    | Close
    | Publish
    | Attempt
    | Subscribe
    | Unsubscribe
    | Settle
    | Deliver
    | Gap
    | Link
    | Member
    | Rest
    | Version
    | Policy
    | Arrive
    | Usage
    | Fault
)
