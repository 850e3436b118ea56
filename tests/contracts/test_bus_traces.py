"""Trace contexts of messages: on a node, and on a client of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.receiver import Receiver
from liminal_mesh.node.trace import TraceContext

from .holders import Held, Pair, take

CONTEXT = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1, "rojo=00f067aa0ba902b7")
SPAN = "00f067aa0ba902b7"

Send = Callable[[Bus, Mapping[str, str]], Awaitable[object]]


async def publish(bus: Bus, headers: Mapping[str, str]) -> None:
    await bus.publish("ticks", b"", headers=headers)


async def publish_nowait(bus: Bus, headers: Mapping[str, str]) -> None:
    bus.publish_nowait("ticks", b"", headers=headers)


async def pipeline(bus: Bus, headers: Mapping[str, str]) -> None:
    async with bus.publisher("ticks") as publisher:
        await publisher.send(b"", headers=headers)


EACH_WAY = pytest.mark.parametrize("send", [publish, publish_nowait, pipeline])


async def taken(subscription: Receiver, count: int = 1) -> list[Message]:
    items = await take(subscription, count)
    return [item for item in items if isinstance(item, Message)]


def dropped(node: Node) -> int:
    return node.running.hub.exchange.statistics.traces_dropped


@EACH_WAY
async def test_tr1_a_context_crosses_nodes_in_headers_unchanged(pair: Pair, send: Send) -> None:
    """And what is published with it belongs to the same trace, on the way back too."""
    async with (
        pair.there.subscribe("ticks", wait="cluster") as there,
        pair.here.subscribe("m.answer", wait="cluster") as here,
    ):
        await send(pair.here, {**CONTEXT.headers(), "k": "v"})
        (message,) = await taken(there)
        assert message.headers == {**CONTEXT.headers(), "k": "v"}
        assert message.trace == CONTEXT

        await pair.there.publish("m.answer", b"", headers=message.trace.headers())
        await pair.there.publish("m.answer", b"", headers=message.trace.child(SPAN).headers())
        inherited, child = await taken(here, 2)
        assert inherited.trace == CONTEXT
        assert child.trace == CONTEXT.child(SPAN)
    assert dropped(pair.a) == dropped(pair.b) == 0


@EACH_WAY
async def test_tr1_a_malformed_context_is_dropped_and_counted_and_its_message_goes_on(held: Held, send: Send) -> None:
    """With all its other headers."""
    async with held.bus.subscribe("ticks") as subscription:
        await send(held.bus, {"traceparent": "00-x", "tracestate": "a=1", "k": "v"})
        (message,) = await taken(subscription)
    assert (message.headers, message.trace) == ({"k": "v"}, None)
    assert dropped(held.node) == 1


async def test_tr1_what_is_sent_to_a_group_has_its_context_too(held: Held) -> None:
    """Its members read it from their mailboxes."""
    await held.bus.join("jobs")
    await held.bus.send_group("jobs", b"", headers=CONTEXT.headers())
    await held.bus.send_group("jobs", b"", headers={"traceparent": ""})
    one, other = await taken(held.bus.mailbox, 2)
    assert (one.trace, other.trace) == (CONTEXT, None)
    assert dropped(held.node) == 1


async def test_a_message_without_headers_has_no_trace(held: Held) -> None:
    """Nothing is made up."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", b"")
        (message,) = await taken(subscription)
    assert message.trace is None
