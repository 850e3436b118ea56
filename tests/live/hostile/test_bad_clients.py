"""Clients that break the protocol: a typed reason for them, nothing for the others."""

from __future__ import annotations

import socket
import struct
import tracemalloc
from contextlib import AsyncExitStack

import msgpack
import msgspec
import pytest

from liminal_mesh.cluster import (
    ClientOutcome,
    ClientPublish,
    Confirm,
    Connect,
    Connected,
    Credit,
    Deliver,
    Ended,
    Envelope,
    Failure,
    KeepAlive,
    KeepAliveReply,
    ProtocolError,
    Request,
    Subscribe,
    Subscribed,
)
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.node import Message

from ...nodes import logged, until
from ..raw_peer import RawClient, header
from .clients import alive, goodbye, greeted, served

pytestmark = pytest.mark.live

ITEM = Envelope(0, 0, 0, 0, 0, b"x")
CONFIRM, OUTCOME = 1, 2


async def test_a_version_that_is_not_spoken_is_refused_with_both_ranges() -> None:
    """CN2 and CN8: typed, counted, closed."""
    async with served() as (a, _, _), RawClient.to(a.addresses["client"]) as raw:
        raw.send(Connect(7, 9, "raw"))
        said = await goodbye(raw)
        assert said.code == "version"
        assert "7 to 9" in said.reason
        assert a.running.server.refusals == {"version": 1}


@pytest.mark.parametrize(
    "frame",
    [ClientPublish(1, CONFIRM, "ticks", "", 0, [ITEM]), Subscribe(1, 1, "ticks", 1, "", 0), KeepAlive(1)],
    ids=lambda frame: type(frame).__name__,
)
async def test_a_frame_before_the_greeting_is_refused(frame: Frame) -> None:
    """CN8: and nothing of it happens."""
    async with served() as (a, client, _), RawClient.to(a.addresses["client"]) as raw:
        raw.send(frame)
        assert (await goodbye(raw)).code == "protocol"
        assert (await client.publish("ticks", "first")).message_id == a.epoch * 1_000_000 + 1


async def test_many_refusals_are_counted_one_by_one_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever connects can fill neither the log nor the events."""
    async with served() as (a, _, _):
        for _ in range(50):
            async with RawClient.to(a.addresses["client"]) as raw:
                raw.send_bytes(header(0))
                assert (await goodbye(raw)).code == "protocol"
        assert a.running.server.refusals == {"protocol": 50}
        (line,) = logged(caplog, "client_refused")
        assert getattr(line, "fields", {})["code"] == "protocol"
        (event,) = [one for one in a.running.hub.events if one["kind"] == "client_refused"]
        assert (event["code"], event["level"]) == ("protocol", "warning")


@pytest.mark.parametrize(
    "frame",
    [Connect(1, 1, "again"), Connected(1, "", "", 1, 1, {}), Confirm(1, 1), KeepAliveReply(1)],
    ids=lambda frame: type(frame).__name__,
)
async def test_a_frame_from_the_wrong_side_or_a_second_greeting_ends_the_connection(frame: Frame) -> None:
    """CN8: as the table of frames says."""
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send(frame)
        assert (await goodbye(raw)).code == "protocol"


def publish_frame(items: object) -> bytes:
    """Return a publish with anything in the place of its envelopes."""
    body: bytes = msgpack.packb([1, CONFIRM, "ticks", "", 0, items])
    return header(len(body) + 1, 0x50) + body


GOOD = [0, 0, 0, 0, 0, b"x"]

BAD_ENVELOPES: dict[str, bytes] = {
    "truncated": publish_frame([GOOD[:5]]),
    "cut off within": header(12, 0x50) + publish_frame([GOOD])[5:16],
    "no envelope": publish_frame([]),
    "an empty one": publish_frame([[]]),
    "text for bytes": publish_frame([[0, 0, 0, 0, 0, "x"]]),
    "a negative number": publish_frame([[-1, 0, 0, 0, 0, b"x"]]),
    "an encoding that fits no byte": publish_frame([[0, 0, 0, 0, 256, b"x"]]),
    "options that are no map": publish_frame([[*GOOD, [1]]]),
    "options with names": publish_frame([[*GOOD, {"key": 1}]]),
    "an extension type": publish_frame([[0, 0, 0, 0, 0, msgpack.ExtType(1, b"x")]]),
    "too many": publish_frame([GOOD] * 1025),
    "a map for a frame": header(3, 0x50) + b"\x81\x01",
    "bytes after the end": header(5, 0x43) + b"\x91\x01\xff\xff",
    "a lying array": header(6, 0x50) + b"\xdd\xff\xff\xff\xff",
    "deep nesting": header(1 + 60_000, 0x50) + b"\x91" * 60_000,
}


@pytest.mark.parametrize("what", BAD_ENVELOPES)
async def test_a_bad_envelope_is_refused_without_harm_to_whom_it_was_sent(what: str) -> None:
    """CH10: the sender is told and cut off; the subscriber sees nothing of it."""
    async with served() as (a, _, ticks), greeted(a) as raw:
        raw.send_bytes(BAD_ENVELOPES[what])
        assert (await goodbye(raw)).code == "protocol"
        assert a.running.server.refusals == {"protocol": 1}
        assert ticks.statistics.waiting == 0


@pytest.mark.parametrize("encoding", [1, 2, 3])
async def test_a_payload_that_is_not_what_it_is_marked_as_fails_where_it_is_read(encoding: int) -> None:
    """CH10: as a typed error, and the subscription goes on; an unknown marking is left to the reader as bytes."""
    bad = {9: msgspec.Raw(b"\x01"), 6: msgspec.Raw(b"\xa1x")}
    items = [Envelope(0, 0, 0, 0, encoding, b"\xc1\xff", bad), Envelope(0, 0, 0, 0, 77, b"?", None)]
    async with served() as (a, _, ticks), greeted(a) as raw:
        raw.send(ClientPublish(1, CONFIRM, "ticks", "", 0, items))
        assert (await raw.expect(Confirm)).count == 2
        wrong, unknown = await anext(ticks), await anext(ticks)
        assert isinstance(wrong, Message)
        assert isinstance(unknown, Message)
        for read in (lambda: wrong.payload, lambda: wrong.headers, lambda: wrong.causal):
            with pytest.raises(ProtocolError):
                read()
        assert unknown.payload == b"?"


@pytest.mark.parametrize("name", ["", "*", "m.*", "a..b", "a b", "$sys", "x" * 256, "\u2603"])
async def test_a_name_that_cannot_be_is_refused_by_itself(name: str) -> None:
    """The connection stands: the request was well-formed."""
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send(ClientPublish(1, OUTCOME, name, "", 0, [ITEM]))
        assert (await raw.expect(Failure)).ref == 1
        if name not in {"*", "m.*"}:
            raw.send(Subscribe(2, 1, name, 1, "", 0))
            assert (await raw.expect(Failure)).ref == 2
        await alive(raw)


async def test_requests_that_make_no_sense_are_refused_by_themselves() -> None:
    """PR2: a strange verb, a subscription twice, the end or the credit of none; credit that was not used is counted."""
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send(Request(1, "format-disk"))
        assert (await raw.expect(Failure)).error == "ProtocolError"
        raw.send(Subscribe(2, 5, "ticks", 1, "", 0), Subscribe(3, 5, "ticks", 1, "", 0))
        await raw.expect(Subscribed)
        assert (await raw.expect(Failure)).ref == 3
        raw.send(Credit(99, (1 << 64) - 1), Credit(5, (1 << 64) - 1))
        await alive(raw)
        assert a.running.hub.shared.statistics.unmatched == 1


@pytest.mark.parametrize("mode", [CONFIRM, OUTCOME])
async def test_the_largest_numbers_do_not_run_over(mode: int) -> None:
    """What is counted on from a client's numbers has to fit into the answer."""
    most = (1 << 64) - 1
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send(Subscribe(7, most, "ticks", 1_000_000, "cluster", most))
        await raw.expect(Subscribed)
        raw.send(ClientPublish(most, mode, "ticks", "nodes", most, [ITEM] * 3))
        assert (await goodbye(raw)).code == "protocol"
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send(ClientPublish(1 << 62, mode, "ticks", "nodes", most, [ITEM] * 3))
        await raw.expect(Confirm if mode == CONFIRM else ClientOutcome)
        await alive(raw)


async def test_a_frame_of_an_unknown_type_is_skipped_and_counted() -> None:
    """As a later version's must be."""
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send_bytes((header(4, 0x7E) + b"\xc1\xc1\xc1") * 3)
        await alive(raw)
        assert a.running.server.unknown_frames == 3


@pytest.mark.parametrize("size", [(1 << 20) + 1, (1 << 32) - 1, 0])
async def test_a_lying_length_ends_the_connection_from_the_header_alone(size: int) -> None:
    """What it claims is never awaited."""
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send_bytes(header(size))
        said = await goodbye(raw)
        assert said.code == "protocol"
        assert (str(size) if size else "empty frame") in said.reason


async def test_promised_frames_cost_no_memory_until_they_come() -> None:
    """A hundred clients that announce the largest frame each."""
    async with served() as (a, client, _), AsyncExitStack() as stack:
        raws = [await stack.enter_async_context(greeted(a)) for _ in range(100)]
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for raw in raws:
            raw.send_bytes(header(1 << 20, 0x50) + b"\x96")
        for _ in range(10):
            await client.publish("ticks", 1)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20


async def test_what_would_not_fit_into_a_frame_of_a_peer_is_refused() -> None:
    """A body, or options, with which the numbered message would be too large; the connection stands."""
    async with served() as (a, _, ticks), greeted(a) as raw:
        huge = Envelope(0, 0, 0, 0, 0, b"", {9: msgspec.Raw(msgpack.packb(bytes(100_000)))})
        for ref, item in enumerate((Envelope(0, 0, 0, 0, 0, bytes((1 << 20) - 60)), huge), 1):
            raw.send(ClientPublish(ref, CONFIRM, "ticks", "", 0, [item]))
            assert (await raw.expect(Failure)).error == "LimitExceeded"
        await alive(raw)
        assert ticks.statistics.waiting == 0


async def test_half_a_frame_at_the_end_is_discarded_whole() -> None:
    """CN9: the whole one before it counts."""
    async with served() as (a, _, ticks):
        async with greeted(a) as raw:
            whole = raw.codec.encode(ClientPublish(1, CONFIRM, "ticks", "", 0, [ITEM, ITEM]))
            raw.send_bytes(whole + whole[:-1])
            await raw.expect(Confirm)
        await until(a, lambda: len(a.running.server.connections) == 1)
        assert a.running.hub.exchange.statistics.published == 2
        for _ in range(2):
            await anext(ticks)


@pytest.mark.parametrize("end", ["close", "reset", "broken"])
async def test_a_connection_is_reaped_however_it_ends(end: str) -> None:
    """CN1: its subscriptions leave their groups, and the others are untouched."""
    async with served() as (a, _, _), greeted(a) as raw:
        raw.send(Subscribe(1, 1, "m.mine", 8, "", 0), Subscribe(2, 2, "ticks", 8, "cluster", 5000))
        await raw.expect(Subscribed)
        await raw.expect(Subscribed)
        assert a.running.registry.groups(0).keys() == {"ticks", "m.mine"}
        if end == "broken":
            raw.send_bytes(header(0))
        elif end == "reset":
            lingering = struct.pack("ii", 1, 0)
            raw.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
            raw.writer.transport.abort()
        else:
            await raw.close()
        await until(a, lambda: len(a.running.server.connections) == 1)
        assert {name: len(pids) for name, pids in a.running.registry.groups(0).items()} == {"ticks": 1}


async def test_a_client_that_never_gives_credit_holds_its_own_messages_alone() -> None:
    """It gets what it asked for and no more."""
    async with served() as (a, client, ticks), greeted(a) as raw:
        raw.send(Subscribe(1, 1, "ticks", 4, "", 0))
        await raw.expect(Subscribed)
        for number in range(20):
            await client.publish("ticks", number)
            await anext(ticks)
        got = 0
        while got < 4:
            got += len((await raw.expect(Deliver)).items)
        await alive(raw)
        assert got == 4
        assert not [frame for frame in raw.seen if isinstance(frame, Ended)]


async def test_a_read_full_of_frames_holds_nobody_else_up() -> None:
    """ME8: thirty thousand of them, and others are served between."""
    async with served() as (a, client, _), greeted(a) as raw:
        (held,) = [one.deliveries.held for one in a.running.server.connections.values() if one.client == "raw"]
        raw.send(*[KeepAlive(0)] * 30_000, Subscribe(1, 1, "m.x", 1, "", 0))
        await raw.expect(KeepAliveReply)
        await client.publish("ticks", "meanwhile")
        assert not held
        await raw.expect(Subscribed)
