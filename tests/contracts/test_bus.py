"""What every holder of a bus may rely on: messages, names, sizes, and its life."""

from __future__ import annotations

import asyncio
import time

import pytest

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.client import Client
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import ChannelNotConfigured, Draining, LimitExceeded, NoConnection
from liminal_mesh.node.node import Node
from liminal_mesh.storage import LiminalError, Refused

from ..nodes import DEADLINE_S, node_config
from .holders import Held, Over, message, payloads, take


async def test_a_message_tells_where_it_comes_from(held: Held) -> None:
    """Its attributes, as on any ephemeral channel."""
    before = time.time()
    async with held.bus.subscribe("ticks") as subscription:
        outcome = await held.bus.publish("ticks", b"1")
        second = await held.bus.publish("ticks", b"2")
        one, two = await message(subscription), await message(subscription)

    assert (one.channel, one.origin, one.epoch) == ("ticks", "a", held.node.epoch)
    assert (one.id, two.id) == (outcome.message_id, second.message_id)
    assert one.id < two.id
    assert (one.sequence, two.sequence) == (1, 2)
    assert one.publisher == held.bus.pid
    assert before - 0.01 <= one.published_at <= time.time()
    assert (one.log, one.causal, one.redelivered, one.attempt) == (None, None, False, 1)
    assert one.body == b"1"
    await one.ack()


async def test_sequences_count_each_channel_by_itself(held: Held) -> None:
    """Ids do not."""
    async with held.bus.subscribe("m.*") as subscription:
        ids = [(await held.bus.publish(channel, b"")).message_id for channel in ("m.x", "m.y", "m.x", "m.y", "m.y")]
        received = [await message(subscription) for _ in ids]

    assert [(one.channel, one.sequence) for one in received] == [
        ("m.x", 1), ("m.y", 1), ("m.x", 2), ("m.y", 2), ("m.y", 3)
    ]  # fmt: skip
    assert ids == sorted(set(ids))


async def test_an_unknown_channel_names_the_nearest(held: Held) -> None:
    """Whatever is done with it."""
    with pytest.raises(ChannelNotConfigured, match="did you mean 'ticks'") as publish:
        await held.bus.publish("tick", b"")
    assert (publish.value.channel, publish.value.nearest) == ("tick", "ticks")

    with pytest.raises(ChannelNotConfigured, match="ticks"):
        async with held.bus.subscribe("tick"):
            pass
    with pytest.raises(ChannelNotConfigured, match="ticks"):
        async with held.bus.publisher("tick") as publisher:
            await publisher.send(b"")
    with pytest.raises(ChannelNotConfigured, match="ticks"):
        await _nowait_twice(held.bus, "tick")
    with pytest.raises(ChannelNotConfigured):
        await held.bus.publish("m.too.deep", b"")


async def _nowait_twice(bus: Bus, channel: str) -> None:
    """Publish twice: a client hears at the second what became of the first."""
    bus.publish_nowait(channel, b"")
    await bus.members()
    bus.publish_nowait(channel, b"")


BAD_NAMES = ["", "a b", "a..b", ".a", "a.", "$sys", "a/b", "ä", "a" * 257, "x\n"]


@pytest.mark.parametrize("name", [*BAD_NAMES, "m.*", ">", "m.>", "m.b c"])
async def test_a_name_that_is_none_cannot_be_published_on(held: Held, name: str) -> None:
    """A pattern is no name of a channel; a family does not cover what is no name."""
    with pytest.raises(ValueError):
        await held.bus.publish(name, b"")
    with pytest.raises(ValueError):
        held.bus.publish_nowait(name, b"")
    with pytest.raises(ValueError):
        async with held.bus.publisher(name) as publisher:
            await publisher.send(b"")

    await held.bus.publish("ticks", b"the bus is unharmed")


@pytest.mark.parametrize("name", [*BAD_NAMES, "a.>.b", "a*", "*b", "**", "a.>>"])
async def test_a_pattern_that_is_none_cannot_be_subscribed_to(held: Held, name: str) -> None:
    """And harms nothing."""
    with pytest.raises(ValueError):
        async with held.bus.subscribe(name):
            pass

    await held.bus.publish("ticks", b"the bus is unharmed")


@pytest.mark.parametrize("pattern", [">", "*", "m.>", "nothing.*", "not.yet.>"])
async def test_a_wildcard_that_matches_nothing_yet_is_accepted(held: Held, pattern: str) -> None:
    """It costs nothing until something matches."""
    async with held.bus.subscribe(pattern) as subscription:
        assert subscription.statistics.waiting == 0


@pytest.mark.parametrize(
    ("pattern", "expected"), [("m.*", ["m.a", "m.b"]), (">", ["ticks", "m.a", "m.b"]), ("*", ["ticks"])]
)
async def test_a_pattern_gets_what_it_covers(held: Held, pattern: str, expected: list[str]) -> None:
    """In the order of publication, over all of its channels."""
    async with held.bus.subscribe(pattern) as subscription:
        for channel in ("ticks", "m.a", "m.b"):
            await held.bus.publish(channel, channel)

        assert await payloads(subscription, len(expected)) == expected


@pytest.mark.parametrize("credit", [0, -1])
async def test_a_credit_of_nothing_is_refused(held: Held, credit: int) -> None:
    """And the bus goes on."""
    with pytest.raises(ValueError, match="max_in_flight"):
        async with held.bus.subscribe("ticks", max_in_flight=credit):
            pass
    with pytest.raises(ValueError, match="window"):
        held.bus.publisher("ticks", window=credit)

    await held.bus.publish("ticks", b"the bus is unharmed")


@pytest.mark.parametrize("headers", [{}, {"h": "x" * (1 << 20)}], ids=["body", "headers"])
async def test_an_oversize_message_is_refused_with_the_name_of_the_limit(held: Held, headers: dict[str, str]) -> None:
    """On each of the three ways to publish, and nothing of it is sent."""
    body = b"" if headers else b"x" * (1 << 20)
    async with held.bus.subscribe("ticks") as subscription, held.bus.publisher("ticks") as publisher:
        with pytest.raises(LimitExceeded) as error:
            await held.bus.publish("ticks", body, headers=headers)
        assert (error.value.name, error.value.limit) == ("max_frame", 1 << 20)
        with pytest.raises(LimitExceeded):
            held.bus.publish_nowait("ticks", body, headers=headers)
        with pytest.raises(LimitExceeded):
            await publisher.send(body, headers=headers)
        large = b"x" * ((1 << 20) - 2048)
        await held.bus.publish("ticks", large)

        received = await message(subscription)
    assert (received.sequence, received.payload == large) == (1, True)


async def test_an_envelope_has_a_limit_of_its_own(held: Held) -> None:
    """So that headers cannot grow into bodies."""
    with pytest.raises(LimitExceeded) as error:
        await held.bus.publish("ticks", b"", headers={"h": "x" * (70 << 10)})

    assert error.value.name == "envelope"
    assert isinstance(error.value, Refused)


async def test_the_suite_holds_a_bus(held: Held) -> None:
    """One protocol, two ways to hold it."""
    assert isinstance(held.bus, Bus)
    assert held.bus.pid.node == "a"
    assert held.bus.pid.epoch == held.node.epoch


async def test_a_lone_node_is_the_only_member(held: Held) -> None:
    """It is alive, and knows itself."""
    [member] = await held.bus.members()

    assert (member.name, member.epoch, member.state, member.reachable) == ("a", held.node.epoch, "alive", True)


async def test_a_draining_node_refuses_by_that_name(held: Held) -> None:
    """Everything new: publishes of each kind, and subscriptions."""
    publisher = held.bus.publisher("ticks")
    held.node.running.hub.draining = True

    with pytest.raises(Draining):
        await held.bus.publish("ticks", b"")
    with pytest.raises(Draining):
        async with held.bus.subscribe("ticks"):
            pass
    with pytest.raises(Draining):
        async with publisher:
            await publisher.send(b"")
    with pytest.raises(Draining):
        await _nowait_twice(held.bus, "ticks")


async def _use(bus: Bus) -> list[BaseException]:
    """Use each verb; return what each raised."""

    async def nowait() -> None:
        bus.publish_nowait("ticks", b"")

    async def publisher() -> None:
        async with bus.publisher("ticks") as one:
            await one.send(b"")

    async def subscribe() -> None:
        async with bus.subscribe("ticks"):
            pass

    verbs = (bus.publish("ticks", b""), bus.writable("ticks"), bus.members(), nowait(), publisher(), subscribe())
    async with asyncio.timeout(DEADLINE_S):
        results = await asyncio.gather(*verbs, return_exceptions=True)
    assert all(isinstance(result, BaseException) for result in results), results
    return [result for result in results if isinstance(result, BaseException)]


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_a_bus_that_was_not_started_says_so(kind: str) -> None:
    """Whatever is asked of it."""
    bus: Node | Client = Node(node_config("a")) if kind == "node" else connect("liminal://127.0.0.1:1")

    for error in await _use(bus):
        assert isinstance(error, RuntimeError | NoConnection), repr(error)
        assert "not running" in str(error) or "not open" in str(error)


async def test_a_bus_that_was_closed_says_so(held: Held) -> None:
    """A publisher and a subscription that were left over, too."""
    publisher, subscription = held.bus.publisher("ticks"), held.bus.subscribe("ticks")
    await subscription.__aenter__()
    await held.bus.publish("ticks", b"taken")
    if isinstance(held.bus, Client):
        await held.bus.close()
    else:
        await held.node.stop()

    for error in await _use(held.bus):
        assert isinstance(error, RuntimeError | NoConnection), repr(error)
        assert "not running" in str(error) or "not open" in str(error)
    with pytest.raises(LiminalError):
        async with publisher:
            await publisher.send(b"")
    if not isinstance(held.bus, Client):
        await take(subscription, 1)
    with pytest.raises(Over):
        await take(subscription, 2)


async def test_a_node_that_is_told_to_stop_refuses_by_name_until_it_has_stopped() -> None:
    """A program's other tasks learn that it drains, not that it was never there."""
    async with Node(node_config("a")) as node:
        stopping = asyncio.create_task(node.stop())
        while not node.running.hub.draining:  # noqa: ASYNC110 - it begins in one of the next turns
            await asyncio.sleep(0)

        with pytest.raises(Draining):
            await node.publish("ticks", b"")
        assert await stopping
