"""``node.channels``: channels that come, change and go while the node runs (CH2, CH7, SC4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, Pid
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.config import ChannelConfig, InboxConfig, LimitsConfig
from liminal_mesh.node.diagnosis import diagnose
from liminal_mesh.node.errors import (
    ChannelClosed,
    ChannelExists,
    ChannelNotConfigured,
    ConfigError,
    LimitExceeded,
    NotAuthorized,
    SchemaIncompatible,
    SchemaRejected,
)
from liminal_mesh.node.metrics import Metrics
from liminal_mesh.node.node import Node
from liminal_mesh.node.publisher import Publisher
from liminal_mesh.node.schema import Schema
from liminal_mesh.node.status import channels as channels_document
from liminal_mesh.node.status import discovery
from liminal_mesh.node.values import ChannelInfo

from ..nodes import mesh, node_config, until
from .conftest import ORDER
from .holders import Held, Pair, eventually, message, payloads, take

WIDER = {**ORDER, "properties": {**ORDER["properties"], "note": {"type": "string", "default": ""}}}
NARROWER = {**ORDER, "required": ["id", "currency", "note"]}


def info(node: Node, name: str) -> ChannelInfo:
    """Return what is listed of a channel."""
    [found] = [one for one in node.channels.list() if one.name == name]
    return found


# --- create, list ---


async def test_ch2_a_channel_is_created_used_and_listed(held: Held) -> None:
    """With live subscriber counts, of clients too."""
    with pytest.raises(ChannelNotConfigured):
        await held.bus.publish("new", b"")
    created = await held.node.channels.create("new", inbox=InboxConfig(messages=7))
    assert (created.state, created.subscribers, created.schema, created.in_use) == ("open", 0, None, False)
    async with held.bus.subscribe("new") as subscription, held.bus.subscribe("*"):
        await held.bus.publish("new", b"1")

        assert await payloads(subscription, 1) == [b"1"]
        found = info(held.node, "new")
        assert (found.subscribers, found.local_subscribers, found.nodes, found.published) == (2, 2, ("a",), 1)
        assert found.pid is not None
    await held.bus.publish("ticks", b"to the node and back")
    assert info(held.node, "new").subscribers == 0
    assert [one["kind"] for one in held.node.running.hub.events][-1] == "channel_created"


async def test_ch2_the_list_is_what_the_page_shows(held: Held) -> None:
    """Channels by name, then families; those of families once they are used."""
    names = [one.name for one in held.node.channels.list()]
    assert "m.*" in names
    assert "m.1" not in names
    await held.bus.publish("m.1", b"")

    listed = held.node.channels.list()
    page = channels_document(held.node.running)
    assert [one.name for one in listed if one.state != "family"] == [one["name"] for one in page["channels"]]
    assert [one.name for one in listed if one.state == "family"] == [one["name"] for one in page["families"]]
    assert "m.1" in [one.name for one in listed]


async def test_ch2_a_duplicate_is_refused(held: Held) -> None:
    """Also of one that is in use as one of a family; it stays as it was."""
    await held.bus.publish("m.1", b"")
    for name in ("ticks", "m.*", "m.1"):
        before = info(held.node, name)
        with pytest.raises(ChannelExists, match=name.replace("*", r"\*")):
            await held.node.channels.create(name, schema=ORDER)
        assert info(held.node, name) == before


async def test_ch2_of_many_that_create_a_channel_at_once_one_does(held: Held) -> None:
    """The others are told that it is there."""
    found = await asyncio.gather(*(held.node.channels.create("new") for _ in range(5)), return_exceptions=True)

    assert [type(one) for one in found] == [ChannelInfo, *[ChannelExists] * 4]


async def test_ch2_a_channel_may_be_declared_beside_a_family_that_would_cover_it(held: Held) -> None:
    """As in the configuration."""
    await held.node.channels.create("m.9", schema=ORDER)
    with pytest.raises(SchemaRejected):
        await held.bus.publish("m.9", {})
    await held.bus.publish("m.8", {})


async def test_ch2_what_cannot_be_a_channel_is_refused(held: Held) -> None:
    """With the words of the configuration; nothing is declared."""
    before = held.node.channels.list()
    for name, wrong in (("a b", {}), ("x", {"durable": True}), ("x", {"schema": {"type": "x"}}), ("x", {"odd": 1})):
        with pytest.raises(ConfigError):
            await held.node.channels.create(name, **wrong)
    with pytest.raises(ConfigError, match="No such file"):
        await held.node.channels.create("x", schema="missing.json")
    with pytest.raises(TypeError):
        await held.node.channels.create(ChannelConfig(name="x"), ack="nodes")

    assert held.node.channels.list() == before


async def test_ch2_a_name_that_only_peers_used_can_be_declared(pair: Pair) -> None:
    """What they published meanwhile was delivered to patterns; from now on it is a channel here, too."""
    await pair.a.channels.create("there")
    async with pair.there.subscribe("*", wait="cluster") as subscription:
        await pair.here.publish("there", 1, ack="nodes")
        assert (await message(subscription)).payload == 1
        with pytest.raises(ChannelNotConfigured):
            await pair.there.publish("there", 2)
        await pair.b.channels.create("there")
        await pair.there.publish("there", 2)
        await pair.here.publish("there", 3, ack="nodes")

        assert await payloads(subscription, 2) == [2, 3]


async def test_ch2_a_name_that_only_peers_used_is_one_process_when_it_is_declared() -> None:
    """That which stood for it ends, and whoever looks at the channel sees the other."""
    async with mesh(2) as (a, b):
        await a.channels.create("there")
        async with b.subscribe("*", wait="cluster") as subscription:
            await a.publish("there", 1)
            await message(subscription)
            before = info(b, "there").pid
            created = await b.channels.create("there")
            assert b.running.hub.processes.statistics().processes["channel"] == 1
            assert created.pid not in {before, None}


async def test_ch2_members_of_a_group_get_what_peers_publish_on_a_channel_that_is_none_here(pair: Pair) -> None:
    """By their pattern, also after it was closed here."""
    await pair.a.channels.create("there")
    async with pair.there.subscribe("*", group="g", wait="cluster") as member:
        await pair.here.publish("there", 1, ack="nodes")
        await pair.b.channels.create("there")
        await pair.b.channels.close("there")
        await pair.here.publish("there", 2, ack="nodes")

        assert await payloads(member, 2) == [1, 2]


# --- close ---


async def test_ch2_publishing_after_close_is_refused(held: Held) -> None:
    """However it is done, and by whoever had a publisher of it."""
    publisher = held.bus.publisher("ticks")
    await publisher.send(b"1")
    await publisher.flush()
    await held.node.channels.close("ticks")

    with pytest.raises(ChannelClosed, match="ticks"):
        await held.bus.publish("ticks", b"2")
    with pytest.raises(ChannelClosed):
        await held.bus.subscribe("ticks").__aenter__()
    with pytest.raises(ChannelClosed):
        await _nowait(held.bus, "ticks")
    with pytest.raises(ChannelClosed):
        await _send(publisher)
    with pytest.raises(ChannelNotConfigured):
        await held.node.channels.close("ticks")
    assert info(held.node, "ticks").state == "closed"


async def _nowait(bus: Bus, channel: str) -> None:
    bus.publish_nowait(channel, b"2")
    await bus.publish("receipts", b"to the node and back")
    await bus.writable(channel)


async def _send(publisher: Publisher) -> None:
    await publisher.send(b"3")
    await publisher.flush()


async def test_ch2_subscribers_of_a_closed_channel_get_what_waits_and_are_told(held: Held) -> None:
    """Those of a pattern, and of other channels, go on."""
    async with (
        held.bus.subscribe("ticks") as subscription,
        held.bus.subscribe("*") as pattern,
        held.bus.subscribe("receipts") as other,
    ):
        for number in range(3):
            held.node.publish_nowait("ticks", number)
        await held.node.channels.close("ticks")

        assert await payloads(subscription, 3) == [0, 1, 2]
        with pytest.raises(ChannelClosed, match="ticks"):
            await take(subscription, 1)
        await held.bus.publish("receipts", b"on")
        assert (await message(other)).payload == b"on"
        assert await payloads(pattern, 4) == [0, 1, 2, b"on"]
    kinds = [one["kind"] for one in held.node.running.hub.events if str(one["kind"]).startswith("channel")]
    assert kinds == ["channel_closed"]


@pytest.mark.parametrize("turns", [0, 1, 3, 8])
async def test_ch2_what_waits_for_receipts_when_its_channel_is_closed_gets_them(pair: Pair, turns: int) -> None:
    """What was accepted before is delivered and answered, what comes later refused: nothing between."""
    async with pair.there.subscribe("receipts", wait="cluster") as subscription:
        publishes = [asyncio.create_task(pair.here.publish("receipts", number)) for number in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await pair.a.channels.close("receipts")
        ends = await asyncio.gather(*publishes, return_exceptions=True)

        delivered = [end for end in ends if not isinstance(end, ChannelClosed)]
        assert [end.nodes for end in delivered] == [{"b": "delivered"}] * len(delivered)  # type: ignore[union-attr]
        assert await payloads(subscription, len(delivered)) == list(range(len(delivered)))


@pytest.mark.parametrize("turns", [0, 1, 3, 8])
async def test_ch2_a_subscription_that_waits_for_peers_when_its_channel_is_closed_is_told(
    pair: Pair, turns: int
) -> None:
    """When it is entered, or as soon as somebody iterates; nothing of it stays."""
    subscription = pair.here.subscribe("ticks", wait="cluster")
    entering = asyncio.create_task(subscription.__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    await pair.a.channels.close("ticks")
    with pytest.raises(ChannelClosed):
        await take(await entering, 1)

    await eventually(lambda: not pair.a.running.hub.exchange.channels.subscriptions)
    await eventually(lambda: not pair.b.running.registry.members(CHANNEL_SCOPE, "ticks"))


async def test_ch2_members_of_a_group_of_a_closed_channel_are_told(held: Held) -> None:
    """As others are."""
    async with held.bus.subscribe("ticks", group="g") as member:
        await held.bus.publish("ticks", 1)
        await held.node.channels.close("ticks")

        assert await payloads(member, 1) == [1]
        with pytest.raises(ChannelClosed):
            await take(member, 1)


async def test_ch2_a_closed_channel_can_be_created_again_and_goes_on_where_it_was(pair: Pair) -> None:
    """With its numbers, so that a subscriber elsewhere takes none of them for a repeat."""
    async with pair.there.subscribe("ticks", wait="cluster") as subscription:
        await pair.here.publish("ticks", 1, ack="nodes")
        await pair.a.channels.close("ticks")
        again = await pair.a.channels.create("ticks", ack="nodes")
        await pair.here.publish("ticks", 2)

        found = [await message(subscription) for _ in range(2)]
        assert [(one.payload, one.sequence) for one in found] == [(1, 1), (2, 2)]
        assert (again.state, again.published) == ("open", 1)


async def test_ch2_close_is_for_one_node(pair: Pair) -> None:
    """Others go on; there a pattern still gets what they publish."""
    async with (
        pair.there.subscribe("ticks", wait="cluster") as subscription,
        pair.here.subscribe("*", wait="cluster") as pattern,
    ):
        await pair.a.channels.close("ticks")
        await pair.there.publish("ticks", 1, ack="nodes")

        assert await payloads(subscription, 1) == [1]
        assert await payloads(pattern, 1) == [1]


async def test_ch2_a_family_is_closed_with_all_its_channels(held: Held) -> None:
    """Those that were used are closed, the others are none any more; a channel declared for itself stays."""
    await held.node.channels.create("m.own")
    async with held.bus.subscribe("m.1") as used, held.bus.subscribe("m.2") as unused, held.bus.subscribe("m.*"):
        await held.bus.publish("m.1", b"")
        await held.node.channels.close("m.*")

        assert await payloads(used, 1) == [b""]
        for one in (used, unused):
            with pytest.raises(ChannelClosed):
                await take(one, 1)
        with pytest.raises(ChannelClosed):
            await held.bus.publish("m.1", b"")
        with pytest.raises(ChannelNotConfigured):
            await held.bus.publish("m.3", b"")
        assert (await held.bus.publish("m.own", b"")).local == 1
        await held.node.channels.create("m.*")
        await held.bus.publish("m.1", b"")
        await held.bus.publish("m.3", b"")


async def test_ch2_a_closed_channel_that_was_never_used_stays_closed(held: Held) -> None:
    """Whoever subscribes to a pattern, and leaves, changes nothing about that."""
    await held.node.channels.create("new")
    await held.node.channels.close("new")
    async with held.bus.subscribe("*"):
        pass
    await held.bus.publish("ticks", b"to the node and back")
    with pytest.raises(ChannelClosed):
        await held.bus.publish("new", b"")


async def test_ch2_closed_channels_are_bounded() -> None:
    """Their numbers are kept, which takes room."""
    async with Node(node_config("a", limits=LimitsConfig(channels=3))) as node:
        for number in range(3):
            await node.channels.create(f"c{number}")
            await node.channels.close(f"c{number}")
        await node.channels.create("c3")
        with pytest.raises(LimitExceeded, match="channels"):
            await node.channels.close("c3")
        await node.publish("c3", b"")
        await node.channels.create("c0")
        await node.channels.close("c3")


async def test_ch2_a_channel_that_failed_begins_anew_when_it_was_closed_and_created(held: Held) -> None:
    """Its budget, too."""
    channel = held.node.running.hub.exchange.resolve("ticks")
    channel.fail("error: it broke")
    assert info(held.node, "ticks").state == "failed"
    await held.node.channels.close("ticks")
    again = await held.node.channels.create("ticks")

    assert (again.state, again.reason) == ("open", "")
    await held.bus.publish("ticks", b"")


async def test_ch2_no_process_of_a_closed_channel_stays() -> None:
    """And one comes with it when it is created again."""
    async with Node(node_config("a")) as node:
        processes = node.running.hub.processes
        await node.publish("ticks", b"")
        await node.channels.close("ticks")
        assert "channel" not in processes.statistics().processes
        await node.channels.create("ticks")
        assert processes.statistics().processes["channel"] == 1


async def test_ch7_known_and_open_come_before_permission_and_that_before_the_schema(held: Held) -> None:
    """Whoever may not publish hears so, unless nobody could; and never what is wrong with a payload."""

    def deny(who: Pid, verb: str, name: str) -> None:
        raise NotAuthorized(verb, name)

    await held.node.channels.close("ticks")
    held.node.running.hub.permit = deny
    for name, error in (("nothing", ChannelNotConfigured), ("ticks", ChannelClosed), ("orders", NotAuthorized)):
        with pytest.raises(error):
            await held.bus.publish(name, b"no order")
    assert "nothing" not in held.node.running.hub.exchange.channels.channels


# --- evolve ---


async def test_sc4_a_compatible_version_is_put_in_force_and_keeps_subscribers(held: Held) -> None:
    """They get its messages, each with its version; publishers need not know."""
    async with held.bus.subscribe("orders") as subscription:
        await held.bus.publish("orders", {"id": 1})
        evolved = await held.node.channels.evolve("orders", WIDER)
        await held.bus.publish("orders", {"id": 2})

        found = [await message(subscription) for _ in range(2)]
        assert [one.payload for one in found] == [
            {"id": 1, "currency": "EUR"},
            {"id": 2, "currency": "EUR", "note": ""},
        ]
        assert [one.schema for one in found] == [Schema(ORDER).id, Schema(WIDER).id]
    assert (evolved.schema, evolved.versions) == (Schema(WIDER).id, (Schema(WIDER).id, Schema(ORDER).id))
    [event] = [one for one in held.node.running.hub.events if one["kind"] == "channel_evolved"]
    assert (event["schema"], event["former"], event["forced"]) == (Schema(WIDER).id, Schema(ORDER).id, False)


async def test_sc4_a_version_that_comes_again_is_offered_once(held: Held) -> None:
    """Those that follow each other without force stay offered, the latest first."""
    titled = {**ORDER, "title": "an order"}
    for document in (titled, ORDER, titled):
        found = await held.node.channels.evolve("orders", document)

    assert found.versions == (Schema(titled).id, OLD)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (NARROWER, "payload/note: it is required now"),
        ({"type": "object"}, "payload/currency: is removed"),
        ({"type": "integer"}, "describes no objects"),
        (True, "describes no objects"),
        (None, "no schema at all"),
    ],
)
async def test_sc4_what_narrows_or_removes_is_refused_unless_forced(held: Held, document: Any, why: str) -> None:
    """With the reasons and both versions; nothing changes then."""
    before = info(held.node, "orders")
    with pytest.raises(SchemaIncompatible) as refused:
        await held.node.channels.evolve("orders", document)
    assert why in "; ".join(refused.value.reasons)
    assert refused.value.accepted == (Schema(ORDER).id,)
    assert refused.value.offered == (() if document is None else (Schema(document).id,))
    assert info(held.node, "orders") == before

    forced = await held.node.channels.evolve("orders", document, force=True)
    assert forced.versions == refused.value.offered


async def test_sc4_a_first_schema_narrows_and_is_forced(held: Held) -> None:
    """Anything was accepted before."""
    await held.bus.publish("ticks", b"1")
    with pytest.raises(SchemaIncompatible, match="anything was accepted"):
        await held.node.channels.evolve("ticks", ORDER)
    await held.node.channels.evolve("ticks", ORDER, force=True)
    with pytest.raises(SchemaRejected):
        await held.bus.publish("ticks", b"1")
    await held.node.channels.evolve("ticks", None, force=True)
    await held.bus.publish("ticks", b"1")


async def test_sc4_a_family_evolves_with_the_channels_that_are_in_use(held: Held) -> None:
    """And a channel that is declared for itself does not."""
    await held.node.channels.create("typed.own", schema=ORDER)
    for name in ("typed.a", "typed.own"):
        await held.bus.publish(name, {"id": 1})
    await held.node.channels.evolve("typed.*", WIDER)
    async with held.bus.subscribe("typed.*") as subscription:
        for name in ("typed.a", "typed.b", "typed.own"):
            await held.bus.publish(name, {"id": 2})

        found = await payloads(subscription, 3)
        assert ["note" in one for one in found] == [True, True, False]  # type: ignore[operator]


async def test_sc4_what_was_accepted_before_is_delivered_as_it_was(held: Held) -> None:
    """Also of this turn; nothing of it is looked at again."""
    async with held.node.subscribe("ticks") as subscription:
        held.node.publish_nowait("ticks", b"no JSON")
        await held.node.channels.evolve("ticks", ORDER, force=True)

        assert await payloads(subscription, 1) == [b"no JSON"]


async def test_sc4_the_same_version_changes_nothing(held: Held) -> None:
    """It is no event; also none at all, where there was none. And an unknown channel is none."""
    before = info(held.node, "orders")
    assert await held.node.channels.evolve("orders", dict(reversed(ORDER.items()))) == before
    assert (await held.node.channels.evolve("ticks", None)).schema is None
    assert [one for one in held.node.running.hub.events if str(one["kind"]).startswith("channel")] == []
    with pytest.raises(ChannelNotConfigured, match="orders"):
        await held.node.channels.evolve("order", ORDER)
    with pytest.raises(ConfigError):
        await held.node.channels.evolve("orders", {"type": "x"})


async def test_a_node_that_does_not_run_has_no_channels() -> None:
    """As with everything else of it."""
    with pytest.raises(RuntimeError, match="not running"):
        Node(node_config("a")).channels.list()


# --- versions that subscriptions name ---

OLD, NEW = Schema(ORDER).id, Schema(WIDER).id


async def test_sc3_a_subscription_without_a_word_gets_the_channels_own_version(held: Held) -> None:
    """None where there is no schema; of a pattern that of its family."""
    expected = {"orders": OLD, "typed.a": OLD, "typed.*": OLD, "ticks": None, "m.*": None, "nothing.*": None}
    for name, schema in expected.items():
        async with held.bus.subscribe(name) as subscription:
            assert subscription.schema == schema


async def test_sc3_the_node_selects_the_newest_version_that_both_know(held: Held) -> None:
    """Of those that the channel has followed without force."""
    await held.node.channels.evolve("orders", WIDER)
    for accepted, selected in (([OLD], OLD), ([NEW], NEW), ([OLD, "other", NEW], NEW), ((), NEW)):
        async with held.bus.subscribe("orders", schemas=accepted) as subscription:
            assert subscription.schema == selected
            await held.bus.publish("orders", {"id": 1})
            assert (await message(subscription)).schema == NEW


async def test_sc3_who_has_no_version_in_common_is_refused_with_both_sides_named(held: Held) -> None:
    """Nothing is left of it; where there is no schema nothing is offered."""
    await held.node.channels.evolve("orders", WIDER)
    for name, offered in (("orders", (NEW, OLD)), ("typed.*", (OLD,)), ("ticks", ()), ("nothing.*", ())):
        with pytest.raises(SchemaIncompatible) as refused:
            await held.bus.subscribe(name, schemas=["0" * 16, "1" * 16]).__aenter__()
        assert (refused.value.offered, refused.value.accepted) == (offered, ("0" * 16, "1" * 16))
    assert held.node.running.hub.exchange.channels.subscriptions == 0
    with pytest.raises(ChannelNotConfigured):
        await held.bus.subscribe("nothing", schemas=[OLD]).__aenter__()


@pytest.mark.parametrize("wrong", ["0" * 16, [7], [""], ["x" * 257], ["x"] * 65])
async def test_sc3_what_can_be_no_versions_is_refused_at_once(held: Held, wrong: Any) -> None:
    """A text alone would be read as a list of letters."""
    with pytest.raises((TypeError, ValueError)):
        held.bus.subscribe("orders", schemas=wrong)


async def test_sc4_evolution_keeps_subscriptions_whatever_they_named(held: Held) -> None:
    """They get the messages of the new version, and keep the version that was selected for them."""
    async with held.bus.subscribe("orders", schemas=[OLD]) as old, held.bus.subscribe("orders") as own:
        await held.node.channels.evolve("orders", WIDER)
        await held.bus.publish("orders", {"id": 1})

        for subscription in (old, own):
            found = await message(subscription)
            assert (found.schema, found.payload["note"], subscription.schema) == (NEW, "", OLD)


async def test_sc4_force_ends_subscriptions_that_named_only_versions_that_are_gone(held: Held) -> None:
    """With both sides named, behind what waits for them; those that named none go on."""
    async with (
        held.bus.subscribe("orders", schemas=[OLD]) as left,
        held.bus.subscribe("orders", schemas=[OLD, Schema(NARROWER).id]) as ready,
        held.bus.subscribe("orders") as own,
        held.bus.subscribe("*", schemas=()) as pattern,
        held.bus.subscribe("typed.*", schemas=[OLD]) as other,
    ):
        await held.bus.publish("orders", {"id": 1})
        await held.node.channels.evolve("orders", NARROWER, force=True)
        await held.bus.publish("orders", {"id": 2, "note": "x"})
        await held.bus.publish("typed.a", {"id": 3})

        for subscription in (ready, own):
            assert [one["id"] for one in await payloads(subscription, 2)] == [1, 2]  # type: ignore[index]
        assert [one["id"] for one in await payloads(pattern, 2)] == [1, 2]  # type: ignore[index]
        assert [one["id"] for one in await payloads(other, 1)] == [3]  # type: ignore[index]
        assert [one["id"] for one in await payloads(left, 1)] == [1]  # type: ignore[index]
        with pytest.raises(SchemaIncompatible) as refused:
            await take(left, 1)
        assert (refused.value.offered, refused.value.accepted) == ((Schema(NARROWER).id,), (OLD,))


async def test_sc4_a_family_that_is_forced_ends_those_of_its_channels_and_of_its_pattern(held: Held) -> None:
    """And no one who subscribed to a channel that is declared for itself."""
    await held.node.channels.create("typed.own", schema=ORDER)
    async with (
        held.bus.subscribe("typed.a", schemas=[OLD]) as one,
        held.bus.subscribe("typed.*", schemas=[OLD]) as family,
        held.bus.subscribe("typed.own", schemas=[OLD]) as own,
    ):
        await held.node.channels.evolve("typed.*", NARROWER, force=True)
        for subscription in (one, family):
            with pytest.raises(SchemaIncompatible):
                await take(subscription, 1)
        await held.bus.publish("typed.own", {"id": 1})
        assert len(await payloads(own, 1)) == 1


# --- nodes that differ ---


async def test_sc5_nodes_that_have_declared_a_channel_otherwise_say_so_everywhere(pair: Pair) -> None:
    """In status, in events, in the metrics, and to the doctor; until it is mended, and while they are linked."""
    await pair.b.channels.evolve("orders", NARROWER, force=True)
    hub = pair.a.running.hub
    await until(pair.a, lambda: bool(hub.declarations.disagreements()))

    for node, other, theirs in ((pair.a, "b", Schema(NARROWER).id), (pair.b, "a", OLD)):
        page = channels_document(node.running)
        [orders] = [one for one in page["channels"] if one["name"] == "orders"]
        assert orders["disagrees"] == [{"node": other, "durable": False, "schema": theirs}]
        assert all(not one["disagrees"] for one in (*page["channels"], *page["families"]) if one is not orders)
        event = [one for one in node.running.hub.events if one["kind"] == "channels_disagree"][-1]
        assert (event["node"], event["level"], event["count"]) == (other, "warning", 1)
        assert event["channels"][0].startswith("orders: schema ")
        assert b"liminal_channel_disagreements 1.0" in (await Metrics(node.running).node())[0]
        [finding] = [one for one in diagnose(discovery(node.running)) if one.name == "channel-disagrees"]
        assert (finding.level, finding.about) == ("warning", "orders")
        assert theirs in finding.text

    await pair.a.channels.evolve("orders", NARROWER, force=True)
    await until(pair.b, lambda: not pair.b.running.hub.declarations.disagreements())
    assert [one["kind"] for one in pair.b.running.hub.events][-1] == "channels_agree"
    assert not [one for one in diagnose(discovery(pair.a.running)) if one.name == "channel-disagrees"]


async def test_sc5_a_node_that_comes_with_another_schema_is_noticed() -> None:
    """From its configuration, as soon as it is linked."""
    a, b = (ChannelConfig(name="orders", schema=one) for one in (ORDER, WIDER))
    async with Node(node_config("a", channels=[a])) as one:
        seeds = [str(one.addresses["mesh"])]
        async with Node(node_config("b", seeds, channels=[b])) as other:
            for node in (one, other):
                hub = node.running.hub
                await until(node, lambda hub=hub: bool(hub.declarations.disagreements()))  # type: ignore[misc]
        await until(one, lambda: not one.running.hub.declarations.disagreements())
