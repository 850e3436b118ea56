"""What caused what: a publish names its parent, and a subscription can ask to get parents first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from liminal_mesh.node.chains import Chains
from liminal_mesh.node.message import Message
from liminal_mesh.node.reference import Reference
from liminal_mesh.node.subscription import Subscription

from ..nodes import DEADLINE_S
from .conftest import LIMITS
from .holders import Held, Pair, collect, eventually, message, payloads, take


def to_come(held: Held, sequence: int, channel: str = "m.a") -> Reference:
    """Return the reference of what the node will publish."""
    return Reference(channel, "a", held.node.epoch, 1, sequence)


async def story(subscription: Subscription, count: int) -> list[str]:
    """Return the next messages' payloads, those of orphans with a mark."""
    items = await take(subscription, count)
    return [f"{item.payload}{'!' if item.orphaned else ''}" for item in items if isinstance(item, Message)]


async def test_a_publish_names_its_parent(held: Held) -> None:
    """CO1: however it is published; without one there is none."""
    async with held.bus.subscribe("m.*") as subscription:
        await held.bus.publish("m.a", "question")
        parent = await message(subscription)
        await held.bus.publish("m.b", "awaited", headers={"h": "v"}, parent=parent)
        held.bus.publish_nowait("m.b", b"at once", parent=parent.reference)
        async with held.bus.publisher("m.b") as publisher:
            await publisher.send("windowed", parent=parent)
        children = [await message(subscription) for _ in range(3)]

    assert parent.causal is None
    assert [one.payload for one in children] == ["awaited", b"at once", "windowed"]
    assert [one.causal for one in children] == [parent.reference] * 3
    assert children[0].headers == {"h": "v"}
    reference = parent.reference
    assert (reference.channel, reference.origin, reference.epoch) == (parent.channel, parent.origin, parent.epoch)
    assert (reference.id, reference.sequence, reference.scope) == (parent.id, parent.sequence, 0)


@pytest.mark.parametrize("parent", [7, "a", ("a", 1, 1)])
async def test_only_a_message_can_be_a_parent(held: Held, parent: Any) -> None:
    """CO1: refused before anything is sent."""
    async with held.bus.subscribe("ticks") as subscription:
        with pytest.raises(TypeError, match="parent="):
            await held.bus.publish("ticks", 1, parent=parent)
        with pytest.raises(TypeError, match="parent="):
            held.bus.publish_nowait("ticks", 2, parent=parent)
        async with held.bus.publisher("ticks") as publisher:
            with pytest.raises(TypeError, match="parent="):
                await publisher.send(3, parent=parent)
        await held.bus.publish("ticks", 4)
        one = await message(subscription)

    assert (one.payload, one.sequence) == (4, 1)


async def test_a_chain_runs_over_nodes(pair: Pair) -> None:
    """CO1, CH6: parents travel unchanged, and ``happened_before`` follows them from a node to another and back."""
    async with (
        pair.here.subscribe("ticks", wait="cluster") as near,
        pair.there.subscribe("ticks", wait="cluster") as far,
    ):
        await pair.here.publish("ticks", "question")
        question = await message(far)
        await pair.there.publish("ticks", "answer", parent=question)
        asked, answer = await message(near), await message(near)
        await pair.here.publish("ticks", "thanks", parent=answer)
        answered, thanks = await message(far), await message(far)

    chains = Chains()
    for one in (asked, answer, thanks):
        chains.note(one)
    assert answered.causal == answer.causal == question.reference == asked.reference
    assert (answer.origin, thanks.causal) == ("b", answer.reference)
    assert chains.happened_before(question, thanks)
    assert not chains.happened_before(thanks, question)


async def test_what_was_sent_to_a_group_can_be_a_parent(held: Held) -> None:
    """CO1: its reference says that it was no channel."""
    membership = await held.bus.join("ticks")
    await held.bus.send_group("ticks", 1)
    sent = await message(held.bus.mailbox)
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", 2, parent=sent)
        one = await message(subscription)
    await membership.leave()

    assert one.causal == sent.reference
    assert (sent.reference.channel, sent.reference.scope) == ("ticks", 3)


async def test_a_child_waits_for_its_parent(held: Held) -> None:
    """CO2: whatever it is a child of, and whoever does not wait for anybody is not held back."""
    async with held.bus.subscribe("m.*", causal=True) as subscription, held.bus.subscribe("m.*") as other:
        await held.bus.publish("m.b", "child", parent=to_come(held, 2))
        await held.bus.publish("m.b", "grandchild", parent=to_come(held, 1, "m.b"))
        await held.bus.publish("m.b", "independent")
        await held.bus.publish("m.a", "first")
        assert await story(subscription, 2) == ["independent", "first"]
        assert subscription.statistics.waiting == 2
        await held.bus.publish("m.a", "parent")

        assert await story(subscription, 3) == ["parent", "child", "grandchild"]
        assert await story(other, 5) == ["child", "grandchild", "independent", "first", "parent"]
        statistics = subscription.statistics

    assert (statistics.delivered, statistics.waiting, statistics.orphaned) == (5, 0, 0)


async def test_an_orphan_comes_after_a_while_with_its_descendants(held: Held) -> None:
    """CO2: while nothing else happens; it is flagged, they are not."""
    async with held.bus.subscribe("m.*", causal=True) as subscription:
        begun = asyncio.get_running_loop().time()
        await held.bus.publish("m.b", "orphan", parent=to_come(held, 1))
        await held.bus.publish("m.b", "child", parent=to_come(held, 1, "m.b"))
        await held.bus.publish("m.b", "grandchild", parent=to_come(held, 2, "m.b"))
        assert await story(subscription, 3) == ["orphan!", "child", "grandchild"]
        assert asyncio.get_running_loop().time() - begun > LIMITS["causal_wait"] * 0.9
        await held.bus.publish("m.a", "too late")
        assert await story(subscription, 1) == ["too late"]
        assert subscription.statistics.orphaned == 1


async def test_so_many_wait_and_no_more(held: Held) -> None:
    """CO2: beyond that the oldest comes as an orphan, at once."""
    bound = LIMITS["causal_messages"]
    async with held.bus.subscribe("m.*", causal=True) as subscription:
        for number in range(int(bound) + 3):
            await held.bus.publish("m.b", number, parent=to_come(held, number + 1))
        assert await story(subscription, 3) == ["0!", "1!", "2!"]
        assert subscription.statistics.waiting == bound
        for _ in range(int(bound) + 3):
            await held.bus.publish("m.a", "parent")
        assert (await story(subscription, 5))[3:] == ["parent", "3"]


@pytest.mark.parametrize("credit", [1, 2])
async def test_what_is_held_uses_no_credit(held: Held, credit: int) -> None:
    """CO2: else its parent could never come."""
    async with held.bus.subscribe("m.*", causal=True, max_in_flight=credit) as subscription:
        for number in range(5):
            await held.bus.publish("m.b", number, parent=to_come(held, 1))
        await held.bus.publish("m.a", "parent")

        assert await story(subscription, 6) == ["parent", "0", "1", "2", "3", "4"]
        assert subscription.statistics.delivered == 6


async def test_the_end_lets_everything_go(held: Held) -> None:
    """CO2: what waited when the subscription was closed is handed out before the end."""
    async with held.bus.subscribe("m.*", causal=True) as subscription:
        await held.bus.publish("m.b", "orphan", parent=to_come(held, 1))
        await held.bus.publish("m.b", "child", parent=to_come(held, 1, "m.b"))
        await eventually(lambda: subscription.statistics.waiting == 2)
    items: list[Any] = []
    async with asyncio.timeout(LIMITS["causal_wait"] / 2):
        await collect(subscription, items)

    assert [(item.payload, item.orphaned) for item in items] == [("orphan", True), ("child", False)]
    for item in items:
        await item.nack()
    assert subscription.statistics.nacked == 2


async def test_batches_are_in_causal_order_too(held: Held) -> None:
    """CO2: and wait for what is held as they wait for more."""
    async with held.bus.subscribe("m.*", causal=True) as subscription:
        await held.bus.publish("m.b", "child", parent=to_come(held, 1))
        await held.bus.publish("m.a", "parent")
        await held.bus.publish("m.b", "orphan", parent=to_come(held, 9))
        got: list[tuple[object, bool]] = []
        async with asyncio.timeout(DEADLINE_S):
            async for batch in subscription.batches(max_wait=0.05):
                got += [(item.payload, item.orphaned) for item in batch if isinstance(item, Message)]
                if len(got) == 3:
                    break

    assert got == [("parent", False), ("child", False), ("orphan", True)]


async def test_what_a_predicate_leaves_out_has_come(held: Held) -> None:
    """CO2, CH4: it was handed out as far as its children are concerned, in its place; and it can ask for orphans."""
    async with (
        held.bus.subscribe("m.*", causal=True, where=lambda one: one.payload != "parent") as most,
        held.bus.subscribe("m.*", causal=True, where=lambda one: one.orphaned) as orphans,
    ):
        await held.bus.publish("m.b", "child", parent=to_come(held, 1, "m.c"))
        await held.bus.publish("m.c", "parent", parent=to_come(held, 1, "m.a"))
        await held.bus.publish("m.a", "grandparent")
        await held.bus.publish("m.b", "orphan", parent=to_come(held, 9))

        assert await story(most, 3) == ["grandparent", "child", "orphan!"]
        assert await story(orphans, 1) == ["orphan!"]
        statistics = most.statistics

    assert (statistics.delivered, statistics.filtered, statistics.orphaned, statistics.waiting) == (3, 1, 1, 0)


async def test_a_parent_that_is_not_subscribed_to_is_not_waited_for(held: Held) -> None:
    """CO2: nor one that the subscription is too young for."""
    await held.bus.publish("m.a", "before")
    async with held.bus.subscribe("m.a", causal=True) as subscription:
        await held.bus.publish("m.a", "elsewhere", parent=to_come(held, 9, "m.b"))
        await held.bus.publish("m.a", "younger", parent=to_come(held, 1))
        assert await story(subscription, 2) == ["elsewhere", "younger"]


async def test_a_parent_that_was_dropped_is_not_waited_for(held: Held) -> None:
    """CO2: the gap says that it will not come."""
    async with held.bus.subscribe("drop-oldest", causal=True, max_in_flight=1) as subscription:
        for number in range(20):
            await held.bus.publish("drop-oldest", number)
        await held.bus.publish("drop-oldest", "child", parent=to_come(held, 10, "drop-oldest"))
        items: list[Any] = []
        while not items or getattr(items[-1], "payload", "") != "child":
            items += await take(subscription, 1)

    assert not items[-1].orphaned
    assert sum(getattr(item, "count", 1) for item in items) == 21


async def test_on_another_node_a_parent_from_before_is_not_waited_for(pair: Pair) -> None:
    """CO2, CH8: the nodes tell where their channels stood, so that none needs to be waited for in vain."""
    await pair.here.publish("ticks", "before")
    parent = Reference("ticks", "a", pair.a.epoch, 1, 1)
    async with pair.there.subscribe("ticks", causal=True, wait="cluster") as subscription:
        await pair.there.publish("ticks", "younger", parent=parent)
        assert await story(subscription, 1) == ["younger"]


async def test_many_children_across_nodes_come_behind_their_parents(pair: Pair) -> None:
    """CO2, CH8: whoever answers in the middle of a burst."""
    async with (
        pair.here.subscribe("m.*", wait="cluster") as asked,
        pair.there.subscribe("m.*", causal=True, wait="cluster") as subscription,
    ):
        for number in range(50):
            pair.there.publish_nowait("m.q", number)
        for _ in range(50):
            question = await message(asked)
            pair.here.publish_nowait("m.r", question.payload, parent=question)
        items = [await message(subscription) for _ in range(100)]

    seen: set[Reference] = set()
    for item in items:
        assert item.causal is None or item.causal in seen
        assert not item.orphaned
        seen.add(item.reference)
    assert len(seen) == 100


async def test_statistics_add_up_without_causal_order(held: Held) -> None:
    """CO2: whoever did not ask for it gets things as they come, and no orphans."""
    async with held.bus.subscribe("m.*") as subscription:
        await held.bus.publish("m.b", "child", parent=to_come(held, 1))
        await held.bus.publish("m.a", "parent")
        assert await payloads(subscription, 2) == ["child", "parent"]
        assert subscription.statistics.orphaned == 0
