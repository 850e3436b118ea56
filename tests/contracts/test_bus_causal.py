"""What caused what: a publish names its parent, wherever its subscribers are."""

from __future__ import annotations

from typing import Any

import pytest

from liminal_mesh.node.chains import Chains

from .holders import Held, Pair, message


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
