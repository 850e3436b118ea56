"""Every frame of a client about one of its streams, sent with the number of a stream of each other kind (CN3).

A stream is what a number of the client's choice stands for: a subscription, a mailbox, a watch, a monitor. A frame
that does not belong to the stream harms neither it nor any other; what belongs to the connection cannot be ended alone.
"""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import structs

from liminal_mesh.cluster import CLIENT_CODEC, MonitorProcess, OpenMailbox, Subscribe, WatchGroup, WatchMembers
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.node.connection import Connection
from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

from ..golden.make import CLIENT
from ..live.raw_peer import RawClient
from .allowed import FROM_CLIENTS

NUMBERS: Final = {
    "nothing": 99, "subscription": 1, "connection": 2, "process": 3, "group watch": 11, "member watch": 12,
    "monitor": 13,
}  # fmt: skip
"""What is open under which number; ``connection`` is its own mailbox."""

ENDS: Final = {
    ("Unsubscribe", "subscription"), ("Unsubscribe", "process"), ("ExitProcess", "process"),
    ("UnwatchGroup", "group watch"), ("UnwatchGroup", "member watch"), ("UnwatchMembers", "group watch"),
    ("UnwatchMembers", "member watch"), ("Demonitor", "monitor"),
    ("LinkProcess", "process"),
}  # fmt: skip
"""What ends a stream: mailboxes are subscriptions of a kind, the numbers of all watches are one row, and a link with
a process that is not there is an exit."""

REFUSED: Final = {("Unsubscribe", "connection"), ("ExitProcess", "connection")}
"""What would take from the connection what belongs to it as long as it stands."""


def frames() -> list[Frame]:
    """Return a good frame of every type about a stream that a client may send."""
    kinds = {type(frame): frame for frame in CLIENT if type(frame).__name__ in FROM_CLIENTS}
    return [frame for kind, frame in kinds.items() if {"subscription", "watch"} & set(kind.__struct_fields__)]


async def opened(raw: RawClient, node: Node) -> Connection:
    """Open one stream of each kind."""
    await raw.greet()
    raw.send(
        Subscribe(1, 1, "ticks", 8, "", 0),
        OpenMailbox(2, 2, 8, False),
        OpenMailbox(3, 3, 8, True),
        WatchGroup(4, 11, 0, "ticks"),
        WatchMembers(5, 12),
        MonitorProcess(6, 13, node.name, node.epoch, 1),
    )
    await asyncio.sleep(0.05)
    (connection,) = node.running.server.connections.values()
    return connection


def streams(connection: Connection) -> set[int]:
    """Return the numbers of the streams that are open."""
    guests = connection._guests
    return {*connection.deliveries.held, *guests._watches, *guests._monitors}


async def test_a_frame_about_a_stream_of_another_kind_harms_none() -> None:
    """A subscription is not ended as a watch, nor the connection's mailbox as a process; and no frame is a defect."""
    wrong = []
    async with Cluster(["m"]) as cluster:
        node, outside = cluster["m"], cluster._network.host("127.0.0.99")
        for frame in frames():
            name = type(frame).__name__
            for kind, number in NUMBERS.items():
                field = "subscription" if "subscription" in frame.__struct_fields__ else "watch"
                async with RawClient.to(node.addresses["client"], outside) as raw:
                    connection = await opened(raw, node)
                    before = streams(connection)
                    assert before == set(NUMBERS.values()) - {99}
                    raw.send(structs.replace(frame, **{field: number}))
                    await asyncio.sleep(0.05)
                    gone = before - streams(connection) if raw.open else "refused"
                    right = "refused" if (name, kind) in REFUSED else {number} if (name, kind) in ENDS else set()
                    if gone != right:
                        wrong.append(f"{name} with the number of a {kind}: {gone} is over, and the rule is: {right}")
                await asyncio.sleep(0.05)
        assert set(node.running.server.refusals) == {"protocol"}
        assert node.running.server.refusals["protocol"] == len(REFUSED)
    assert not wrong, "\n".join(wrong)


def test_there_are_such_frames() -> None:
    """All that name a stream in the list of what clients send, by their fields."""
    assert {type(frame).__name__ for frame in frames()} >= {name for name, _ in ENDS}
    assert all(type(frame) in {row.kind for row in CLIENT_CODEC.table.values()} for frame in frames())
