"""Channels with a schema: what is refused, and what subscribers get (SC1, SC2, SC5, CH7, CH9)."""

from __future__ import annotations

import asyncio

import pydantic
import pytest

from liminal_mesh.node.errors import SchemaRejected
from liminal_mesh.node.schema import Schema
from liminal_mesh.storage import Refused

from ..nodes import DEADLINE_S
from .conftest import ORDER
from .holders import Held, Pair, message, payloads

FULL = {"id": 7, "currency": "EUR"}


class Order(pydantic.BaseModel):
    """What a program has where the schema has an object."""

    id: int
    currency: str = "USD"


async def test_sc1_what_the_schema_refuses_is_delivered_to_nobody(held: Held) -> None:
    """With the path and the reason; no number is used, and nothing of it is seen."""
    async with held.bus.subscribe("orders") as subscription, held.bus.subscribe("*") as pattern:
        with pytest.raises(SchemaRejected) as refused:
            await held.bus.publish("orders", {"id": "7"})
        assert (refused.value.path, refused.value.reason) == ("/id", '"7" is not of type "integer"')
        assert isinstance(refused.value, Refused)
        await held.bus.publish("orders", FULL)

        for one in (subscription, pattern):
            found = await message(one)
            assert (found.payload, found.sequence) == (FULL, 1)
    assert held.node.running.hub.exchange.statistics.schema_rejected == 1


async def test_sc2_subscribers_get_the_normalised_payload(held: Held) -> None:
    """With the defaults, however it was published, and with the version that it was checked by."""
    async with held.bus.subscribe("orders") as subscription:
        held.bus.publish_nowait("orders", {"id": 7})
        async with held.bus.publisher("orders") as publisher:
            await publisher.send({"id": 7})
            await publisher.send(b'{"id": 7}')
        outcome = await held.bus.publish("orders", {"id": 7}, headers={"a": "b"}, ack="nodes")

        found = [await message(subscription) for _ in range(4)]
        assert outcome.delivered
        assert [one.payload for one in found] == [FULL] * 4
        assert {one.schema for one in found} == {Schema(ORDER).id}
        assert found[3].headers == {"a": "b"}
        assert found[0].decode(Order) == Order(id=7, currency="EUR")


async def test_sc2_a_model_is_checked_as_what_it_is_sent_as(held: Held) -> None:
    """What its program fills in stays."""
    async with held.bus.subscribe("orders") as subscription:
        await held.bus.publish("orders", Order(id=7))

        assert await payloads(subscription, 1) == [{"id": 7, "currency": "USD"}]


async def test_sc1_families_have_schemas_too(held: Held) -> None:
    """Each channel of them."""
    async with held.bus.subscribe("typed.>") as subscription:
        with pytest.raises(SchemaRejected):
            await held.bus.publish("typed.a", {})
        await held.bus.publish("typed.b", {"id": 1})

        assert (await message(subscription)).channel == "typed.b"


async def test_ch9_without_a_schema_bytes_are_opaque(held: Held) -> None:
    """They are not looked at, and nothing is said of a version."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", b'{"id": ')

        found = await message(subscription)
        assert (found.body, found.payload, found.schema) == (b'{"id": ', b'{"id": ', None)


async def test_sc1_nowait_hears_of_a_refusal(held: Held) -> None:
    """At once on a node, at the next call on a client; what was sent beside it is delivered."""
    async with held.bus.subscribe("orders") as subscription:
        with pytest.raises(SchemaRejected):
            await _nowait_many(held)
        await held.bus.publish("orders", {"id": 4})

        expected = [1, 3, 4] if held.bus is not held.node else [1, 4]
        assert [found["id"] for found in await payloads(subscription, len(expected))] == expected  # type: ignore[index]


async def _nowait_many(held: Held) -> None:
    for number in (1, "two", 3):
        held.bus.publish_nowait("orders", {"id": number})
    await held.bus.publish("ticks", b"to the node and back")
    await held.bus.writable("orders")


async def test_sc1_one_refused_publish_of_a_window_costs_no_other(held: Held) -> None:
    """It surfaces, typed, and the others are delivered in their order."""
    async with held.bus.subscribe("orders") as subscription, held.bus.publisher("orders") as publisher:
        for number in (0, 1, "two", 3, 4):
            await publisher.send({"id": number})
        with pytest.raises(SchemaRejected, match="/id"):
            await publisher.flush()
        await publisher.flush()

        assert [one["id"] for one in await payloads(subscription, 4)] == [0, 1, 3, 4]  # type: ignore[index]
        assert (publisher.statistics.sent, publisher.statistics.acknowledged) == (5, 4)


async def test_sc1_publishes_of_many_tasks_are_refused_one_by_one(held: Held) -> None:
    """Those of one turn travel together, and each has its own answer."""
    async with held.bus.subscribe("orders") as subscription:
        asked = [held.bus.publish("orders", {"id": number if number % 3 else "x"}) for number in range(9)]
        async with asyncio.timeout(DEADLINE_S):
            answers = await asyncio.gather(*asked, return_exceptions=True)

        assert [isinstance(one, SchemaRejected) for one in answers] == [not number % 3 for number in range(9)]
        assert [one["id"] for one in await payloads(subscription, 6)] == [1, 2, 4, 5, 7, 8]  # type: ignore[index]


async def test_ch7_the_schema_comes_before_the_room(held: Held) -> None:
    """Of two that would refuse a publish the schema is named, and the full subscription has no part in it."""
    async with held.bus.subscribe("full-orders", max_in_flight=1) as subscription:
        for number in range(5):
            await held.bus.publish("full-orders", {"id": number})
        with pytest.raises(SchemaRejected):
            await held.bus.publish("full-orders", {"id": "x"})

        assert len(await payloads(subscription, 5)) == 5


async def test_ch7_the_schema_comes_before_the_key(held: Held) -> None:
    """What is refused claims none, and what a key stands for is the payload with its defaults."""
    async with held.bus.subscribe("orders") as subscription:
        with pytest.raises(SchemaRejected):
            await held.bus.publish("orders", {"id": "7"}, key="k")
        first = await held.bus.publish("orders", {"id": 7}, key="k")
        again = await held.bus.publish("orders", FULL, key="k")
        with pytest.raises(SchemaRejected):
            await held.bus.publish("orders", {"id": "7"}, key="k")

        assert (first.duplicate, again.duplicate, again.message_id) == (False, True, first.message_id)
        assert await payloads(subscription, 1) == [FULL]


async def test_sc5_a_publish_is_validated_where_it_enters_and_nowhere_else(pair: Pair) -> None:
    """What came over a link is handed out as it is, with the version of where it was published."""
    await pair.b.channels.evolve("orders", {"type": "string"}, force=True)
    async with pair.there.subscribe("orders", wait="cluster") as subscription:
        outcome = await pair.here.publish("orders", {"id": 7}, ack="nodes")
        with pytest.raises(SchemaRejected):
            await pair.there.publish("orders", {"id": 7})

        found = await message(subscription)
        assert outcome.nodes == {"b": "delivered"}
        assert (found.payload, found.schema) == (FULL, Schema(ORDER).id)
