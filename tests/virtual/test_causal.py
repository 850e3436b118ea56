"""Causal order over three nodes, where an answer can be faster than its question."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.message import Message
from liminal_mesh.node.values import Gap
from liminal_mesh.testing import Cluster


async def hold(kind: str, cluster: Cluster, stack: AsyncExitStack) -> Bus:
    """Hold the third node."""
    return cluster["c"] if kind == "node" else await stack.enter_async_context(cluster.client("c", name="reader"))


async def answer(cluster: Cluster) -> None:
    """Ask at the first node, and answer at the second."""
    async with cluster["b"].subscribe("talk.question", wait="cluster") as questions:
        await cluster["a"].publish("talk.question", "question")
        question = await anext(questions)
        assert isinstance(question, Message)
        await cluster["b"].publish("talk.answer", "answer", parent=question)
        await cluster["b"].publish("talk.answer", "more", parent=question.reference)
        await cluster["b"].publish("talk.answer", "weather")


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_an_answer_that_overtakes_its_question_waits_for_it(kind: str) -> None:
    """CO2: the way from the first node to the third is slow; what is no answer is not held back."""
    async with Cluster(nodes=3) as cluster, AsyncExitStack() as stack:
        reader = await hold(kind, cluster, stack)
        async with reader.subscribe("talk.*", causal=True, wait="cluster") as talk, reader.subscribe("talk.*") as plain:
            cluster.partition({"a"}, {"c"})
            await answer(cluster)
            begun = cluster.now
            assert [await _said(talk) for _ in range(1)] == ["weather"]
            assert [await _said(plain) for _ in range(3)] == ["answer", "more", "weather"]
            await asyncio.sleep(2)
            assert talk.statistics.waiting == 2
            cluster.heal()
            assert [await _said(talk) for _ in range(3)] == ["question", "answer", "more"]
            assert 2 <= cluster.now - begun < 4


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_an_answer_whose_question_is_lost_comes_when_that_is_known(kind: str) -> None:
    """CO2: as an orphan if the time is up before; once the gap is told, nobody waits any more."""
    async with Cluster(nodes=3, config={"limits": {"causal_wait": 60}}) as cluster, AsyncExitStack() as stack:
        reader = await hold(kind, cluster, stack)
        async with reader.subscribe("talk.*", causal=True, wait="cluster") as talk:
            cluster.partition({"a"}, {"c"})
            await answer(cluster)
            assert await _said(talk) == "weather"
            await asyncio.sleep(20)  # the session is over by now, and what was on its way with it
            assert talk.statistics.waiting == 2
            cluster.heal()
            gap = await anext(talk)
            assert isinstance(gap, Gap)
            assert (gap.origin, gap.channel, gap.reason) == ("a", "talk.question", "link")
            assert [await _said(talk) for _ in range(2)] == ["answer", "more"]


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_an_answer_whose_question_does_not_come_is_an_orphan(kind: str) -> None:
    """CO2: five seconds are the time that it waits, unless the node's configuration says otherwise."""
    async with Cluster(nodes=3) as cluster, AsyncExitStack() as stack:
        reader = await hold(kind, cluster, stack)
        async with reader.subscribe("talk.*", causal=True, wait="cluster") as talk:
            cluster.partition({"a"}, {"c"})
            begun = cluster.now
            await answer(cluster)
            assert [await _said(talk) for _ in range(3)] == ["weather", "answer!", "more!"]
            assert 4.9 < cluster.now - begun < 5.5
            assert talk.statistics.orphaned == 2


async def test_a_client_that_moves_to_another_node_keeps_the_order() -> None:
    """CO2: what it missed meanwhile is told, and nothing waits for that."""
    async with Cluster(nodes=3) as cluster, cluster.client("b", "c", name="reader") as reader:
        async with reader.subscribe("talk.*", causal=True, wait="cluster") as talk:
            await cluster.kill("b")
            await cluster["a"].publish("talk.question", "missed")
            async with cluster["c"].subscribe("talk.*", wait="cluster") as asked:
                await cluster["a"].publish("talk.question", "missed, too")
                question = await anext(asked)
            assert isinstance(question, Message)
            await asyncio.sleep(3)
            await cluster["c"].publish("talk.answer", "answer", parent=question)
            items = [await anext(talk) for _ in range(2)]
            if isinstance(items[1], Gap):
                items.append(await anext(talk))

        assert sum(item.count for item in items if isinstance(item, Gap)) == 2
        [told] = [item for item in items if isinstance(item, Message)]
        assert (told.payload, told.orphaned) == ("answer", False)


async def _said(talk: object) -> str:
    item = await anext(talk)  # type: ignore[call-overload]
    assert isinstance(item, Message), item
    return f"{item.payload}{'!' if item.orphaned else ''}"
