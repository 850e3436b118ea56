"""Publishes with a key: what bears a key that was delivered is delivered no more, and says so."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from liminal_mesh.node.bus import Ack
from liminal_mesh.node.errors import (
    ChannelNotConfigured,
    InFlight,
    KeyReused,
    LimitExceeded,
    OutcomeUnknown,
    Rejected,
    SchemaRejected,
)
from liminal_mesh.node.node import Node
from liminal_mesh.node.values import PublishOutcome
from liminal_mesh.storage import Refused, Unknown

from ..nodes import DEADLINE_S
from .holders import Held, Pair, eventually, payloads, take
from .test_bus_mesh import deafen, hear

LONGEST: Final = "é" * 128
ACKS: Final[tuple[Ack | None, ...]] = (None, "accepted", "nodes")


def facts(outcome: PublishOutcome) -> tuple[int, bool | None, int, bool, dict[str, str]]:
    """Return what a key changes of an outcome."""
    return outcome.message_id, outcome.delivered, outcome.local, outcome.duplicate, dict(outcome.nodes)


def claims(node: Node) -> int:
    """Return how many keys are in flight at a node."""
    return node.running.hub.shared.keys.dedup.claimed


async def test_dd1_a_second_publish_is_told_of_the_first(held: Held) -> None:
    """DD1: nothing is delivered, and the original's number is the answer, as often as it is asked."""
    async with held.bus.subscribe("ticks") as subscription:
        first = await held.bus.publish("ticks", {"id": 7}, key="order-7", headers={"h": "v"})
        again = [await held.bus.publish("ticks", {"id": 7}, key="order-7") for _ in range(3)]
        other = await held.bus.publish("ticks", {"id": 8}, key="order-8")

        assert facts(first) == (first.message_id, True, 1, False, {})
        assert [facts(one) for one in again] == [(first.message_id, False, 0, True, {})] * 3
        assert facts(other) == (other.message_id, True, 1, False, {})
        one, two = await take(subscription, 2)
        assert (one.id, one.sequence, one.headers, two.id, two.sequence) == (  # type: ignore[union-attr]
            first.message_id, 1, {"h": "v"}, other.message_id, 2,
        )  # fmt: skip


async def test_dd5_a_key_that_reached_nobody_is_free_again(held: Held) -> None:
    """DD5: so the retry delivers, once somebody is there."""
    nobody = [await held.bus.publish("ticks", b"x", key="k") for _ in range(2)]
    async with held.bus.subscribe("ticks") as subscription:
        retry = await held.bus.publish("ticks", b"x", key="k")

        assert [facts(one)[1:] for one in nobody] == [(False, 0, False, {})] * 2
        assert (retry.delivered, retry.duplicate) == (True, False)
        assert await payloads(subscription, 1) == [b"x"]


async def test_dd5_a_key_belongs_to_its_channel(held: Held) -> None:
    """DD5: the same key on two channels is two keys, of one family too."""
    async with held.bus.subscribe("m.*") as subscription, held.bus.subscribe("ticks") as other:
        outcomes = [await held.bus.publish(name, name, key="k") for name in ("m.a", "m.b", "ticks")]

        assert [one.delivered for one in outcomes] == [True] * 3
        assert await payloads(subscription, 2) == ["m.a", "m.b"]
        assert await payloads(other, 1) == ["ticks"]


async def test_dd5_an_unknown_channel_is_refused_before_any_claim(held: Held) -> None:
    """DD5: as without a key."""
    for _ in range(2):
        with pytest.raises(ChannelNotConfigured):
            await held.bus.publish("nowhere", b"x", key="k")

    assert held.node.running.hub.shared.keys.dedup.statistics.fresh == 0


async def test_dd6_another_body_under_a_key_is_refused(held: Held) -> None:
    """DD6: another value, or the same bytes of another kind; headers are not the body."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", "text", key="k")
        for payload in ("other", b"text"):
            with pytest.raises(KeyReused) as refusal:
                await held.bus.publish("ticks", payload, key="k")
            assert isinstance(refusal.value, Refused)
            assert (refusal.value.channel, refusal.value.key) == ("ticks", "k")

        assert (await held.bus.publish("ticks", "text", key="k", headers={"h": "v"})).duplicate
        await held.bus.publish("ticks", "last")
        assert await payloads(subscription, 2) == ["text", "last"]


async def test_a_key_is_1_to_256_bytes_of_text(held: Held) -> None:
    """In UTF-8; anything else is refused, and claims nothing."""
    async with held.bus.subscribe("ticks"):
        assert (await held.bus.publish("ticks", b"x", key=LONGEST)).delivered
        assert (await held.bus.publish("ticks", b"x", key=LONGEST)).duplicate
        with pytest.raises(LimitExceeded) as refusal:
            await held.bus.publish("ticks", b"x", key=LONGEST + "x")
        assert (refusal.value.name, refusal.value.limit) == ("key", 256)
        with pytest.raises(ValueError, match="at least one character"):
            await held.bus.publish("ticks", b"x", key="")
        with pytest.raises(ValueError, match="surrogates"):
            await held.bus.publish("ticks", b"x", key="\ud800")
        with pytest.raises(TypeError, match="a key is text"):
            await held.bus.publish("ticks", b"x", key=7)  # type: ignore[arg-type]

    assert claims(held.node) == 0


async def test_dd3_what_a_subscriber_rejects_may_be_tried_again(held: Held) -> None:
    """DD3: the caller hears of the rejection, and the key is free."""
    async with held.bus.subscribe("reject", max_in_flight=1) as full:
        for number in range(5):
            await held.bus.publish("reject", number, key=f"{number}")
        for _ in range(2):
            with pytest.raises(Rejected, match="full"):
                await held.bus.publish("reject", "late", key="late")
        assert (await held.bus.publish("reject", 3, key="3")).duplicate

        assert await payloads(full, 5) == list(range(5))
        waiting = asyncio.create_task(payloads(full, 1))  # asking for more says that the last one is done
        async with asyncio.timeout(DEADLINE_S):
            while True:  # until the node has heard of it
                try:
                    outcome = await held.bus.publish("reject", "late", key="late")
                    break
                except Rejected:
                    continue
        assert (outcome.delivered, outcome.duplicate) == (True, False)
        assert await waiting == ["late"]


async def test_publishes_of_one_turn_fare_each_on_its_own(held: Held) -> None:
    """DD4: of the same key one is delivered; the refusal of one is none of the others', with a key or without."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", 0, key="0")
        publishes = [(0, "0"), (1, "1"), (9, "0"), (1, "1"), (2, "2"), (3, None), (8, "2"), (4, "x" * 300), (5, "5")]
        outcomes = await asyncio.gather(
            *(held.bus.publish("ticks", payload, key=key) for payload, key in publishes), return_exceptions=True
        )

        told = [one.duplicate if isinstance(one, PublishOutcome) else type(one) for one in outcomes]
        assert told == [True, False, KeyReused, True, False, False, KeyReused, LimitExceeded, False]
        assert await payloads(subscription, 5) == [0, 1, 2, 3, 5]


async def test_a_keyed_publish_always_collects_receipts(pair: Pair) -> None:
    """Whatever it asks for, so that its outcome is certain."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        outcomes = [await pair.here.publish("ticks", ack, key=f"{ack}", ack=ack) for ack in ACKS]

        assert [facts(one)[1:] for one in outcomes] == [(True, 0, False, {"b": "delivered"})] * 3
        assert await payloads(far, 3) == [None, "accepted", "nodes"]


async def test_a_key_that_was_delivered_on_another_node_is_a_duplicate(pair: Pair) -> None:
    """Where it was published, and where it was delivered."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        first = await pair.here.publish("ticks", b"x", key="k")
        again = [await bus.publish("ticks", b"x", key="k") for bus in (pair.here, pair.there)]
        for bus in (pair.here, pair.there):
            with pytest.raises(KeyReused):
                await bus.publish("ticks", b"y", key="k")
        await pair.here.publish("ticks", "last")

        assert facts(first) == (first.message_id, True, 0, False, {"b": "delivered"})
        assert [facts(one) for one in again] == [(first.message_id, False, 0, True, {})] * 2
        assert await payloads(far, 2) == [b"x", "last"]


async def test_a_key_that_reached_a_subscriber_through_another_node_is_suppressed_there(pair: Pair) -> None:
    """The node of the subscriber knows of it, and the publisher's does not: the answer is the original's all the same.

    Its number is passed over without a gap.
    """
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        first = await pair.there.publish("ticks", b"x", key="k")
        retry = await pair.here.publish("ticks", b"x", key="k")
        again = await pair.here.publish("ticks", b"x", key="k")
        with pytest.raises(KeyReused):
            await pair.here.publish("ticks", b"y", key="k")
        last = await pair.here.publish("ticks", "last", key="l")

        assert (first.local, first.duplicate) == (1, False)
        assert facts(retry) == (first.message_id, False, 0, True, {"b": "delivered"})
        assert facts(again) == (first.message_id, False, 0, True, {})
        assert last.delivered
        items = await take(far, 2)
        assert [(item.payload, item.origin, item.sequence) for item in items] == [  # type: ignore[union-attr]
            (b"x", "b", 1), ("last", "a", 2),
        ]  # fmt: skip


async def test_another_body_that_only_the_subscribers_node_can_tell_is_refused_too(pair: Pair) -> None:
    """And the key stays free at the publisher's, for a retry of what was delivered."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        first = await pair.there.publish("ticks", b"x", key="k")
        for _ in range(2):
            with pytest.raises(KeyReused) as refusal:
                await pair.here.publish("ticks", b"y", key="k")
            assert (refusal.value.channel, refusal.value.key) == ("ticks", "k")
        retry = await pair.here.publish("ticks", b"x", key="k")
        await pair.here.publish("ticks", "last")

        assert facts(retry) == (first.message_id, False, 0, True, {"b": "delivered"})
        assert await payloads(far, 2) == [b"x", "last"]
    assert claims(pair.a) == 0


async def test_what_is_new_to_somebody_is_delivered(pair: Pair) -> None:
    """A node that had it suppresses it, and the others get it: that is a delivery, and no duplicate."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        await pair.there.publish("ticks", b"x", key="k")
        async with pair.here.subscribe("ticks") as near:
            outcome = await pair.here.publish("ticks", b"x", key="k")
            assert await payloads(near, 1) == [b"x"]

        assert facts(outcome) == (outcome.message_id, True, 1, False, {"b": "delivered"})
        await pair.here.publish("ticks", "last")
        assert await payloads(far, 2) == [b"x", "last"]


async def test_dd6_what_a_group_has_taken_is_not_what_others_have(pair: Pair) -> None:
    """DD6: each group's keys are its own, and so are those of who is in none; another group of the node gets it too."""
    async with pair.there.subscribe("ticks", group="g", wait="cluster") as member:
        first = await pair.here.publish("ticks", b"x", key="k")
        async with pair.there.subscribe("ticks") as plain, pair.there.subscribe("ticks", group="h") as other:
            outcome = await pair.there.publish("ticks", b"x", key="k")
            assert await payloads(plain, 1) == await payloads(other, 1) == [b"x"]

        assert facts(first)[1:] == (True, 0, False, {"b": "delivered"})
        assert facts(outcome) == (outcome.message_id, True, 2, False, {})
        assert (await pair.there.publish("ticks", b"x", key="k")).message_id == outcome.message_id
        await pair.here.publish("ticks", "last")
        assert await payloads(member, 2) == [b"x", "last"]


async def test_a_key_is_looked_at_behind_the_schema_and_before_the_predicate(pair: Pair) -> None:
    """SC2, CH4, DD1: what the defaults make of it counts; what a member does not want is taken all the same, once."""
    wanted = pair.there.subscribe("orders", group="g", where=lambda one: one.payload["id"] > 1, wait="cluster")
    async with wanted as member:
        with pytest.raises(SchemaRejected):
            await pair.here.publish("orders", {"id": "none"}, key="one")
        for number, key in ((1, "one"), (2, "two")):
            outcomes = [await pair.here.publish("orders", {"id": number}, key=key) for _ in range(2)]
            outcomes += [await pair.there.publish("orders", {"id": number, "currency": "EUR"}, key=key)]
            assert [(one.delivered, one.duplicate) for one in outcomes] == [(True, False)] + [(False, True)] * 2
            assert len({one.message_id for one in outcomes}) == 1
        await pair.here.publish("orders", {"id": 9})

        assert [one["id"] for one in await payloads(member, 2)] == [2, 9]  # type: ignore[index]
        assert member.statistics.filtered == 1


async def test_a_message_that_no_subscriber_had_room_for_is_not_remembered(pair: Pair) -> None:
    """Neither where it was published, nor where it did not fit."""
    async with pair.there.subscribe("drop-newest", max_in_flight=1, wait="cluster") as far:
        for number in range(5):
            await pair.here.publish("drop-newest", number, key=f"{number}")
        full = [await pair.here.publish("drop-newest", "late", key="late") for _ in range(2)]
        assert [facts(one)[1:] for one in full] == [(False, 0, False, {"b": "dropped"})] * 2

        assert await payloads(far, 5) == list(range(5))
        waiting = asyncio.create_task(take(far, 2))  # a gap, then what has room
        async with asyncio.timeout(DEADLINE_S):
            while not (await pair.here.publish("drop-newest", "late", key="late")).delivered:
                pass
        gap, late = await waiting
        assert (gap.count >= 2, late.payload) == (True, "late")  # type: ignore[union-attr]


async def test_dd2_a_second_publish_is_told_that_the_first_is_in_flight(pair: Pair) -> None:
    """DD2: with a time to wait; once the first is answered, the second is a duplicate."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        deafen(pair.b, "a")
        first = asyncio.create_task(pair.here.publish("ticks", b"x", key="k", timeout=DEADLINE_S))
        await eventually(lambda: claims(pair.a) == 1)
        with pytest.raises(InFlight) as refusal:
            await pair.here.publish("ticks", b"x", key="k")
        assert isinstance(refusal.value, Refused)
        assert 0 < refusal.value.retry_after <= 1
        with pytest.raises(KeyReused):
            await pair.here.publish("ticks", b"y", key="k")

        hear(pair.b, "a")
        outcome = await first
        assert facts(outcome) == (outcome.message_id, True, 0, False, {"b": "delivered"})
        assert facts(await pair.here.publish("ticks", b"x", key="k")) == (outcome.message_id, False, 0, True, {})
        await pair.here.publish("ticks", "last")
        assert await payloads(far, 2) == [b"x", "last"]


async def test_when_no_node_answers_nobody_knows_and_the_retry_is_safe(pair: Pair) -> None:
    """The key is free at once, and what arrived after all is not delivered a second time."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        deafen(pair.b, "a")
        with pytest.raises(OutcomeUnknown, match="no receipt from b") as unknown:
            await pair.here.publish("ticks", b"x", key="k", timeout=0.1)
        assert isinstance(unknown.value, Unknown)
        assert claims(pair.a) == 0

        hear(pair.b, "a")
        retry = await pair.here.publish("ticks", b"x", key="k")
        await pair.here.publish("ticks", "last")
        one, last = await take(far, 2)
        assert (one.payload, last.payload) == (b"x", "last")  # type: ignore[union-attr]
        assert facts(retry) == (one.id, False, 0, True, {"b": "delivered"})  # type: ignore[union-attr]


async def test_a_local_subscriber_settles_it_whatever_other_nodes_say(pair: Pair) -> None:
    """It was delivered: a node that does not answer reads unknown, and there is no error."""
    async with pair.there.subscribe("ticks", wait="cluster") as far, pair.here.subscribe("ticks") as near:
        deafen(pair.b, "a")
        outcome = await pair.here.publish("ticks", b"x", key="k", timeout=0.1)
        assert facts(outcome) == (outcome.message_id, True, 1, False, {"b": "unknown"})
        assert facts(await pair.here.publish("ticks", b"x", key="k")) == (outcome.message_id, False, 0, True, {})

        hear(pair.b, "a")
        assert await payloads(near, 1) == [b"x"]
        assert await payloads(far, 1) == [b"x"]


@pytest.mark.parametrize("answered", [True, False])
async def test_who_gives_up_waiting_neither_loses_nor_keeps_the_key(pair: Pair, answered: bool) -> None:
    """It is settled when the receipts come, or their time is up."""
    async with pair.there.subscribe("ticks", wait="cluster") as far:
        deafen(pair.b, "a")
        timeout = DEADLINE_S if answered else 0.2
        first = asyncio.create_task(pair.here.publish("ticks", b"x", key="k", timeout=timeout))
        await eventually(lambda: claims(pair.a) == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(InFlight):
            await pair.here.publish("ticks", b"x", key="k")

        if not answered:
            await eventually(lambda: claims(pair.a) == 0)
        hear(pair.b, "a")
        await eventually(lambda: claims(pair.a) == 0)
        retry = await pair.here.publish("ticks", b"x", key="k")
        await pair.here.publish("ticks", "last")
        one, last = await take(far, 2)
        assert (one.payload, last.payload) == (b"x", "last")  # type: ignore[union-attr]
        assert facts(retry)[:4] == (one.id, False, 0, True)  # type: ignore[union-attr]


async def test_both_nodes_take_a_key_in_the_same_moment(pair: Pair) -> None:
    """DD4 across nodes: each subscriber gets it once."""
    async with (
        pair.there.subscribe("ticks", wait="cluster") as far,
        pair.here.subscribe("ticks", wait="cluster") as near,
    ):
        outcomes = await asyncio.gather(*(bus.publish("ticks", b"x", key="k") for bus in (pair.here, pair.there)))
        await asyncio.gather(*(bus.publish("ticks", "last", ack="nodes") for bus in (pair.here, pair.there)))

        assert all(one.delivered or one.duplicate for one in outcomes)
        for subscription in (near, far):
            assert sorted(map(str, await payloads(subscription, 3))) == ["b'x'", "last", "last"]
