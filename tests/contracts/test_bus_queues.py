"""What every holder of a bus may rely on of ``subscribe(group=...)``: each message goes to one of the group."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from liminal_mesh.cluster import QUEUE_SCOPE
from liminal_mesh.node.errors import ChannelNotConfigured, DeadlineExceeded, LimitExceeded, Rejected
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Gap, GroupSnapshot

from ..nodes import DEADLINE_S, until
from .holders import Held, Pair, collect, eventually, message, payloads, take
from .test_bus import BAD_NAMES
from .test_bus_mesh import deafen, hear


async def _waiting(subscription: Subscription) -> int:
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(20):  # what a node has sent to a client is under way
            await asyncio.sleep(0.002)
    return subscription.statistics.waiting


async def drain(subscription: Subscription, into: list[object]) -> None:
    """Append each message's payload as it comes."""
    async for item in subscription:
        assert isinstance(item, Message)
        into.append(item.payload)


# --- one node ---------------------------------------------------------------------------------------


async def test_each_message_goes_to_one_of_a_group_and_to_all_who_are_in_none(held: Held) -> None:
    """In turn; two groups each get one, and the outcome counts who took it."""
    bus = held.bus
    async with (
        bus.subscribe("ticks", group="g") as one,
        bus.subscribe("ticks", group="g") as two,
        bus.subscribe("ticks", group="other") as other,
        bus.subscribe("ticks") as plain,
    ):
        outcomes = [await bus.publish("ticks", number) for number in range(10)]

        assert {*await payloads(one, 5), *await payloads(two, 5)} == set(range(10))
        for everything in (other, plain):
            assert await payloads(everything, 10) == list(range(10))
        assert {(outcome.local, outcome.delivered, len(outcome.nodes)) for outcome in outcomes} == {(3, True, 0)}
        assert [one.group, plain.group] == ["g", None]


@pytest.mark.parametrize("how", ["awaited", "windowed", "unawaited"])
async def test_a_group_shares_evenly_however_it_is_published(held: Held, how: str) -> None:
    """Each member gets its part in the order in which it was published."""
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(held.bus.subscribe("ticks", group="g")) for _ in range(3)]
        if how == "windowed":
            async with held.bus.publisher("ticks") as publisher:
                for number in range(600):
                    await publisher.send(number)
        else:
            for number in range(600):
                if how == "awaited":
                    await held.bus.publish("ticks", number)
                else:
                    held.bus.publish_nowait("ticks", number)
        parts = [await payloads(member, 200) for member in members]

    assert sorted(number for part in parts for number in part) == list(range(600))  # type: ignore[type-var]
    assert all(part == sorted(part) for part in parts)  # type: ignore[type-var]


async def test_subscriptions_of_one_group_share_whatever_their_patterns_are(held: Held) -> None:
    """CH4: on each channel those that cover it; a wildcard is one like others."""
    bus = held.bus
    async with bus.subscribe("m.a", group="g") as exact, bus.subscribe("m.*", group="g") as wild:
        for number in range(6):
            await bus.publish("m.a", number)
        await bus.publish("m.b", "b")
        both = sorted(str(payload) for payload in await payloads(exact, 3) + await payloads(wild, 4))

    assert both == ["0", "1", "2", "3", "4", "5", "b"]


async def test_who_is_busy_is_passed_over(held: Held) -> None:
    """While others have credit; when nobody has, an inbox keeps it."""
    bus = held.bus
    async with (
        bus.subscribe("ticks", group="g", max_in_flight=1) as slow,
        bus.subscribe("ticks", group="g", max_in_flight=100) as quick,
    ):
        await bus.publish("ticks", "first")
        busy, free = (slow, quick) if await _waiting(slow) else (quick, slow)
        assert (await message(busy)).payload == "first"
        if busy is quick:  # the other one was next
            await bus.publish("ticks", "second")
            assert (await message(free)).payload == "second"
        for number in range(10):
            await bus.publish("ticks", number)

        assert await payloads(quick, 10) == list(range(10))
        assert slow.statistics.waiting == 0


async def test_a_member_that_leaves_leaves_the_rest_to_the_others(held: Held) -> None:
    """From the next message on; the last one leaves nobody."""
    bus = held.bus
    async with bus.subscribe("ticks", group="g") as stays:
        async with bus.subscribe("ticks", group="g") as leaves:
            for number in range(4):
                await bus.publish("ticks", number)
            got = await payloads(stays, 2) + await payloads(leaves, 2)
        await until(held.node, lambda: len(_members(held.node)) == 1)
        for number in range(4, 8):
            await bus.publish("ticks", number)
        assert await payloads(stays, 4) == [4, 5, 6, 7]
        assert sorted(got) == [0, 1, 2, 3]  # type: ignore[type-var]
    await until(held.node, lambda: not _members(held.node))
    outcome = await bus.publish("ticks", 8)
    assert (outcome.delivered, outcome.local) == (False, 0)


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_what_is_dropped_for_a_member_is_its_gap_and_what_others_get_is_none(held: Held, policy: str) -> None:
    """When nobody of the group has room, the policy decides whom it costs; delivered and gaps are what was shared."""
    bus = held.bus
    async with (
        bus.subscribe(policy, group="g", max_in_flight=1) as one,
        bus.subscribe(policy, group="g", max_in_flight=1) as two,
    ):
        outcomes = [await bus.publish(policy, number) for number in range(30)]
        items: list[Message | Gap] = []
        for subscription in (one, two):
            seen = 0
            while seen < 15:
                [item] = await take(subscription, 1)
                seen += item.count if isinstance(item, Gap) else 1
                items.append(item)

    gaps = [item for item in items if isinstance(item, Gap)]
    kept = sorted(item.sequence for item in items if isinstance(item, Message))
    assert {gap.reason for gap in gaps} == {"overflow"}
    assert sum(gap.count for gap in gaps) + len(kept) == 30
    assert (30 in kept) == (policy == "drop-oldest")
    assert [outcome.delivered for outcome in outcomes].count(True) == (30 if policy == "drop-oldest" else len(kept))


async def test_a_group_that_rejects_is_full_when_all_of_it_is(held: Held) -> None:
    """Then the publish is refused, and nothing has happened."""
    bus = held.bus
    async with (
        bus.subscribe("reject", group="g", max_in_flight=1) as one,
        bus.subscribe("reject", group="g", max_in_flight=1) as two,
    ):
        for number in range(10):
            await bus.publish("reject", number)
        with pytest.raises(Rejected, match="group g") as error:
            await bus.publish("reject", 10)
        assert error.value.pressure.decision == "reject"
        assert (await message(one)).payload in {0, 1}
        assert (await message(one)).payload in {2, 3}
        await _waiting(one)
        await bus.publish("reject", 11)

        assert (await payloads(one, 4))[-1] == 11
        assert len(await payloads(two, 5)) == 5


async def test_a_member_that_wants_to_be_disconnected_is_and_the_others_stay(held: Held) -> None:
    """Only when nobody has room."""
    bus = held.bus
    async with bus.subscribe("disconnect", group="g", max_in_flight=1) as only:
        for number in range(20):
            await bus.publish("disconnect", number)
        items: list[Message | Gap] = []
        with pytest.raises(LimitExceeded, match="inbox"):
            await asyncio.wait_for(collect(only, items), DEADLINE_S)
        assert isinstance(items[-1], Gap)
        assert len(items) == 6
        assert (await bus.publish("disconnect", "nobody")).delivered is False


async def test_the_outcome_tells_the_pressure_of_who_is_next(held: Held) -> None:
    """Of a group the member with the most room counts, of all the worst."""
    bus = held.bus
    async with bus.subscribe("ticks", group="g", max_in_flight=2), bus.subscribe("ticks", group="g", max_in_flight=1):
        decisions = [(await bus.publish("ticks", number)).pressure.decision for number in range(5)]

    assert decisions == ["accept"] * 3 + ["defer"] * 2


async def test_what_no_member_took_is_counted_by_a_publisher(held: Held) -> None:
    """As what nobody is there for."""
    async with (
        held.bus.subscribe("drop-newest", group="g", max_in_flight=1),
        held.bus.publisher("drop-newest") as publisher,
    ):
        for number in range(20):
            await publisher.send(number)
        await publisher.flush()

        assert publisher.statistics.acknowledged == 20
        assert publisher.statistics.undelivered == 15


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_what_can_be_no_group_is_refused(held: Held, name: str) -> None:
    """As a channel's name is, when it is asked for; nothing is left behind."""
    with pytest.raises(ValueError, match=r"group|reserved|empty token"):
        held.bus.subscribe("ticks", group=name)
    assert _members(held.node) == ()


async def test_causal_order_within_a_group_is_refused(held: Held) -> None:
    """CO2: a parent may go to another member, and nobody would hand its children out in time; said with what to do."""
    with pytest.raises(ValueError, match=r"another member.*choose one"):
        held.bus.subscribe("ticks", group="g", causal=True)


async def test_a_channel_that_is_not_configured_is_refused_for_groups_too(held: Held) -> None:
    """With its name."""
    with pytest.raises(ChannelNotConfigured, match="tocks"):
        async with held.bus.subscribe("tocks", group="g"):
            pass
    assert _members(held.node) == ()


async def test_a_group_is_no_member_of_the_channels_own_group(held: Held) -> None:
    """Whoever watches a channel's subscriptions sees those that get all of it."""
    async with (
        held.bus.subscribe("ticks", group="g"),
        held.bus.subscribe("ticks") as plain,
        held.bus.watch_group("ticks", "channel") as watch,
    ):
        assert await anext(watch) == GroupSnapshot((plain.id,))


def _members(node: Node) -> tuple[object, ...]:
    """Return who is in groups of channels, as a node sees it."""
    return tuple(pid for pids in node.running.registry.groups(QUEUE_SCOPE).values() for pid in pids)


# --- two nodes --------------------------------------------------------------------------------------


async def test_a_message_goes_to_one_member_in_the_whole_mesh(pair: Pair) -> None:
    """In turn, wherever it is published; with receipts the outcome says where it went."""
    async with (
        pair.here.subscribe("ticks", group="g", wait="cluster") as near,
        pair.there.subscribe("ticks", group="g", wait="cluster") as far,
    ):
        await until(pair.b, lambda: len(_members(pair.b)) == 2)
        outcomes = [await pair.here.publish("ticks", number, ack="nodes") for number in range(6)]
        assert await payloads(near, 3) == [0, 2, 4]
        assert await payloads(far, 3) == [1, 3, 5]
        for number in range(6):
            await pair.there.publish("ticks", number)
        got = await payloads(near, 3) + await payloads(far, 3)

    told = [(one.delivered, one.local, dict(one.nodes)) for one in outcomes]
    assert told == [(True, 1, {}), (True, 0, {"b": "delivered"})] * 3
    assert sorted(got) == list(range(6))  # type: ignore[type-var]


async def test_an_outcome_without_receipts_names_the_node_that_was_asked(pair: Pair) -> None:
    """And does not know more."""
    async with pair.there.subscribe("ticks", group="g", wait="cluster") as far:
        outcome = await pair.here.publish("ticks", 1)
        assert (outcome.delivered, outcome.local, dict(outcome.nodes)) == (None, 0, {"b": "sent"})
        assert await payloads(far, 1) == [1]


async def test_a_member_gets_what_a_subscriber_beside_it_gets_in_the_same_frame(pair: Pair) -> None:
    """A message crosses a link once, whoever wants it there."""
    async with (
        pair.there.subscribe("ticks", wait="cluster") as plain,
        pair.there.subscribe("ticks", group="g", wait="cluster") as member,
        pair.there.subscribe("m.*", group="g", wait="cluster"),
        pair.there.subscribe(">", group="h", wait="cluster") as other,
        pair.here.publisher("ticks", ack="nodes") as publisher,
    ):
        received = pair.b.running.hub.exchange.statistics.received
        for number in range(300):
            await publisher.send(number)
        await publisher.flush()

        assert pair.b.running.hub.exchange.statistics.received == received + 300
        for subscription in (plain, member, other):
            assert await payloads(subscription, 256) == list(range(256))
        outcome = await pair.here.publish("ticks", "one more", ack="nodes")
        assert (outcome.delivered, outcome.local, dict(outcome.nodes)) == (True, 0, {"b": "delivered"})


async def test_a_window_to_a_group_reaches_each_member_in_order(pair: Pair) -> None:
    """Thousands, spread over nodes and members; each once."""
    async with AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(bus.subscribe("ticks", group="g", max_in_flight=4096, wait="cluster"))
            for bus in (pair.here, pair.there, pair.there)
        ]
        await until(pair.a, lambda: len(_members(pair.a)) == 3)
        got: list[list[object]] = [[] for _ in members]
        reading = [asyncio.create_task(drain(one, part)) for one, part in zip(members, got, strict=True)]
        async with pair.here.publisher("ticks", ack="nodes") as publisher:
            for number in range(9000):
                await publisher.send(number)
        await eventually(lambda: sum(map(len, got)) == 9000)
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)

    assert publisher.statistics.undelivered == 0
    assert sorted(number for part in got for number in part) == list(range(9000))  # type: ignore[type-var]
    assert all(part == sorted(part) for part in got)  # type: ignore[type-var]
    assert all(2900 < len(part) < 3100 for part in got)


async def test_a_full_group_elsewhere_reads_dropped(pair: Pair) -> None:
    """Where the members reject what they have no room for: they are not told, and the publisher is."""
    async with pair.there.subscribe("reject", group="g", max_in_flight=1, wait="cluster") as far:
        outcomes = [await pair.here.publish("reject", number, ack="nodes") for number in range(7)]
        assert await payloads(far, 5) == [0, 1, 2, 3, 4]
        assert far.statistics.gaps == far.statistics.waiting == 0

    assert [(one.delivered, dict(one.nodes)) for one in outcomes] == [(True, {"b": "delivered"})] * 5 + [
        (False, {"b": "dropped"})
    ] * 2


async def test_a_full_member_is_passed_by_for_one_at_another_node(pair: Pair) -> None:
    """And the outcome names the node that took it, not the one that could not."""
    async with (
        pair.there.subscribe("reject", group="g", max_in_flight=1, wait="cluster") as far,
        pair.here.subscribe("reject", group="g", max_in_flight=100, wait="cluster") as near,
    ):
        outcomes = [await pair.here.publish("reject", number, ack="nodes") for number in range(30)]
        await _waiting(near)
        held = near.statistics.waiting + far.statistics.waiting
        assert held == 30

    assert {one.delivered for one in outcomes} == {True}
    assert {tuple(one.nodes.items()) for one in outcomes} == {(), (("b", "delivered"),)}
    assert all(bool(one.local) != bool(one.nodes) for one in outcomes)


async def test_a_group_whose_nodes_do_not_answer_is_unknown(pair: Pair) -> None:
    """After the time that was given."""
    async with pair.there.subscribe("ticks", group="g", wait="cluster") as far:
        deafen(pair.b, "a")
        outcome = await pair.here.publish("ticks", 1, ack="nodes", timeout=0.1)
        hear(pair.b, "a")

        assert (outcome.delivered, dict(outcome.nodes)) == (None, {"b": "unknown"})
        assert await payloads(far, 1) == [1]


async def test_waiting_for_the_cluster_names_who_does_not_know_of_the_member(pair: Pair) -> None:
    """And leaves nothing behind."""
    deafen(pair.a, "b")
    with pytest.raises(DeadlineExceeded) as error:
        async with pair.there.subscribe("ticks", group="g", wait="cluster", timeout=0.1):
            pass
    assert error.value.missing == ("a",)
    assert _members(pair.b) == ()
    hear(pair.a, "b")

    async with pair.there.subscribe("ticks", group="g", wait="cluster") as far:
        await pair.here.publish("ticks", "there")
        assert await payloads(far, 1) == ["there"]


async def test_the_last_member_of_an_unlinked_node_reads_lost(pair: Pair) -> None:
    """It is never absent, unless the group has a member elsewhere."""
    async with pair.there.subscribe("ticks", group="g", wait="cluster"):
        mesh = pair.a.running.hub.mesh
        assert mesh is not None
        mesh.links["b"].wire.abort("cut")
        await until(pair.a, lambda: not mesh.links)
        alone = await pair.here.publish("ticks", 1)
        async with pair.here.subscribe("ticks", group="g"):
            shared = await pair.here.publish("ticks", 2)

    assert (alone.delivered, dict(alone.nodes)) == (False, {"b": "lost"})
    assert (shared.delivered, shared.local, dict(shared.nodes)) == (True, 1, {})
