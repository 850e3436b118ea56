"""What every holder of a bus may rely on of links: each of two processes gets the other's exit, wherever they are."""

from __future__ import annotations

import itertools

import pytest

from liminal_mesh.cluster import Pid
from liminal_mesh.node.errors import NoProcess
from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process

from ..nodes import DEADLINE_S, until
from .holders import Held, Pair, ended, eventually, stay, take


async def pairs(pair: Pair) -> tuple[Process, Process]:
    """Return a process on each side, linked by the first one."""
    one, two = await pair.here.spawn(stay), await pair.there.spawn(stay)
    one.link(two.pid)
    one.link(two.pid)
    await until_linked(pair.b, two.pid, one.pid)
    return one, two


async def until_linked(node: Node, pid: Pid, *others: Pid) -> None:
    """Wait until a process of a node is linked with these and no others, its own client aside."""
    table = node.running.hub.processes
    await eventually(lambda: set(table.links(pid)) - set(table.living("connection")) == set(others))


@pytest.mark.parametrize("reason", ["killed", "shutdown", "error: it broke"])
@pytest.mark.parametrize("side", [0, 1], ids=["from-here", "from-there"])
async def test_linked_processes_end_for_the_same_reason(pair: Pair, side: int, reason: str) -> None:
    """Whichever of them ends first, and whoever made the link."""
    both = await pairs(pair)
    both[side].exit(reason)
    assert await ended(both[1 - side]) == reason


async def test_a_normal_end_spares_the_other(pair: Pair) -> None:
    """And ends the link."""
    one, two = await pairs(pair)
    two.exit("normal")
    await until_linked(pair.a, one.pid)
    assert repr(one).endswith("running>")


@pytest.mark.parametrize("side", [0, 1], ids=["from-here", "from-there"])
async def test_an_unlinked_process_is_spared(pair: Pair, side: int) -> None:
    """Either of the two can end the link."""
    both = await pairs(pair)
    both[side].unlink(both[1 - side].pid)
    await until_linked(pair.a, both[0].pid)
    await until_linked(pair.b, both[1].pid)

    both[1].exit("killed")
    async with pair.here.monitor(both[1].pid) as monitor:
        assert (await monitor.down(DEADLINE_S)).reason == "killed"
    assert repr(both[0]).endswith("running>")


@pytest.mark.parametrize("reason", ["normal", "killed"])
async def test_a_link_with_one_that_is_over_brings_its_reason(pair: Pair, reason: str) -> None:
    """Which ends the process, unless it is a normal one."""
    one, two = await pair.here.spawn(stay), await pair.there.spawn(stay)
    two.exit(reason)
    async with pair.there.monitor(two.pid) as monitor:
        await monitor.down(DEADLINE_S)
    one.link(two.pid)
    if reason == "normal":
        await until_linked(pair.a, one.pid)
        assert repr(one).endswith("running>")
    else:
        assert await ended(one) == reason


async def test_a_link_with_one_of_a_node_that_is_not_there_ends_the_process(held: Held) -> None:
    """As the loss of that node would."""
    process = await held.bus.spawn(stay)
    process.link(Pid("nowhere", 1, 1))
    assert await ended(process) == "noconnection"


async def test_a_chain_of_links_ends_in_one_go(pair: Pair) -> None:
    """Over nodes and back."""
    buses = [pair.here, pair.there] * 5
    chain = [await bus.spawn(stay) for bus in buses]
    for one, two in itertools.pairwise(chain):
        one.link(two.pid)
    await until_linked(pair.b, chain[-1].pid, chain[-2].pid)
    for one, two, three in zip(chain, chain[1:], chain[2:], strict=False):
        await until_linked(pair.a if two.pid.node == "a" else pair.b, two.pid, one.pid, three.pid)
    chain[4].exit("error: the fifth")
    assert [await ended(one) for one in chain] == ["error: the fifth"] * 10


async def test_ch3_a_subscription_ends_with_the_process_that_is_linked_to_it(pair: Pair) -> None:
    """Whoever iterates hears the reason; its member has left."""
    async with pair.there.subscribe("ticks", wait="cluster") as subscription:
        process = await pair.here.spawn(stay)
        process.link(subscription.id)
        await until_linked(pair.b, subscription.id, process.pid)
        process.exit("error: no more")
        with pytest.raises(NoProcess) as error:
            await take(subscription, 1)
    assert (error.value.pid, error.value.reason) == (str(subscription.id), "error: no more")
    await until(pair.a, lambda: not pair.a.running.registry.groups(0))


async def test_ch3_a_subscription_that_is_left_spares_whoever_is_linked_to_it(pair: Pair) -> None:
    """Its end is a normal one."""
    process = await pair.here.spawn(stay)
    async with pair.there.subscribe("ticks") as subscription:
        process.link(subscription.id)
        await until_linked(pair.b, subscription.id, process.pid)
    await until_linked(pair.a, process.pid)
    assert repr(process).endswith("running>")
