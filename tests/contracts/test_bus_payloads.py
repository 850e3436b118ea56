"""What may be published, and that it arrives as what it was, on every holder of a bus."""

from __future__ import annotations

import dataclasses
import math

import msgspec
import pydantic
import pytest

from .holders import Held, message


class Order(pydantic.BaseModel):
    """A payload as a pydantic model."""

    id: int
    lines: list[str]


@dataclasses.dataclass
class Point:
    """A payload as a dataclass."""

    x: float
    y: float


class Tick(msgspec.Struct):
    """A payload as a msgspec struct."""

    symbol: str
    price: float


PLAIN: list[object] = [
    b"",
    b"\x00\xff raw",
    "",
    "text, also föreign",
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    1.5,
    -math.inf,
    [],
    [1, "two", b"three", None, [4.0]],
    {},
    {"id": 7, "nested": {"deep": [{"deeper": None}]}, "raw": b"\x01"},
    {1: "a number as a key"},
]


@pytest.mark.parametrize("payload", PLAIN, ids=repr)
async def test_a_payload_arrives_as_it_was_published(held: Held, payload: object) -> None:
    """Bytes, text, and whatever msgpack holds; the type too."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", payload)
        received = (await message(subscription)).payload

    assert received == payload
    assert type(received) is type(payload)


@pytest.mark.parametrize("payload", [Order(id=7, lines=["a", "b"]), Point(1.5, -2.0), Tick("X", 1.25)], ids=repr)
async def test_a_model_arrives_and_decodes_as_what_it_was(held: Held, payload: object) -> None:
    """Pydantic models, dataclasses and msgspec structs; the plain payload is their fields."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", payload)
        received = await message(subscription)

    assert received.decode(type(payload)) == payload
    assert isinstance(received.payload, dict)


async def test_a_payload_that_does_not_fit_says_where(held: Held) -> None:
    """To the subscriber who asked for the type."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", {"id": "seven", "lines": []})
        received = await message(subscription)

    with pytest.raises(TypeError, match="Order"):
        received.decode(Order)
    with pytest.raises(TypeError, match="Tick"):
        received.decode(Tick)


@pytest.mark.parametrize("payload", [object(), {"a": object()}, 2**64, {1, 2}, 1j], ids=lambda one: type(one).__name__)
async def test_what_cannot_be_encoded_is_refused_before_anything_is_sent(held: Held, payload: object) -> None:
    """On each of the three ways to publish."""
    async with held.bus.subscribe("ticks") as subscription, held.bus.publisher("ticks") as publisher:
        with pytest.raises(TypeError):
            await held.bus.publish("ticks", payload)
        with pytest.raises(TypeError):
            held.bus.publish_nowait("ticks", payload)
        with pytest.raises(TypeError):
            await publisher.send(payload)
        await held.bus.publish("ticks", "the first")

        assert (await message(subscription)).sequence == 1


async def test_headers_arrive_beside_the_payload(held: Held) -> None:
    """Also without any, and on each of the three ways to publish."""
    headers = {"content-type": "text/plain", "": "ä"}
    async with held.bus.subscribe("ticks") as subscription, held.bus.publisher("ticks") as publisher:
        await held.bus.publish("ticks", b"1", headers=headers)
        held.bus.publish_nowait("ticks", b"2", headers=headers)
        await publisher.send(b"3", headers=headers)
        await publisher.flush()
        await held.bus.publish("ticks", b"4", headers={})
        received = [await message(subscription) for _ in range(4)]

    assert [one.headers for one in received] == [headers, headers, headers, {}]
    assert [one.payload for one in received] == [b"1", b"2", b"3", b"4"]


async def test_a_header_that_is_no_text_is_refused(held: Held) -> None:
    """With its name."""
    with pytest.raises(TypeError, match="count"):
        await held.bus.publish("ticks", b"", headers={"count": 1})  # type: ignore[dict-item]
