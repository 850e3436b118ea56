"""The one permission check: every verb asks it first, for the program's own node and for each client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from liminal_mesh.cluster import Pid
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import NotAuthorized
from liminal_mesh.node.node import Node
from liminal_mesh.node.permission import allow_all
from liminal_mesh.node.process import Process

from ..nodes import node_config


@asynccontextmanager
async def held(kind: str) -> AsyncIterator[tuple[Bus, Node, list[tuple[Pid, str, str]]]]:
    """A bus of a node that denies everything, and what the check was asked."""
    asked: list[tuple[Pid, str, str]] = []

    def deny(who: Pid, verb: str, name: str) -> None:
        asked.append((who, verb, name))
        raise NotAuthorized(verb, name)

    async with Node(node_config("a")) as node:
        node.running.hub.permit = deny
        if kind == "node":
            yield node, node, asked
        else:
            async with connect(f"liminal://{node.addresses['client']}") as client:
                yield client, node, asked


async def publish(bus: Bus, name: str) -> None:
    await bus.publish(name, b"no")


async def subscribe(bus: Bus, name: str) -> None:
    async with bus.subscribe(name):
        raise AssertionError("it was let in")


async def members(bus: Bus, name: str) -> None:
    assert name == ""
    await bus.members()


async def send(bus: Bus, name: str) -> None:
    async with bus.publisher(name) as publisher:
        await publisher.send(b"no")


async def post(bus: Bus, name: str) -> None:
    bus.publish_nowait(name, b"no")
    if not isinstance(bus, Node):  # a client is told by the answer, at its next call
        with pytest.raises(NotAuthorized):
            await send(bus, "m.a")
        bus.publish_nowait(name, b"no")


async def stay(me: Process) -> None:
    raise AssertionError(f"{me} was let in")


async def spawn(bus: Bus, name: str) -> None:
    assert name == ""
    await bus.spawn(stay)


async def monitor(bus: Bus, name: str) -> None:
    assert name == ""
    async with bus.monitor(bus.pid):
        raise AssertionError("it was let in")


async def join(bus: Bus, name: str) -> None:
    await bus.join(name)


async def send_group(bus: Bus, name: str) -> None:
    await bus.send_group(name, b"no")


async def group_members(bus: Bus, name: str) -> None:
    await bus.group_members(name)


async def watch_group(bus: Bus, name: str) -> None:
    async with bus.watch_group(name):
        raise AssertionError("it was let in")


async def watch_members(bus: Bus, name: str) -> None:
    assert name == ""
    async with bus.watch_members():
        raise AssertionError("it was let in")


async def ready(bus: Bus, name: str) -> None:
    assert name == ""
    await bus.ready()


VERBS = [
    (publish, "publish", "ticks"),
    (post, "publish", "ticks"),
    (send, "publish", "ticks"),
    (subscribe, "subscribe", "m.*"),
    (members, "members", ""),
    (spawn, "spawn", ""),
    (monitor, "monitor", ""),
    (join, "join", "my.group"),
    (send_group, "send_group", "my.group"),
    (group_members, "group_members", "my.group"),
    (watch_group, "watch_group", "my.group"),
    (watch_members, "watch_members", ""),
    (ready, "ready", ""),
]


@pytest.mark.parametrize(("use", "verb", "name"), VERBS, ids=[use.__name__ for use, _, _ in VERBS])
@pytest.mark.parametrize("kind", ["node", "client"])
async def test_every_verb_asks_before_it_does_anything(
    kind: str, use: Callable[[Bus, str], Awaitable[None]], verb: str, name: str
) -> None:
    """With who asks, the verb, and the channel; what it denies is refused with both, and nothing is published."""
    async with held(kind) as (bus, node, asked):
        before = node.running.hub.processes.statistics()
        with pytest.raises(NotAuthorized) as refused:
            await use(bus, name)

        assert (refused.value.verb, refused.value.name) == (verb, name)
        assert asked[0] == (bus.pid, verb, name)
        assert node.running.hub.exchange.statistics.published == 0
        assert node.running.hub.exchange.channels.subscriptions == 0
        assert node.running.hub.groups.channels.channels == {}
        assert node.running.hub.groups.channels.groups == {}
        assert node.running.hub.processes.statistics() == before


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_who_may_not_link_is_linked_with_nobody(kind: str) -> None:
    """A link is a way to end the process of somebody else; the program hears of the refusal, or its process does."""

    def no_links(who: Pid, verb: str, name: str) -> None:
        if verb == "link":
            raise NotAuthorized(verb, name)

    async def wait(me: Process) -> None:
        await me.mailbox.__anext__()

    async with held(kind) as (bus, node, _):
        node.running.hub.permit = no_links
        async with node.subscribe("ticks") as subscription:
            process = await bus.spawn(wait)
            if kind == "node":
                with pytest.raises(NotAuthorized):
                    process.link(subscription.id)
                process.exit("error: mine")
            else:
                process.link(subscription.id)
                assert "link" in await process.wait()
            await node.publish("ticks", b"still there")
            assert getattr(await anext(subscription), "body", None) == b"still there"


def test_without_tokens_everything_is_allowed() -> None:
    """Which is why nothing but loopback is listened on by default."""
    allow_all(Pid("a", 1, 1), "publish", "ticks")
