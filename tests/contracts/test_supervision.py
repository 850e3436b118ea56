"""CH1: every channel is a supervised process of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from liminal_mesh.node.config import ChannelConfig, RestartConfig
from liminal_mesh.node.errors import ChannelFailed, DeadlineExceeded, NoProcess
from liminal_mesh.node.inbox import Inbox, Run
from liminal_mesh.node.node import Node
from liminal_mesh.node.status import channels as channels_document
from liminal_mesh.node.values import Gap

from ..nodes import DEADLINE_S, mesh
from .holders import Pair, holder, message, payloads, take

POISON = b"poison"


class Poisoned(Exception):
    """What a delivery crashes with here."""


CHANNELS = (
    ChannelConfig(name="ticks", restart=RestartConfig(attempts=2, within=3600)),
    ChannelConfig(name="never", restart=RestartConfig(attempts=0)),
    ChannelConfig(name="m.*", restart=RestartConfig(attempts=0)),
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
        assert "channel_crashed" in caplog.text


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
