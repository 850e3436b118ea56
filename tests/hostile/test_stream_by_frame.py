"""Every frame of a client about one of its streams, sent with the number of a stream of each other kind (CN3).

A stream is what a number of the client's choice stands for: a subscription, a mailbox, a watch, a monitor. A frame
that does not belong to the stream harms neither it nor any other; what belongs to the connection cannot be ended alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgpack
from msgspec import structs

from liminal_mesh.cluster import (
    CLIENT_CODEC,
    CLIENT_FRAMES,
    Anchored,
    Connected,
    Disconnect,
    Failure,
    KeepAliveReply,
    MonitorProcess,
    OpenMailbox,
    Subscribe,
    Unsubscribe,
    WatchGroup,
    WatchMembers,
)
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.node.connection import Connection
from liminal_mesh.node.node import Node
from liminal_mesh.testing import Cluster

from ..golden.make import CLIENT
from ..live.raw_peer import RawClient, header
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


@asynccontextmanager
async def one_of_each() -> AsyncIterator[tuple[RawClient, Connection]]:
    """Run a node and a client with one stream of each kind, which must be there in the end."""
    async with Cluster(["m"]) as cluster:
        node, outside = cluster["m"], cluster._network.host("127.0.0.99")
        async with RawClient.to(node.addresses["client"], outside) as raw:
            connection = await opened(raw, node)
            before = streams(connection)
            await answers(raw)
            yield raw, connection
            assert streams(connection) >= before


async def answers(raw: RawClient) -> list[str]:
    """Return what the node has to say: the types, and the kinds of errors."""
    await asyncio.sleep(0.05)
    said = []
    while raw.heard:
        frame = await raw.receive()
        if not isinstance(frame, Anchored):  # which tells a subscription of origins, whoever asks for it
            said.append(frame.error if isinstance(frame, Failure) else type(frame).__name__)
    return said


async def test_a_number_that_stands_for_nothing_is_answered_if_the_frame_asks() -> None:
    """Who says something about what has ended meanwhile is left alone; who wants something of it is told."""
    asks = {"Subscribe": ["Subscribed"], "OpenMailbox": ["Subscribed"], "WatchGroup": ["Reply", "GroupNews"]}
    asks |= {"WatchMembers": ["Reply", "MemberNews"], "MonitorProcess": ["Reply", "ProcessGone"]}
    asks |= {"Join": ["NoProcess"], "Leave": ["NoProcess"]}
    async with one_of_each() as (raw, _):
        for number, frame in enumerate(frames(), 100):
            field = "subscription" if "subscription" in frame.__struct_fields__ else "watch"
            plain = {"group": "", "schemas": []} if isinstance(frame, Subscribe) else {}
            raw.send(structs.replace(frame, **{field: number}, **plain))
            said = await answers(raw)
            assert set(said) == set(asks.get(type(frame).__name__, [])), frame


async def test_a_number_that_stands_for_something_is_not_opened_again() -> None:
    """The request fails by itself; a watch that is asked for again begins again."""
    taken: list[Frame] = [Subscribe(1, number, "other", 8, "", 0) for number in (1, 2, 3)]
    taken += [OpenMailbox(1, number, 8, True) for number in (1, 2, 3)]
    taken += [WatchGroup(1, 11, 0, "other"), WatchGroup(1, 12, 0, "ticks"), WatchMembers(1, 11)]
    taken += [MonitorProcess(1, 13, "m", 1, 1)]
    async with one_of_each() as (raw, _):
        for frame in taken:
            raw.send(frame)
            assert await answers(raw) == ["ProtocolError"], frame
        raw.send(WatchGroup(1, 11, 0, "ticks"), WatchMembers(1, 12))
        assert sorted(await answers(raw)) == ["GroupNews", "MemberNews", "Reply", "Reply"]


async def test_one_number_can_stand_for_one_of_each_row() -> None:
    """And what ends one of them ends no other; 0 and the largest are numbers like all others."""
    async with one_of_each() as (raw, connection):
        for number in (0, 1 << 63):
            raw.send(
                Subscribe(1, number, "x", 8, "", 0),
                WatchMembers(2, number),
                MonitorProcess(3, number, "m", connection.pid.epoch, connection.pid.number),
            )
            await answers(raw)
            raw.send(Unsubscribe(number))
            assert await answers(raw) == ["Ended"]
            guests = connection._guests
            assert (number in guests._watches, number in guests._monitors) == (True, True)
            assert number not in connection.deliveries.held


async def test_what_stands_behind_the_last_field_is_skipped_and_a_field_that_lacks_is_not() -> None:
    """So a frame of the connection bears no number of a stream, and a frame of a stream does not go without."""

    def block(kind: int, fields: list[object]) -> bytes:
        body: bytes = msgpack.packb(fields)
        return header(len(body) + 1, kind) + body

    async with Cluster(["m"]) as cluster:
        node, outside = cluster["m"], cluster._network.host("127.0.0.99")
        async with RawClient.to(node.addresses["client"], outside) as raw:
            raw.send_bytes(block(0x40, [1, 1, "raw", None, 99]))
            await raw.expect(Connected)
            raw.send_bytes(block(0x43, [5, 99]))
            assert (await raw.expect(KeepAliveReply)).id == 5
            raw.send_bytes(block(0x42, ["bye", "", [], 99]))
            assert await raw.ended() == []
        assert node.running.server.refusals == {}
        for kind, row in CLIENT_FRAMES.items():
            if {"subscription", "watch"} & set(row.kind.__struct_fields__) and row.senders != "node":
                async with RawClient.to(node.addresses["client"], outside) as raw:
                    await raw.greet()
                    raw.send_bytes(block(kind, []))
                    assert [one.code for one in await raw.ended() if isinstance(one, Disconnect)] == ["protocol"], row


def test_the_page_has_each_frame_in_the_row_of_what_names_its_stream() -> None:
    """``docs/connections.md`` says it of all of them, and of no other."""
    page = (Path(__file__).parents[2] / "docs/connections.md").read_text()
    names = r"(?:`(?:ref|subscription|watch)`(?:, )?)+|nothing"
    rows = re.findall(rf"^\| [^|]+ \| ({names}) \| (.+) \|$", page, re.MULTILINE)
    said = {name: re.findall(r"`(\w+)`", named) for named, listed in rows for name in re.findall(r"`(\w+)`", listed)}
    kinds = [row.kind for row in CLIENT_FRAMES.values()]
    assert said == {
        kind.__name__: [name for name in ("ref", "subscription", "watch") if name in kind.__struct_fields__]
        for kind in kinds
    }
    assert sum(len(re.findall("`", listed)) for _, listed in rows) == 2 * len(kinds), "one is there twice"
