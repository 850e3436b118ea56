"""CN10: connections behind which the bus fails. One Protocol is the whole of what they ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn, cast

import pytest
from msgspec import structs

from liminal_mesh.cluster import (
    Address,
    ClientPublish,
    Confirm,
    Deliver,
    Disconnect,
    Ended,
    Envelope,
    Failure,
    KeepAlive,
    KeepAliveReply,
    Listener,
    Pid,
    Request,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from liminal_mesh.node.backing import Backing
from liminal_mesh.node.drain import hand_on, part
from liminal_mesh.node.errors import ChannelClosed, DeadlineExceeded
from liminal_mesh.node.exchange import Exchange
from liminal_mesh.node.hub import Hub
from liminal_mesh.node.server import Server
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient

ITEM = Envelope(0, 0, 0, 0, 0, b"x")
PUBLISH = ClientPublish(1, 1, "x", "", 0, [ITEM])


class Defect(Exception):
    """What nobody expects."""


class Failing:
    """The bus of a node, of which some verbs fail as they are told."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.publish: Exception | None = None
        self.unsubscribe: Exception | None = None
        self.flushes: Exception | None = None
        unsubscribe = hub.exchange.unsubscribe

        def fail_to_unsubscribe(subscriber: Any) -> None:
            unsubscribe(subscriber)
            if self.unsubscribe is not None:
                raise self.unsubscribe

        hub.exchange.unsubscribe = fail_to_unsubscribe  # type: ignore[method-assign]

    def __getattr__(self, name: str) -> object:
        return getattr(self.hub, name)

    def in_scope(self, scope: int) -> Exchange:
        """Return where publishes go, or meet a defect."""
        if isinstance(self.publish, Defect):
            raise self.publish
        return self.hub.in_scope(scope)

    def admit(self, who: Pid, verb: str, name: str) -> None:
        """Let a client do something, or refuse it to publish."""
        if verb == "publish" and self.publish is not None:
            raise self.publish
        self.hub.admit(who, verb, name)

    async def flush(self, timeout_s: float) -> None:
        """Hand on to the peers, or fail."""
        if self.flushes is not None:
            raise self.flushes


async def fail_later() -> None:
    """Meet a defect after a while."""
    await asyncio.sleep(1)
    raise Defect("it broke")


class World:
    """A server of clients with a bus behind it that can be made to fail."""

    def __init__(self, cluster: Cluster) -> None:
        hub = cluster["a"].running.hub
        self.bus = Failing(hub)
        self.events = hub.events
        here = cluster._network.host("127.0.0.1")
        listener = Listener("client", Address("127.0.0.1", 0), 16, 8, here, 1.0)
        self.address = listener.open()
        verbs = {"fail": lambda _who, _arguments: fail_later()}
        self.server = Server(cast("Backing", self.bus), listener, cluster["a"].config.limits, verbs, "test")
        self.outside = cluster._network.host("127.0.0.99")

    @asynccontextmanager
    async def client(self) -> AsyncIterator[RawClient]:
        """Be a client of it."""
        async with RawClient.to(self.address, self.outside) as raw:
            await raw.greet()
            yield raw

    def noted(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind."""
        return [event for event in self.events if event["kind"] == kind]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A server that runs."""
    async with Cluster(nodes=1) as cluster:
        world = World(cluster)
        running = asyncio.create_task(world.server.run())
        yield world
        running.cancel()
        await asyncio.wait([running])


async def test_cn10_a_publish_that_is_refused_costs_that_publish(world: World) -> None:
    """With its typed error; the next one goes through."""
    async with world.client() as raw:
        world.bus.publish = ChannelClosed("x")
        raw.send(PUBLISH)
        assert (await raw.expect(Failure)).error == "ChannelClosed"
        world.bus.publish = None
        raw.send(PUBLISH)
        assert (await raw.expect(Confirm)).ref == 1


async def test_cn10_a_publish_that_meets_a_defect_costs_that_connection(world: World) -> None:
    """It is told and noted as one of ours; other connections, and what comes next, go on."""
    async with world.client() as raw, world.client() as other:
        other.send(Subscribe(1, 1, "x", 8, "", 0))
        await other.expect(Subscribed)
        [pid, _] = [one.pid for one in world.server.listed()]
        world.bus.publish = Defect("it broke")
        raw.send(KeepAlive(1), PUBLISH, KeepAlive(2))
        said = await raw.ended()
        assert [type(frame) for frame in said] == [KeepAliveReply, Disconnect]
        assert isinstance(said[-1], Disconnect)
        assert said[-1].code == "internal"
        [crash] = world.noted("connection_crashed")
        assert crash["pid"] == str(pid)
        assert world.bus.hub.processes.reason(pid) == "error: Defect: it broke"
        assert len(world.server.connections) == 1

        world.bus.publish = None
        other.send(PUBLISH)
        assert (await other.expect(Deliver)).items[0].body == b"x"


async def test_cn10_a_request_that_meets_a_defect_later_costs_that_connection(world: World) -> None:
    """Nobody waits for an answer that cannot come; another one goes on."""
    async with world.client() as raw, world.client() as other:
        raw.send(Request(7, "fail", b""), KeepAlive(1))
        assert [type(frame) for frame in await raw.ended()] == [KeepAliveReply, Disconnect]
        [crash] = world.noted("connection_crashed")
        assert world.bus.hub.processes.reason(Pid.parse(crash["pid"])) == "error: Defect: it broke"
        other.send(KeepAlive(2))
        await other.expect(KeepAliveReply)


def broken() -> NoReturn:
    """Meet a defect."""
    raise Defect("it broke")


async def test_cn10_a_message_that_meets_a_defect_on_its_way_to_a_client_costs_that_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears so, and is not left without a word for ever; others get theirs."""
    async with world.client() as raw, world.client() as other:
        for one, channel in ((raw, "x"), (other, "y")):
            one.send(Subscribe(1, 1, channel, 8, "", 0))
            await one.expect(Subscribed)
        [pid, _] = [one.pid for one in world.server.listed()]
        [delivery] = world.server.connections[1].deliveries.held.values()
        monkeypatch.setattr(delivery, "next_frame", broken)
        other.send(PUBLISH, structs.replace(PUBLISH, ref=2, channel="y"))
        [*_, said] = await raw.ended()
        assert isinstance(said, Disconnect)
        assert said.code == "internal"
        [crash] = world.noted("connection_crashed")
        assert crash["pid"] == str(pid)
        assert (await other.expect(Deliver)).channel == "y"


async def test_cn10_an_unsubscribe_that_fails_ends_that_subscription_all_the_same(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The client is told that it is over, and somebody that it failed; the connection lives, and ends as any other."""
    async with world.client() as raw:
        raw.send(Subscribe(1, 1, "x", 8, "", 0), Subscribe(2, 2, "y", 8, "", 0))
        for _ in range(2):
            await raw.expect(Subscribed)
        world.bus.unsubscribe = Defect("it broke")
        raw.send(Unsubscribe(1), KeepAlive(1))
        assert (await raw.expect(Ended)).subscription == 1
        await raw.expect(KeepAliveReply)
        assert world.bus.hub.registry.groups(0).keys() == {"y"}
        assert caplog.text.count("unsubscribe_failed") == 1
    await world.bus.hub.until(lambda: world.server.empty, world.bus.hub.loop.time() + 1)
    assert not world.server.connections
    assert world.bus.hub.registry.groups(0) == {}
    assert caplog.text.count("unsubscribe_failed") == 2


@pytest.mark.parametrize(
    ("error", "kind", "facts"),
    [
        (Defect("it broke"), "flush_failed", {"level": "error"}),
        (DeadlineExceeded("flush", missing=["b"]), "flush_incomplete", {"level": "warning", "missing": ["b"]}),
        (None, "", {}),
    ],
    ids=["defect", "deadline", "well"],
)
async def test_cn10_a_flush_that_fails_is_told_and_nobody_is_kept_by_it(
    world: World, error: Exception | None, kind: str, facts: dict[str, object]
) -> None:
    """Clients are told that the node leaves, and go; then it says that it could not hand on everything."""
    async with world.client() as raw:
        world.bus.flushes = error
        bus, deadline = cast("Backing", world.bus), asyncio.get_running_loop().time() + 30
        parting = asyncio.create_task(part(world.server, bus, "the end", deadline))
        assert await raw.expect(Disconnect) == Disconnect("draining", "the end")
        await raw.close()
        assert await parting
        assert world.server.empty
        assert await hand_on(bus, deadline) is (error is None)
        if kind:
            [noted] = world.noted(kind)
            assert facts.items() <= noted.items()
