"""What holds between two nodes: a publish of one looks the same to a subscriber of the other, or is told as lost."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import Busy, DeadlineExceeded, LimitExceeded, OutcomeUnknown
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.reference import Reference
from liminal_mesh.node.schema import Schema
from liminal_mesh.node.values import Gap
from liminal_mesh.storage import Unknown

from ..nodes import DEADLINE_S, until
from .conftest import ORDER
from .holders import Pair, account, check_in_place, collect, message, numbers, payloads, take


def wire_of(node: Node, peer: str) -> object:
    """Return the node's end of its link with a peer."""
    mesh = node.running.hub.mesh
    assert mesh is not None
    return mesh.links[peer].wire


def deafen(node: Node, peer: str) -> None:
    """Let a node read nothing of what a peer writes, for less than it takes to be given up."""
    wire_of(node, peer).pause_reading()  # type: ignore[attr-defined]


def hear(node: Node, peer: str) -> None:
    """Let it read again."""
    wire_of(node, peer).resume_reading()  # type: ignore[attr-defined]


async def test_a_remote_publish_looks_like_a_local_one(pair: Pair) -> None:
    """CH6: each attribute, to subscribers on both sides."""
    parent = Reference("ticks", "elsewhere", 7, 8, 9)
    async with (
        pair.here.subscribe("orders") as near,
        pair.there.subscribe("orders", wait="cluster") as far,
    ):
        outcome = await pair.here.publish("orders", {"id": 7}, headers={"h": "v"}, parent=parent)
        one, two = await message(near), await message(far)

    names = [name for name in dir(Message) if not name.startswith("_") and name not in {"ack", "decode", "nack"}]
    assert (one.causal, one.schema, one.headers) == (parent, Schema(ORDER).id, {"h": "v"})
    assert {name: getattr(one, name) for name in names} == {name: getattr(two, name) for name in names}
    assert (two.origin, two.epoch, two.id, two.publisher) == ("a", pair.a.epoch, outcome.message_id, pair.here.pid)
    assert (outcome.local, outcome.delivered, dict(outcome.nodes)) == (1, True, {"b": "sent"})


async def test_an_outcome_without_receipts_does_not_know_of_other_nodes(pair: Pair) -> None:
    """When only they are interested."""
    async with pair.there.subscribe("m.*", wait="cluster") as far:
        outcome = await pair.here.publish("m.a", 1)
        elsewhere = await pair.here.publish("ticks", 2)

        assert (outcome.delivered, outcome.local, dict(outcome.nodes)) == (None, 0, {"b": "sent"})
        assert (elsewhere.delivered, dict(elsewhere.nodes)) == (False, {})
        assert await payloads(far, 1) == [1]


@pytest.mark.parametrize(("channel", "ack"), [("ticks", "nodes"), ("receipts", None)])
async def test_with_receipts_the_outcome_says_who_took_it(pair: Pair, channel: str, ack: str | None) -> None:
    """Asked for by the publish, or by the channel."""
    async with pair.there.subscribe(channel, wait="cluster"):
        outcome = await pair.here.publish(channel, b"", ack=ack)  # type: ignore[arg-type]

    assert (outcome.delivered, outcome.local, dict(outcome.nodes)) == (True, 0, {"b": "delivered"})


async def test_a_channel_with_receipts_can_be_published_on_without(pair: Pair) -> None:
    """If the publish says so."""
    async with pair.there.subscribe("receipts", wait="cluster"):
        outcome = await pair.here.publish("receipts", b"", ack="accepted")

    assert (outcome.delivered, dict(outcome.nodes)) == (None, {"b": "sent"})


async def test_a_remote_subscriber_that_rejects_is_a_node_that_dropped(pair: Pair) -> None:
    """CH8: the publish is accepted all the same, and the loss is told there."""
    async with pair.there.subscribe("reject", max_in_flight=1, wait="cluster") as far:
        outcomes = [await pair.here.publish("reject", number, ack="nodes") for number in range(7)]
        items = await account(far, 7)

    assert [dict(one.nodes) for one in outcomes] == [{"b": "delivered"}] * 5 + [{"b": "dropped"}] * 2
    assert [one.delivered for one in outcomes] == [True] * 5 + [False] * 2
    assert [item.payload if isinstance(item, Message) else item.count for item in items] == [0, 1, 2, 3, 4, 2]


async def test_a_receipt_that_does_not_come_in_time_reads_unknown(pair: Pair) -> None:
    """And the time is the one that was given."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        deafen(pair.b, "a")
        start = asyncio.get_running_loop().time()
        outcome = await pair.here.publish("ticks", 1, ack="nodes", timeout=0.1)
        waited = asyncio.get_running_loop().time() - start
        hear(pair.b, "a")

        assert (outcome.delivered, dict(outcome.nodes)) == (None, {"b": "unknown"})
        assert 0.09 <= waited < 1.0
        assert await payloads(far, 1) == [1]


async def test_no_publish_waits_for_a_peer_that_does_not_read(pair: Pair) -> None:
    """Unless it asked for its receipt."""
    async with pair.there.subscribe("ticks", wait="cluster"):
        deafen(pair.b, "a")
        async with asyncio.timeout(1.0):
            outcomes = [await pair.here.publish("ticks", b"x" * 1000) for _ in range(200)]
        hear(pair.b, "a")

    assert {outcome.nodes["b"] for outcome in outcomes} == {"sent"}


async def test_a_window_is_full_when_no_receipt_comes(pair: Pair) -> None:
    """And goes on when they come."""
    async with (
        pair.there.subscribe("ticks", wait="cluster") as far,
        pair.here.publisher("ticks", window=4, ack="nodes") as publisher,
    ):
        deafen(pair.b, "a")
        for number in range(4):
            await publisher.send(number)
        fifth = asyncio.create_task(publisher.send(4))
        done, _ = await asyncio.wait([fifth], timeout=0.05)
        assert not done
        assert publisher.statistics.in_flight == 4
        hear(pair.b, "a")
        await fifth
        await publisher.flush()

        assert publisher.statistics.acknowledged == 5
        assert await payloads(far, 5) == list(range(5))


async def test_a_window_whose_receipts_do_not_come_fails_as_unknown(pair: Pair) -> None:
    """Typed, naming the node, once; then it can be used again."""
    async with (
        pair.there.subscribe("ticks", wait="cluster") as far,
        pair.here.publisher("ticks", window=4, ack="nodes", timeout=0.1) as publisher,
    ):
        deafen(pair.b, "a")
        for number in range(3):
            await publisher.send(number)
        with pytest.raises(OutcomeUnknown, match="b") as error:
            await publisher.flush()
        assert isinstance(error.value, Unknown)
        hear(pair.b, "a")
        await publisher.flush()
        await publisher.send(3)
        await publisher.flush()

        assert await payloads(far, 4) == list(range(4))


async def test_what_nobody_took_is_counted_by_a_publisher_with_receipts(pair: Pair) -> None:
    """As by one without, when nobody is there at all."""
    async with (
        pair.there.subscribe("drop-newest", max_in_flight=1, wait="cluster") as far,
        pair.here.publisher("drop-newest", ack="nodes") as publisher,
    ):
        for number in range(20):
            await publisher.send(number)
        await publisher.flush()
        items = await account(far, 20)

    taken = len([item for item in items if isinstance(item, Message)])
    assert publisher.statistics.undelivered == 20 - taken


async def test_nothing_is_lost_in_silence_between_nodes(pair: Pair) -> None:
    """At full speed, and the publisher waits where it is told to: delivered and gaps are what was published."""
    async with pair.there.subscribe("ticks", max_in_flight=64, wait="cluster") as far:
        taking = asyncio.create_task(account(far, 20_000))
        for _ in range(20_000):
            try:
                pair.here.publish_nowait("ticks", b"x" * 100)
            except Busy:
                await pair.here.writable("ticks")
                pair.here.publish_nowait("ticks", b"x" * 100)
        items = await taking

    assert far.statistics.delivered + far.statistics.missed == 20_000
    assert len([item for item in items if isinstance(item, Message)]) == far.statistics.delivered


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest", "reject"])
async def test_a_remote_inbox_that_overflows_tells_its_subscriber(pair: Pair, policy: str) -> None:
    """CH8: by the rules of its own node; the publisher is not refused."""
    async with pair.there.subscribe(policy, max_in_flight=2, wait="cluster") as far:
        for _ in range(300):
            pair.here.publish_nowait(policy, b"")
        await pair.here.publish(policy, b"", ack="nodes")
        items = await account(far, 301)

    gaps = [item for item in items if isinstance(item, Gap)]
    assert gaps
    assert {(gap.origin, gap.reason) for gap in gaps} == {("a", "overflow")}


async def test_a_remote_subscription_that_overflows_is_disconnected_if_it_wants_that(pair: Pair) -> None:
    """CH8: with all that it had, and a gap."""
    async with pair.there.subscribe("disconnect", max_in_flight=2, wait="cluster") as far:
        for _ in range(50):
            pair.here.publish_nowait("disconnect", b"")
        items: list[Message | Gap] = []
        with pytest.raises(LimitExceeded, match="inbox"):
            await asyncio.wait_for(collect(far, items), DEADLINE_S)

    check_in_place(items)
    assert isinstance(items[-1], Gap)


async def test_the_lane_to_a_peer_that_does_not_read_is_busy(pair: Pair) -> None:
    """At half of it; ``writable`` waits for room, and what did not fit is told in its place."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        deafen(pair.b, "a")
        with pytest.raises(Busy) as error:
            _fill(pair)
        assert error.value.retry_after > 0
        hear(pair.b, "a")
        async with asyncio.timeout(DEADLINE_S):
            await pair.here.writable("ticks")
        pair.here.publish_nowait("ticks", b"the last")
        items: list[Message | Gap] = []
        async with asyncio.timeout(DEADLINE_S):
            while not (items and isinstance(items[-1], Message) and items[-1].payload == b"the last"):
                items += await take(far, 1)

    check_in_place(items)


async def test_a_link_that_ends_does_not_leave_a_publisher_waiting(pair: Pair) -> None:
    """The lane of the link that was stays full for ever. Only a node waits for links; a client waits for its node."""
    async with pair.there.subscribe("ticks", wait="cluster"):
        deafen(pair.b, "a")
        done: set[asyncio.Task[None]] = {asyncio.create_task(pair.a.writable("ticks"))}
        while done:  # until the kernel takes no more either
            with pytest.raises(Busy):
                _fill(pair)
            waiting = asyncio.create_task(pair.a.writable("ticks"))
            done, _ = await asyncio.wait([waiting], timeout=0.05)
        wire_of(pair.a, "b").abort("cut")  # type: ignore[attr-defined]

        async with asyncio.timeout(DEADLINE_S):
            await waiting


def _fill(pair: Pair) -> None:
    for _ in range(1000):
        pair.a.publish_nowait("ticks", b"x" * (64 << 10))


async def test_waiting_for_the_cluster_names_who_is_missing(pair: Pair) -> None:
    """And leaves nothing behind; once the peer hears again, it succeeds."""
    deafen(pair.a, "b")
    with pytest.raises(DeadlineExceeded) as error:
        async with pair.there.subscribe("ticks", wait="cluster", timeout=0.1):
            pass
    assert error.value.missing == ("a",)
    assert error.value.phase == "subscribe"
    assert pair.b.running.registry.groups(0) == {}
    hear(pair.a, "b")

    async with pair.there.subscribe("ticks", wait="cluster") as far:
        await pair.here.publish("ticks", b"")
        await message(far)


async def test_the_end_of_a_subscription_reaches_the_publisher(pair: Pair) -> None:
    """A publish does not cross the link for nobody."""
    async with pair.there.subscribe("ticks", wait="cluster"):
        pass
    await until(pair.a, lambda: not pair.a.running.registry.groups(0))

    outcome = await pair.here.publish("ticks", b"")
    assert (outcome.delivered, dict(outcome.nodes)) == (False, {})


async def test_members_are_seen_from_both_sides(pair: Pair) -> None:
    """By their names and epochs."""
    here, there = await pair.here.members(), await pair.there.members()

    expected = {("a", pair.a.epoch, "alive"), ("b", pair.b.epoch, "alive")}
    assert {(one.name, one.epoch, one.state) for one in here} == expected
    assert {(one.name, one.epoch, one.state) for one in there} == expected


async def test_p4_the_order_of_a_session_is_that_of_the_numbers_however_it_is_published(pair: Pair) -> None:
    """P4: with a group beside, with keys, pipelined or not; each subscriber, here and there, gets them so."""
    async with (
        pair.there.subscribe("ticks", max_in_flight=32, wait="cluster") as far,
        pair.there.subscribe("ticks", group="g", max_in_flight=500, wait="cluster") as member,
        pair.here.subscribe("ticks", max_in_flight=500) as near,
        pair.here.publisher("ticks", window=32) as publisher,
    ):
        for number in range(0, 400, 4):
            pair.here.publish_nowait("ticks", number)
            await publisher.send(number + 1)
            await pair.here.publish("ticks", number + 2, key=f"{number}")
            await pair.here.publish("ticks", number + 3)

        expected = [(number + 1, number) for number in range(400)]
        for subscription in (far, near, member):
            items = await take(subscription, 400)
            assert [(one.sequence, one.payload) for one in items if isinstance(one, Message)] == expected


async def test_a_client_that_lost_its_connection_says_what_it_missed(pair: Pair) -> None:
    """It connects and subscribes again by itself; what was published meanwhile is a gap."""
    url = f"liminal://{pair.b.addresses['client']}"
    async with connect(url, name="far") as there, there.subscribe("ticks", wait="cluster") as far:
        await pair.here.publish("ticks", 1, ack="nodes")
        items = await take(far, 1)
        [connection] = [one for one in pair.b.running.server.connections.values() if one.client == "far"]
        connection.wire.abort("cut")
        for number in range(2, 5):
            await pair.here.publish("ticks", number)
        async with asyncio.timeout(DEADLINE_S):
            while numbers(items) < 10 or not isinstance(items[-1], Message):
                number += 1
                await pair.here.publish("ticks", number)
                try:
                    async with asyncio.timeout(0.02):
                        items += [await anext(far)]
                except TimeoutError:
                    continue

    check_in_place(items)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert len(gaps) == 1
    assert (gaps[0].first, gaps[0].reason) == (2, "link")
