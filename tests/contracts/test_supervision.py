"""CH1: every channel is a supervised process of its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from liminal_mesh.cluster import SCOPES
from liminal_mesh.node.bell import Bell
from liminal_mesh.node.config import ChannelConfig, InboxConfig, LimitsConfig, RestartConfig
from liminal_mesh.node.errors import ChannelFailed, DeadlineExceeded, NoProcess
from liminal_mesh.node.inbox import Inbox, Run
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process
from liminal_mesh.node.status import channels as channels_document
from liminal_mesh.node.values import Gap, GroupSnapshot, Joined, Left

from ..nodes import DEADLINE_S, mesh, node_config, until
from .holders import Pair, holder, message, payloads, take

POISON = b"poison"


class Poisoned(Exception):
    """What a delivery crashes with here."""


CHANNELS = (
    ChannelConfig(name="ticks", restart=RestartConfig(attempts=2, within=3600)),
    ChannelConfig(name="never", restart=RestartConfig(attempts=0)),
    ChannelConfig(name="m.*", restart=RestartConfig(attempts=0)),
    ChannelConfig(name="strict", restart=RestartConfig(attempts=0), inbox=InboxConfig(overflow="reject")),
    ChannelConfig(name="choosy", restart=RestartConfig(attempts=2, within=3600), inbox=InboxConfig(overflow="reject")),
)


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the inboxes with a credit of 7 crash on one payload: a defect in the delivery to one subscriber."""
    offer = Inbox.offer

    def crash(self: Inbox, run: Run) -> int:
        if self.credit == 7 and any(item.body == POISON for item in run.items):
            raise Poisoned("it was poisoned")
        return offer(self, run)

    monkeypatch.setattr(Inbox, "offer", crash)


@pytest.fixture(params=["node", "client"])
async def pair(request: pytest.FixtureRequest, poison: None) -> AsyncIterator[Pair]:
    """Two linked nodes; the crashes are at ``b``, and ``there`` holds it."""
    async with mesh(2, channels=CHANNELS) as (a, b), holder(request.param, b) as there:
        yield Pair(a, there, a, b)


def listed(node: Node, name: str) -> dict[str, object]:
    """Return what the status page says of a channel."""
    found: list[dict[str, object]] = channels_document(node.running)["channels"]
    return next(one for one in found if one["name"] == name)


@pytest.mark.parametrize("at", ["a", "b"])
async def test_ch1_a_crash_restarts_the_channel_and_costs_only_the_subscriber_that_it_was_in(
    pair: Pair, at: str
) -> None:
    """The others get the very message, and what follows; the one is told; other channels see nothing of it."""
    publisher = pair.a if at == "a" else pair.b
    async with (
        pair.there.subscribe("ticks", max_in_flight=7, wait="cluster") as sick,
        pair.there.subscribe("ticks", wait="cluster") as well,
        pair.there.subscribe("never", wait="cluster") as other,
    ):
        await publisher.publish("ticks", b"1", ack="nodes")
        before = listed(pair.b, "ticks")
        outcome = await publisher.publish("ticks", POISON, ack="nodes")
        await publisher.publish("ticks", b"3", ack="nodes")
        await publisher.publish("never", b"4", ack="nodes")

        assert await payloads(well, 3) == [b"1", POISON, b"3"]
        assert (await message(other)).payload == b"4"
        assert (await message(sick)).payload == b"1"
        with pytest.raises(NoProcess, match="it was poisoned"):
            await take(sick, 1)
        assert outcome.delivered
        after = listed(pair.b, "ticks")
        assert (after["state"], after["restarts"]) == ("open", 1)
        assert after["pid"] != before["pid"]
        assert listed(pair.b, "never")["restarts"] == 0


@pytest.mark.parametrize("group", [None, "g"])
async def test_ch1_what_is_looked_at_one_by_one_crashes_on_a_subscriber_once(pair: Pair, group: str | None) -> None:
    """It is gone after the first: the rest of its batch does not use up what the channel's budget still has."""
    async with (
        pair.b.subscribe("choosy", group=group, max_in_flight=7) as sick,
        pair.b.subscribe("choosy", group=group, max_in_flight=100) as well,
        pair.b.publisher("choosy") as publisher,
    ):
        for _ in range(8):
            await publisher.send(POISON)
        await publisher.flush()

        with pytest.raises(NoProcess, match="it was poisoned"):
            await take(sick, 1)
        assert await payloads(well, 7) == [POISON] * 7
        after = listed(pair.b, "choosy")
        assert (after["state"], after["restarts"]) == ("open", 1)


async def test_ch1_a_channel_that_fails_amid_a_batch_refuses_the_rest_of_it(pair: Pair) -> None:
    """By its name; each of them ends once."""
    async with (
        pair.b.subscribe("strict", max_in_flight=7),
        pair.b.publisher("strict") as publisher,
    ):
        for _ in range(5):
            await publisher.send(POISON)
        with pytest.raises(ChannelFailed, match="strict"):
            await publisher.flush()
        counts = publisher.statistics
        assert (counts.sent, counts.acknowledged, counts.in_flight) == (5, 1, 0)


async def test_ch1_keys_of_one_frame_crash_on_a_member_once(pair: Pair) -> None:
    """As what has none: it is gone after the first."""
    async with (
        pair.b.subscribe("ticks", group="g", max_in_flight=7, wait="cluster") as sick,
        pair.b.subscribe("ticks", group="g", max_in_flight=100, wait="cluster") as well,
    ):
        outcomes = await asyncio.gather(*(pair.a.publish("ticks", POISON, key=f"{number}") for number in range(8)))

        with pytest.raises(NoProcess, match="it was poisoned"):
            await take(sick, 1)
        assert sorted(one.delivered or False for one in outcomes) == [False] + [True] * 7
        assert await payloads(well, 7) == [POISON] * 7
        after = listed(pair.b, "ticks")
        assert (after["state"], after["restarts"]) == ("open", 1)


async def test_ch1_whoever_monitors_the_process_of_a_channel_hears_of_its_crash(pair: Pair) -> None:
    """With the reason; the channel goes on under another pid."""
    async with pair.there.subscribe("ticks", max_in_flight=7), pair.there.subscribe("ticks"):
        await pair.b.publish("ticks", b"1")
        crashing = pair.b.running.hub.exchange.resolve("ticks").pid
        assert crashing is not None
        async with pair.there.monitor(crashing) as monitor:
            with pytest.raises(DeadlineExceeded):
                await monitor.down(timeout=0)
            await pair.b.publish("ticks", POISON)

            down = await monitor.down(timeout=DEADLINE_S)
            assert down.reason == "error: Poisoned: it was poisoned"


async def test_ch1_a_spent_budget_leaves_the_channel_refused_by_name(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Here, and visibly; other channels, and the channel at other nodes, go on."""
    async with pair.there.subscribe("ticks") as well, pair.there.subscribe("never") as other:
        with caplog.at_level(logging.INFO, "liminal.node"):
            for _ in range(3):
                async with pair.there.subscribe("ticks", max_in_flight=7):
                    await pair.b.publish("ticks", POISON)

        assert await payloads(well, 3) == [POISON] * 3
        with pytest.raises(NoProcess, match="channel ticks failed: error: Poisoned"):
            await take(well, 1)
        with pytest.raises(ChannelFailed, match=r"ticks.*poisoned"):
            await pair.there.publish("ticks", b"5")
        with pytest.raises(ChannelFailed, match=r"ticks.*poisoned"):
            await pair.there.subscribe("ticks").__aenter__()
        await pair.there.publish("never", b"6")
        assert (await message(other)).payload == b"6"
        async with pair.here.subscribe("ticks") as elsewhere:
            await pair.here.publish("ticks", b"7")
            assert (await message(elsewhere)).payload == b"7"
        shown = listed(pair.b, "ticks")
        assert (shown["state"], shown["restarts"], shown["pid"]) == ("failed", 2, shown["pid"])
        assert "poisoned" in str(shown["reason"])
        events = [str(event["kind"]) for event in pair.b.running.hub.events if "channel" in str(event["kind"])]
        assert events == ["channel_restarted", "channel_restarted", "channel_failed"]
        assert "delivery_crashed" in caplog.text


async def test_ch1_the_policy_never_fails_a_channel_at_its_first_crash(pair: Pair) -> None:
    """With no attempts."""
    async with pair.there.subscribe("never", max_in_flight=7):
        await pair.b.publish("never", POISON)
        with pytest.raises(ChannelFailed):
            await pair.b.publish("never", b"2")


async def test_ch1_a_pattern_misses_a_failed_channel_in_gaps_and_gets_the_others(pair: Pair) -> None:
    """Whoever subscribed to a family is not ended by one of it."""
    async with (
        pair.there.subscribe("m.*", wait="cluster") as family,
        pair.there.subscribe("m.1", max_in_flight=7, wait="cluster"),
    ):
        for name, payload in (("m.1", POISON), ("m.1", b"2"), ("m.2", b"3")):
            await pair.here.publish(name, payload, ack="nodes")

        assert (await message(family)).payload == POISON
        gap, following = await take(family, 2)
        assert isinstance(gap, Gap)
        assert (gap.channel, gap.first, gap.last, gap.count) == ("m.1", 2, 2, 1)
        assert not isinstance(following, Gap)
        assert (following.channel, following.payload) == ("m.2", b"3")


async def test_ch1_a_publish_without_waiting_that_meets_a_failed_channel_is_refused_next_time(poison: None) -> None:
    """And counted: a batch that was accepted before the crash is lost with the channel."""
    async with mesh(1, channels=CHANNELS) as (node,), node.subscribe("never", max_in_flight=7):
        node.publish_nowait("never", POISON)
        await asyncio.sleep(0)
        with pytest.raises(ChannelFailed):
            node.publish_nowait("never", b"2")


async def test_ch1_a_channel_that_crashed_keeps_its_budget_though_nobody_is_left_on_it(pair: Pair) -> None:
    """And no process of it stays behind."""
    for _ in range(2):
        async with pair.there.subscribe("ticks", max_in_flight=7, wait="cluster"):
            await pair.here.publish("ticks", POISON, ack="nodes")
    kinds = pair.b.running.hub.processes.statistics().processes
    assert (listed(pair.b, "ticks")["restarts"], kinds["channel"]) == (2, 1)


async def test_ch1_losses_on_a_failed_channel_are_told_once(pair: Pair) -> None:
    """By the publishes that were not taken, and not again when the link was made anew."""
    async with (
        pair.there.subscribe("m.*", wait="cluster") as family,
        pair.there.subscribe("m.1", max_in_flight=7, wait="cluster"),
    ):
        await pair.here.publish("m.1", POISON, ack="nodes")
        for number in range(5):
            await pair.here.publish("m.1", number, ack="nodes")
        await cut(pair)
        await pair.here.publish("m.2", b"end", ack="nodes")

        items = [await message(family)]
        while not isinstance(items[-1], Message) or items[-1].channel != "m.2":
            items += await take(family, 1)  # type: ignore[arg-type]
    assert sum(item.count for item in items if isinstance(item, Gap)) == 5


async def test_ch1_a_crash_on_a_closed_channel_costs_its_subscriber_and_begins_no_process(pair: Pair) -> None:
    """Patterns still get what other nodes publish on it."""
    await pair.b.publish("ticks", b"1")
    await pair.b.channels.close("ticks")
    async with (
        pair.there.subscribe("*", max_in_flight=7, wait="cluster") as sick,
        pair.there.subscribe("*", wait="cluster") as well,
    ):
        for payload in (POISON, b"2"):
            await pair.here.publish("ticks", payload, ack="nodes")

        assert await payloads(well, 2) == [POISON, b"2"]
        with pytest.raises(NoProcess, match="it was poisoned"):
            await take(sick, 1)
        assert "channel" not in pair.b.running.hub.processes.statistics().processes
        assert listed(pair.b, "ticks")["state"] == "closed"


async def cut(pair: Pair) -> None:
    """Cut the link of two nodes, and wait until both have another one."""
    meshes = [node.running.hub.mesh for node in (pair.a, pair.b)]
    assert meshes[0] is not None
    assert meshes[1] is not None
    links, others = meshes[0].links, meshes[1].links
    former, other = links["b"], others["a"]
    former.wire.abort("cut")
    await until(pair.a, lambda: "b" in links and links["b"] is not former)
    await until(pair.b, lambda: "a" in others and others["a"] is not other)


async def test_a_crash_in_what_is_sent_to_the_nodes_own_mailbox_costs_the_membership_and_not_the_node(
    poison: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process lives, and it is in the group no more."""
    async with mesh(1, channels=CHANNELS) as (node,):
        offer = Inbox.offer
        monkeypatch.setattr(Inbox, "offer", lambda self, run: 1 // 0 if run.channel == "g" else offer(self, run))
        await node.join("g")
        async with node.monitor(node.pid) as monitor:
            await node.send_group("g", b"1")

            with pytest.raises(DeadlineExceeded):
                await monitor.down(timeout=0)
        assert await node.group_members("g") == ()
        assert (await node.send_group("g", b"2")).delivered is False


async def test_what_waits_for_a_process_that_has_left_its_groups_counts_and_can_be_let_go() -> None:
    """Else a mailbox that nobody reads would starve the whole node."""
    limits = LimitsConfig(inbox_bytes_node=200_000, inbox_bytes_connection=200_000, inbox_bytes=150_000)
    async with mesh(1, channels=CHANNELS, limits=limits) as (node,):
        membership = await node.join("g")
        for _ in range(14):
            await node.send_group("g", bytes(10_000))
        await membership.leave()
        async with node.subscribe("ticks") as subscription:
            for _ in range(10):
                await node.publish("ticks", bytes(10_000))

            assert all(isinstance(item, Message) for item in await take(subscription, 10))
        assert isinstance(await anext(node.mailbox), Gap)


async def test_whatever_lives_on_a_node_ends_with_it(poison: None) -> None:
    """Whoever monitors a channel of it, too, comes to an end."""
    node = Node(node_config("a", channels=CHANNELS))
    await node.start()
    processes = node.running.hub.processes
    await node.publish("ticks", b"1")
    pid = node.running.hub.exchange.resolve("ticks").pid
    assert pid is not None
    async with node.monitor(pid) as monitor:
        await node.stop()
        assert (await monitor.down(timeout=DEADLINE_S)).reason == "shutdown"
    assert processes.statistics().processes == {}


async def test_a_spawned_function_that_heeds_nothing_cannot_hold_up_the_end_of_its_node(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The node says goodbye when its time is up, and that something was left; ending it again changes nothing."""
    deaf = asyncio.Event()

    async def never(me: Process) -> None:
        while not deaf.is_set():
            with suppress(asyncio.CancelledError):
                await deaf.wait()

    async with mesh(2, drain_timeout=0.2) as (node, peer):
        process = await node.spawn(never)
        async with peer.monitor(process.pid) as monitor:
            run = node.running
            assert not await node.stop()
            assert (await monitor.down(timeout=DEADLINE_S)).reason == "shutdown"
        assert "process_not_cancelled" in caplog.text
        assert [one.state for one in await peer.members() if one.name == "a"] == ["left"]
        assert await run.programs.close(0.0) is False
        deaf.set()
        assert process.task is not None
        await process.task
        assert await run.programs.close(0.0)


@pytest.mark.parametrize("scope", ["channel", "group"])
async def test_a_listener_that_cannot_be_told_of_its_beginning_leaves_no_member_behind(
    scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked gets the error; nothing is subscribed, joined or alive."""

    def crash(self: Bell, origin: object, heads: object) -> None:
        raise Poisoned("it was poisoned")

    async with mesh(1, channels=CHANNELS) as (node,), node.watch_group("ticks", scope) as watch:
        assert await anext(watch) == GroupSnapshot(())
        before = node.running.hub.processes.statistics().processes
        monkeypatch.setattr(Bell, "anchored", crash)
        with pytest.raises(Poisoned):
            await (node.subscribe("ticks").__aenter__() if scope == "channel" else node.join("ticks"))

        assert isinstance(await anext(watch), Joined)
        assert isinstance(await anext(watch), Left)
        assert node.running.registry.members(SCOPES.index(scope), "ticks") == ()
        assert node.running.hub.processes.statistics().processes == before


async def test_a_request_that_waits_is_closed_with_its_connection_though_it_has_not_begun() -> None:
    """Else its coroutine would never be awaited, and Python says so."""
    async with mesh(1, channels=CHANNELS) as (node,), holder("client", node):
        [connection] = node.running.server.connections.values()
        waiting = node.running.hub.interests.ready(DEADLINE_S)
        connection.errands.reply_later(1, waiting)
        connection.exited("noconnection")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert inspect.getcoroutinestate(waiting) == inspect.CORO_CLOSED
