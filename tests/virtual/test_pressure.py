"""Publishers that are slowed by pressure, in virtual time, where a rate is exact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import NamedTuple, NoReturn

import msgspec
import pytest

from liminal_mesh.cluster import ClientPublish, Credit, Envelope, Failure, OptionKey
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.config import ChannelConfig, InboxConfig, PressureConfig
from liminal_mesh.node.errors import Busy, ChannelClosed, DeadlineExceeded, Draining, OutcomeUnknown
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.pressure import Severity
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.testing import Cluster

from ..contracts.holders import eventually
from .test_shedding import raw

RATE = 100
FACTOR = 4.0
CHANNELS = [
    ChannelConfig(name="brake", inbox=InboxConfig(messages=9900), pressure=[PressureConfig(at=0.02, slow=FACTOR)]),
    ChannelConfig(name="other"),
]


class Braked(NamedTuple):
    """A channel of which 200 messages wait, and whose publishers are slowed to a quarter of what they did."""

    cluster: Cluster
    bus: Bus
    node: Node
    subscription: Subscription
    rate: float
    """Publishes a second, as they are to be now."""

    @property
    def published(self) -> int:
        """How many were published on it so far."""
        return self.node.running.hub.exchange.channels.channels["brake"].sequence

    @property
    def slowed(self) -> bool:
        """Whether its publishers are slowed."""
        return self.node.running.hub.exchange.resolve("brake").slowed


@asynccontextmanager
async def braked(kind: str, **limits: int) -> AsyncIterator[Braked]:
    """Hold such a channel."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(nodes=1, channels=CHANNELS, config={"limits": limits}))
        node = cluster["a"]
        bus = node if kind == "node" else await stack.enter_async_context(cluster.client("a", name="publisher"))
        subscription = await stack.enter_async_context(node.subscribe("brake", max_in_flight=100))
        begun = cluster.now
        for _ in range(200):
            assert not node.running.hub.exchange.resolve("brake").slowed
            await bus.publish("brake", b"")
            await asyncio.sleep(1 / RATE)
        held = Braked(cluster, bus, node, subscription, 200 / (cluster.now - begun) / FACTOR)
        assert held.slowed
        yield held


async def one_by_one(bus: Bus) -> None:
    """Publish as fast as before, if one could."""
    while True:
        await bus.publish("brake", b"", timeout=60)
        await asyncio.sleep(0.9 / RATE)


async def without_waiting(bus: Bus) -> None:
    """The same without an answer."""
    while True:
        try:
            bus.publish_nowait("brake", b"")
        except Busy:
            await bus.writable("brake")
            continue
        await asyncio.sleep(1 / RATE)


async def windowed(bus: Bus) -> None:
    """The same, with a few in flight."""
    async with bus.publisher("brake", window=8, timeout=60) as publisher:
        while True:
            await publisher.send(b"")


async def many(bus: Bus) -> None:
    """The same, from many tasks."""
    await asyncio.gather(*(one_by_one(bus) for _ in range(7)))


@pytest.mark.parametrize("kind", ["node", "client"])
@pytest.mark.parametrize("publish", [one_by_one, without_waiting, windowed, many])
async def test_publishers_are_slowed_to_a_part_of_their_rate(kind: str, publish: object) -> None:
    """PR3: however they publish, and however many they are; afterwards they are as fast as they like."""
    async with braked(kind) as held:
        before = held.published
        publishing = asyncio.create_task(publish(held.bus))  # type: ignore[operator]
        await asyncio.sleep(8)
        assert 8 * held.rate * 0.9 <= held.published - before <= 8 * held.rate * 1.1 + 8
        publishing.cancel()
        await asyncio.wait([publishing])
        while held.slowed or held.subscription.statistics.waiting:  # what still waits goes on, too
            await asyncio.sleep(1)
            while held.subscription.statistics.waiting:
                await anext(held.subscription)
        begun = held.cluster.now
        for _ in range(100):
            await held.bus.publish("brake", b"")
        assert held.cluster.now - begun < 1


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_nothing_else_is_held_up(kind: str) -> None:
    """PR3: other channels, and requests on the same connection, pass what waits; order is kept."""
    async with braked(kind) as held, held.node.subscribe("other") as other:
        flood = [asyncio.create_task(held.bus.publish("brake", number, timeout=60)) for number in range(100)]
        await asyncio.sleep(0.1)
        begun = held.cluster.now
        await held.bus.publish("other", 1)
        assert len(await held.bus.members()) == 1
        await anext(other)
        assert held.cluster.now - begun < 0.1
        assert not all(task.done() for task in flood)
        await asyncio.gather(*flood)
        assert 95 / held.rate < held.cluster.now - begun < 105 / held.rate
        items = [await anext(held.subscription) for _ in range(300)]

    assert [item.payload for item in items[200:]] == list(range(100))  # type: ignore[union-attr]


async def test_clients_share_what_there_is() -> None:
    """PR3: one that floods takes nothing from one that does not, nor from the node's own program."""
    async with braked("client") as held, held.cluster.client("a", name="flood") as flooding:
        for _ in range(3000):
            flooding.publish_nowait("brake", b"flood")
        await asyncio.sleep(0.1)
        for bus in (held.bus, held.node, held.bus, held.node):
            begun = held.cluster.now
            await bus.publish("brake", b"")
            assert held.cluster.now - begun < 0.25


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_a_publish_whose_time_is_up_was_not_sent(kind: str) -> None:
    """PR3: said by the error, if the node could say it in time; and nothing of it comes later."""
    async with braked(kind) as held:
        tasks = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(40)]
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded) as error:
            await held.bus.publish("brake", b"", timeout=0.5)
        assert not error.value.sent
        await asyncio.gather(*tasks)
        await asyncio.sleep(5)
        assert held.published == 240


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_stopping_ends_who_waits(kind: str) -> None:
    """PR3: nobody waits for a node that stops."""
    async with braked(kind) as held:
        tasks = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(50)]
        await asyncio.sleep(0.5)
        await held.cluster.stop("a")
        async with asyncio.timeout(5):
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, Exception) for one in done) > 10


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_a_node_that_drains_refuses_who_waits(kind: str) -> None:
    """PR3, HC3: at once and by name, so that they can go elsewhere, however long their turn would take to come."""
    async with braked(kind) as held:
        async with held.node.publisher("brake") as publisher:
            for _ in range(100):  # in one turn, so that nobody else has one for seconds
                await publisher.send(b"")
        tasks = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(50)]
        await asyncio.sleep(0.1)
        begun = held.cluster.now
        stopping = asyncio.create_task(held.cluster.stop("a"))
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert held.cluster.now - begun < 0.2
        assert {type(one) for one in done} == {Draining}
        await stopping


async def flood(bus: Bus) -> None:
    """Publish much more than may wait."""
    for _ in range(20):
        await bus.writable("brake")
        bus.publish_nowait("brake", b"x" * 900_000)
        await asyncio.sleep(0.002)


async def test_so_much_of_a_client_waits_and_no_more() -> None:
    """PR3: then it is refused, and hears of that at its next call; what waits goes on, and so does the connection."""
    async with braked("client") as held:
        with pytest.raises(Busy, match="pressure on channel 'brake'") as error:
            await flood(held.bus)
        assert error.value.retry_after >= 0.01
        assert len(await held.bus.members()) == 1
        await asyncio.sleep(5)
        assert 209 <= held.published <= 215
        with suppress(Busy):  # of what was on its way when the first refusal came
            await held.bus.writable("brake")
        for _ in range(6):  # there is room again
            held.bus.publish_nowait("brake", b"x" * 900_000)
            await held.bus.writable("brake")
        await asyncio.sleep(1)
        await held.bus.writable("brake")


@pytest.mark.parametrize("bound", ["slowed_bytes_connection", "slowed_bytes_node"])
async def test_what_waits_of_clients_is_bounded(bound: str) -> None:
    """PR3: for each, and for all together; who is gone or has had its turn leaves the room to others."""
    limits = {"max_frame": 1_000_000, "slowed_bytes_connection": 3_000_000, "slowed_bytes_node": 3_000_000}
    if bound == "slowed_bytes_connection":
        limits["slowed_bytes_node"] = 30_000_000
    async with braked("client", **limits) as held, held.cluster.client("a", name="other") as other:
        waiting = [asyncio.create_task(held.node.publish("brake", b"", timeout=60)) for _ in range(100)]
        await asyncio.sleep(0)
        large = [asyncio.create_task(held.bus.publish("brake", bytes(900_000), timeout=60)) for _ in range(3)]
        await eventually(lambda: held.node.running.server.slowed.used > 2_700_000)
        whose = held.bus if bound == "slowed_bytes_connection" else other
        with pytest.raises(Busy, match="pressure on channel 'brake'"):
            await whose.publish("brake", bytes(900_000), timeout=60)
        if bound == "slowed_bytes_connection":
            others = asyncio.create_task(other.publish("brake", bytes(900_000), timeout=60))
            await asyncio.gather(*waiting, *large, others)
        else:
            [connection] = [one for one in held.node.connections() if one.client == "publisher"]
            await held.node.disconnect(connection.pid)
            await asyncio.gather(*waiting, *large, return_exceptions=True)
        for _ in range(4):
            await whose.publish("brake", bytes(900_000), timeout=60)
        assert held.node.running.server.slowed.used == 0


async def test_what_waits_of_a_client_that_is_gone_was_not_published() -> None:
    """PR3: its connection took it with it, and nobody else waits any longer for that."""
    async with braked("node") as held, held.cluster.client("a", name="hasty") as hasty:
        for _ in range(500):
            hasty.publish_nowait("brake", b"")
        await hasty.members()
        [connection] = held.node.connections()
        await held.node.disconnect(connection.pid)
        await asyncio.sleep(1)
        before = held.published
        await asyncio.sleep(5)
        assert held.published == before < 300
        await held.bus.publish("brake", b"")


async def test_a_fan_out_is_looked_at_now_and_then() -> None:
    """PR3: a score over many consumers is not made at each publish; and it is not missed when nobody publishes."""
    rules = [PressureConfig(at=0.5, alert="warning"), PressureConfig(at=1.0, alert="critical")]
    wide = ChannelConfig(name="wide", inbox=InboxConfig(messages=6), pressure=rules)
    async with Cluster(nodes=1, channels=[wide]) as cluster, AsyncExitStack() as stack:
        node = cluster["a"]
        for _ in range(100):
            await stack.enter_async_context(node.subscribe("wide", max_in_flight=4))
        press = node.running.hub.exchange.resolve("wide").press
        assert press is not None
        for _ in range(5):
            await node.publish("wide", b"")
        assert not press.pressure.reached
        await asyncio.sleep(0.2)
        assert [event["kind"] for event in node.running.hub.events if event["level"] == "warning"] == [
            "pressure_reached"
        ]
        for _ in range(5):
            await node.publish("wide", b"")
        await asyncio.sleep(0.2)
        assert [policy.at for policy in press.pressure.reached] == [0.5, 1.0]


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_closing_a_channel_refuses_what_waits(kind: str) -> None:
    """PR3: at once, whoever it is of; when it is declared again, nobody is slowed."""
    async with braked(kind) as held:
        tasks = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(300)]
        await asyncio.sleep(0.5)
        await held.node.channels.close("brake")
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, ChannelClosed) for one in done) > 250
        await held.node.channels.create(CHANNELS[0])
        begun = held.cluster.now
        for _ in range(100):
            await held.bus.publish("brake", b"")
        assert held.cluster.now - begun < 1
        assert not held.slowed


async def test_a_group_of_the_same_name_is_not_slowed() -> None:
    """PR3: what is sent to it waits for no channel, also while publishes of the same client do."""
    async with braked("client") as held:
        await held.node.join("brake")
        for _ in range(200):
            held.bus.publish_nowait("brake", b"")
        await asyncio.sleep(0.1)
        begun = held.cluster.now
        outcome = await held.bus.send_group("brake", b"at once")
        assert outcome.local == 1
        assert held.cluster.now - begun < 0.1
        item = await anext(held.node.mailbox)
        assert isinstance(item, Message)
        assert item.payload == b"at once"


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_who_gives_up_waits_no_more(kind: str) -> None:
    """PR3: whoever tries again and again while nothing goes on leaves nothing behind for each time."""
    async with braked(kind) as held:
        press = held.node.running.hub.exchange.resolve("brake").press
        assert press is not None
        patient = [asyncio.create_task(held.node.publish("brake", b"", timeout=60)) for _ in range(100)]
        await asyncio.sleep(0)
        for number in range(30):
            if kind == "node":
                with pytest.raises(DeadlineExceeded):
                    await held.bus.publish("brake", b"", timeout=0.001)
            else:
                async with held.cluster.client("a", name=f"hasty{number}") as hasty:
                    hasty.publish_nowait("brake", b"")
                    await hasty.members()
                    [connection] = [one for one in held.node.connections() if one.client.startswith("hasty")]
                    await held.node.disconnect(connection.pid)
        assert 0 < len(press.throttle._queue) <= sum(not one.done() for one in patient)
        await asyncio.gather(*patient)


async def test_a_key_that_is_none_stops_nobody_else() -> None:
    """PR3: it is refused when its turn comes, and the turns go on."""
    async with braked("node") as held, AsyncExitStack() as stack:
        client = await raw(held.cluster, stack)
        flood = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(10)]
        await asyncio.sleep(0)
        bad = Envelope(0, 0, 0, 0, 0, b"", {OptionKey.KEY: msgspec.Raw(b"\xa1\xff")})
        client.send(ClientPublish(1, 2, "brake", "", 60_000, [bad]))
        assert (await client.expect(Failure)).error == "ProtocolError"
        async with asyncio.timeout(5):
            await asyncio.gather(*flood)


async def test_a_defect_in_a_turn_costs_the_connection_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """PR3, CN1: as one in a frame does; the turns of the others go on."""

    def broken(*_: object) -> NoReturn:
        raise ArithmeticError("planted")

    async with braked("client") as held:
        waiting = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(3)]
        await held.bus.members()
        others = [asyncio.create_task(held.node.publish("brake", b"", timeout=60)) for _ in range(3)]
        [connection] = held.node.running.server.connections.values()
        monkeypatch.setattr(connection._intake, "_publish", broken)
        async with asyncio.timeout(5):
            done = await asyncio.gather(*waiting, return_exceptions=True)
            await asyncio.gather(*others)
        assert sum(isinstance(one, OutcomeUnknown) for one in done) >= 2
        [crash] = [event for event in held.node.running.hub.events if event["kind"] == "connection_crashed"]
        assert (crash["pid"], crash["frame"]) == (str(connection.pid), "ClientPublish")


async def test_a_smaller_factor_counts_at_once() -> None:
    """PR3: whoever waits for what the larger one wanted does not go on waiting for that."""
    policies = [PressureConfig(at=0.02, slow=2.0), PressureConfig(at=0.5, slow=1000.0)]
    steep = ChannelConfig(name="steep", inbox=InboxConfig(messages=300), pressure=policies)
    async with Cluster(nodes=1, channels=[steep]) as cluster:
        node = cluster["a"]
        async with node.subscribe("steep", max_in_flight=100) as subscription:
            for _ in range(205):
                await node.publish("steep", b"", timeout=60)
                await asyncio.sleep(0.005)
            channel = node.running.hub.exchange.resolve("steep")
            assert channel.press is not None
            assert channel.press.throttle.factor == 1000.0
            waiting = asyncio.create_task(node.publish("steep", b"", timeout=60))
            await asyncio.sleep(1)
            assert not waiting.done()
            for _ in range(150):
                await anext(subscription)
            async with asyncio.timeout(1):
                await waiting
            assert channel.press.throttle.factor == 2.0


@pytest.mark.parametrize(
    ("alert", "level"),
    [(None, "info"), ("info", "info"), ("warning", "warning"), ("error", "error"), ("critical", "error")],
)
async def test_an_alert_is_an_event_of_its_severity(alert: Severity | None, level: str) -> None:
    """PR3: with the signal, and with all that applies; its end is nothing to be alarmed about."""
    rule = PressureConfig(at=0.5, alert=alert, signal="scale-out", slow=2.0, shed_below=3)
    channel = ChannelConfig(name="alarm", inbox=InboxConfig(messages=6), pressure=[rule])
    async with Cluster(nodes=1, channels=[channel]) as cluster:
        node = cluster["a"]
        async with node.subscribe("alarm", max_in_flight=4) as subscription:
            for _ in range(5):
                await node.publish("alarm", b"")
            for _ in range(5):
                await anext(subscription)
            await asyncio.sleep(1.2)
        events = [event for event in node.running.hub.events if event["kind"].startswith("pressure")]

    reached, over = events
    said = {"channel": "alarm", "threshold": 0.5, "slow": 2.0, "shed_below": 3, "signal": "scale-out"}
    said |= {} if alert is None else {"alert": alert}
    assert (reached["kind"], reached["level"], reached["score"]) == ("pressure_reached", level, 0.5)
    assert (over["kind"], over["level"], over["score"]) == ("pressure_over", "info", 0.1)
    for event in events:
        assert {key: event[key] for key in event if key in {*said, "alert"}} == said


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_consumers_that_are_gone_signal_nothing(kind: str) -> None:
    """PR3: whatever they had waiting, and whatever comes for them late; neither score nor event nor channel is made."""
    rule = PressureConfig(at=0.5, signal="scale-out")
    channel = ChannelConfig(name="m.*", inbox=InboxConfig(messages=6), pressure=[rule])
    async with Cluster(nodes=2, channels=[channel]) as cluster, AsyncExitStack() as stack:
        node, hub = cluster["a"], cluster["a"].running.hub
        bus = node if kind == "node" else await stack.enter_async_context(cluster.client("a"))
        async with bus.subscribe("m.*", max_in_flight=4, wait="cluster"):
            for _ in range(4):
                await node.publish("m.a", b"")
        while hub.exchange.channels.subscriptions:  # noqa: ASYNC110 - before the other node hears of it
            await asyncio.sleep(0.00001)
        for _ in range(20):
            cluster["b"].publish_nowait("m.late", b"")
            await node.publish("m.a", b"")
        client = await raw(cluster, stack)
        client.send(Credit(1, 100))
        await asyncio.sleep(1)

        assert hub.shared.statistics.stale_forward == 20
        assert not [event for event in hub.events if event["kind"].startswith("pressure")]
        press = hub.exchange.resolve("m.a").press
        assert press is not None
        assert (press.score(), press.pressure.reached) == (0.0, ())
        assert "m.late" not in hub.exchange.channels.channels
        assert hub.throttles.by("m.a") == {}
