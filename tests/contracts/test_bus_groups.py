"""What every holder of a bus may rely on of process groups: who is in, what its members get, and who is told."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.cluster import GROUP_SCOPE, SCOPES, Pid
from liminal_mesh.node.client import Client
from liminal_mesh.node.errors import DeadlineExceeded, LimitExceeded, NoProcess
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.receiver import Receiver
from liminal_mesh.node.values import Gap

from ..nodes import DEADLINE_S, node_config, until
from .holders import Held, Over, Pair, account, ended, eventually, holder, numbers, payloads, stay, take
from .test_bus import BAD_NAMES
from .test_bus_mesh import deafen, hear


def members(node: Node, group: str) -> tuple[Pid, ...]:
    """Return who is in a group, as a node sees it."""
    return node.running.registry.members(GROUP_SCOPE, group)


async def test_a_member_is_seen_from_everywhere_until_it_leaves(pair: Pair) -> None:
    """The bus itself, when no process is named; joining twice is once, and so is leaving."""
    first = await pair.there.join("my.group", wait="cluster")
    second = await pair.there.join("my.group", pair.there.pid)

    for bus in (pair.here, pair.there):
        assert await bus.group_members("my.group") == (pair.there.pid,)
        assert await bus.group_members("other") == ()
    assert (first.group, first.pid, second.pid) == ("my.group", pair.there.pid, pair.there.pid)
    assert repr(first) == f"<GroupMembership of {pair.there.pid} in 'my.group'>"
    assert pair.there.mailbox.pid == pair.there.pid

    await second.leave()
    assert await pair.there.group_members("my.group") == ()
    await first.leave()
    await until(pair.a, lambda: not members(pair.a, "my.group"))
    await pair.there.join("my.group", wait="cluster")
    assert await pair.here.group_members("my.group") == (pair.there.pid,)


async def test_the_members_of_a_group_are_sorted_over_nodes(pair: Pair) -> None:
    """On both sides the same."""
    expected = []
    for bus in (pair.there, pair.here, pair.there, pair.here):
        process = await bus.spawn(stay)
        await bus.join("x", process.pid, wait="cluster")
        expected.append(process.pid)

    await until(pair.a, lambda: len(members(pair.a, "x")) == 4)
    await until(pair.b, lambda: len(members(pair.b, "x")) == 4)
    for bus in (pair.here, pair.there):
        assert await bus.group_members("x") == tuple(sorted(expected))


async def test_a_membership_ends_with_its_process_everywhere(pair: Pair) -> None:
    """However that ends; leaving afterwards is nothing."""
    process, other = await pair.there.spawn(stay), await pair.here.spawn(stay)
    membership = await pair.there.join("x", process.pid, wait="cluster")
    await pair.there.join("y", process.pid, wait="cluster")
    other.link(process.pid)
    other.exit("killed")
    assert await ended(process) == "killed"

    await until(pair.a, lambda: not members(pair.a, "x") + members(pair.a, "y"))
    await membership.leave()


async def test_waiting_for_the_cluster_names_who_is_missing_and_leaves_again(pair: Pair) -> None:
    """Unless it was in before. Once the peer hears again, it succeeds."""
    before = await pair.there.join("before", wait="cluster")
    deafen(pair.a, "b")
    for group in ("x", "before"):
        with pytest.raises(DeadlineExceeded) as error:
            await pair.there.join(group, wait="cluster", timeout=0.05)
        assert (error.value.phase, error.value.missing) == ("join", ("a",))
        if group == "x":
            assert members(pair.b, "x") == ()
    assert members(pair.b, "before") == (pair.there.pid,)
    hear(pair.a, "b")

    await pair.there.join("x", wait="cluster")
    assert members(pair.a, "x") == (pair.there.pid,)
    await before.leave()


@pytest.mark.parametrize("how", ["deadline", "cancelled"])
async def test_a_join_that_is_given_up_takes_no_other_with_it(pair: Pair, how: str) -> None:
    """Two wait for the same peer, one of them in vain; and one that nobody else joins leaves nothing behind."""
    deafen(pair.a, "b")
    patient = asyncio.create_task(pair.there.join("x", wait="cluster", timeout=DEADLINE_S))
    hasty = asyncio.create_task(pair.there.join("x", wait="cluster", timeout=0.05 if how == "deadline" else 5))
    alone = asyncio.create_task(pair.there.join("y", wait="cluster", timeout=0.05 if how == "deadline" else 5))
    await eventually(lambda: bool(members(pair.b, "x") and members(pair.b, "y")))
    if how == "cancelled":
        hasty.cancel()
        alone.cancel()
    for task in (hasty, alone):
        with pytest.raises((DeadlineExceeded, asyncio.CancelledError)):
            await task
    hear(pair.a, "b")
    await patient

    await eventually(lambda: not members(pair.b, "y"))
    assert members(pair.b, "x") == members(pair.a, "x") == (pair.there.pid,)


async def test_a_process_that_ends_while_it_joins_is_said_to_be_over(pair: Pair) -> None:
    """With the reason of its end."""
    process = await pair.there.spawn(stay)
    deafen(pair.a, "b")
    joining = asyncio.create_task(pair.there.join("x", process.pid, wait="cluster"))
    await eventually(lambda: bool(members(pair.b, "x")))
    process.exit("killed")
    await eventually(lambda: not members(pair.b, "x"))
    hear(pair.a, "b")
    with pytest.raises(NoProcess) as error:
        await joining
    assert (error.value.pid, error.value.reason) == (str(process.pid), "killed")


async def test_the_first_joins_of_a_bus_may_come_all_at_once(held: Held) -> None:
    """Or be given up: the others and the next one do not feel it."""
    hasty = asyncio.create_task(held.bus.join("hasty"))
    joins = [asyncio.create_task(held.bus.join(f"g{number}")) for number in range(3)]
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.gather(*joins)
    await asyncio.wait([hasty])

    await held.bus.join("g3")
    for number in range(4):
        assert await held.bus.group_members(f"g{number}") == (held.bus.pid,)


async def test_only_processes_of_the_bus_can_join(pair: Pair) -> None:
    """Not one that is over, another bus's, another node's, or none at all."""
    over = await pair.here.spawn(stay)
    over.exit()
    strangers = [over.pid, (await pair.there.spawn(stay)).pid, pair.there.pid, Pid("a", pair.a.epoch, 1 << 30)]
    for pid in strangers:
        with pytest.raises(NoProcess) as error:
            await pair.here.join("x", pid)
        assert error.value.pid == str(pid)
        assert error.value.reason
    assert members(pair.a, "x") == ()


@pytest.mark.parametrize("name", [*BAD_NAMES, "x.*", ">"])
async def test_what_can_be_no_group_is_refused(held: Held, name: str) -> None:
    """By each verb, and the bus is unharmed."""
    for use in (held.bus.join(name), held.bus.send_group(name, b""), held.bus.group_members(name)):
        with pytest.raises(ValueError):
            await use
    with pytest.raises(ValueError):
        held.bus.watch_group(name)
    await held.bus.members()


async def test_no_more_groups_are_in_use_than_the_limit() -> None:
    """By that name; when one is left, there is room again."""
    async with Node(node_config("a", limits={"groups": 1})) as node, holder("client", node) as client:
        for bus in (node, client):
            membership = await bus.join("x")
            for use in (bus.join("y"), bus.send_group("y", b"")):
                with pytest.raises(LimitExceeded) as error:
                    await use
                assert (error.value.name, error.value.limit) == ("groups", 1)
            await membership.leave()


# --- what members get ---


async def boxes(pair: Pair, group: str) -> list[Receiver]:
    """Return the mailboxes of four new members, two on each side: the buses' own, and spawned ones."""
    found: list[Receiver] = []
    for bus in (pair.here, pair.there):
        process = await bus.spawn(stay)
        await bus.join(group, process.pid, wait="cluster")
        await bus.join(group, wait="cluster")
        found += [process.mailbox, bus.mailbox]
    await until(pair.a, lambda: len(members(pair.a, group)) == 4)
    await until(pair.b, lambda: len(members(pair.b, group)) == 4)
    return found


async def test_every_member_on_every_node_gets_each_message_once_in_order(pair: Pair) -> None:
    """A message tells where it comes from; a process in two groups gets both in one mailbox."""
    mailboxes = await boxes(pair, "my.group")
    for number in range(0, 60, 2):
        await pair.here.send_group("my.group", number, headers={"h": "v"})
        await pair.here.send_group("my.group", number + 1)
    for mailbox in mailboxes:
        assert await payloads(mailbox, 60) == list(range(60))
        assert mailbox.statistics.waiting == mailbox.statistics.gaps == 0

    await pair.here.send_group("my.group", b"", headers={"h": "v"})
    item = (await take(mailboxes[-1], 1))[0]
    assert isinstance(item, Message)
    assert (item.channel, item.origin, item.publisher, item.sequence, item.headers) == (
        "my.group", "a", pair.here.pid, 61, {"h": "v"}
    )  # fmt: skip


async def test_the_outcome_of_a_group_send_is_that_of_a_publish(pair: Pair) -> None:
    """Nobody there; accepted here; and what each node says."""
    nobody = await pair.here.send_group("my.group", b"")
    await boxes(pair, "my.group")
    accepted = await pair.here.send_group("my.group", b"")
    heard = await pair.here.send_group("my.group", b"", ack="nodes")

    assert (nobody.delivered, nobody.local, dict(nobody.nodes)) == (False, 0, {})
    assert (accepted.delivered, accepted.local, dict(accepted.nodes)) == (True, 2, {"b": "sent"})
    assert (heard.delivered, heard.local, dict(heard.nodes)) == (True, 2, {"b": "delivered"})
    assert nobody.message_id < accepted.message_id < heard.message_id


async def test_a_node_that_does_not_answer_is_unknown(pair: Pair) -> None:
    """After the time that the sender gives it."""
    await pair.there.join("x", wait="cluster")
    deafen(pair.b, "a")
    outcome = await pair.here.send_group("x", b"", ack="nodes", timeout=0.05)
    assert (outcome.delivered, dict(outcome.nodes)) == (None, {"b": "unknown"})
    hear(pair.b, "a")


async def test_what_a_full_mailbox_misses_shows_there_as_a_gap(pair: Pair) -> None:
    """Delivered and gaps are what was sent, each in its place."""
    process = await pair.there.spawn(stay)
    await pair.there.join("x", process.pid, wait="cluster")
    sent = 6_000  # more than the inbox and the credit of both ends hold
    for _ in range(sent - 1):
        await pair.here.send_group("x", b"")
    await pair.here.send_group("x", b"", ack="nodes")
    items = await account(process.mailbox, sent)

    gaps = [item for item in items if isinstance(item, Gap)]
    assert gaps
    assert {(gap.channel, gap.origin, gap.reason) for gap in gaps} == {("x", "a", "overflow")}
    assert numbers(items) == sent
    statistics = process.mailbox.statistics
    assert statistics.delivered + statistics.missed == sent


async def test_a_channel_and_a_group_of_one_name_never_meet(pair: Pair) -> None:
    """Neither their messages, nor their members, nor their numbers."""
    async with pair.there.subscribe("ticks", wait="cluster") as subscription:
        await pair.there.join("ticks", wait="cluster")
        for number in range(3):
            await pair.here.publish("ticks", f"channel {number}")
            await pair.here.send_group("ticks", f"group {number}")
        for receiver, what in ((subscription, "channel"), (pair.there.mailbox, "group")):
            items = [item for item in await take(receiver, 3) if isinstance(item, Message)]
            assert [(one.payload, one.sequence) for one in items] == [(f"{what} {n}", n + 1) for n in range(3)]
            assert receiver.statistics.waiting == 0
        assert await pair.here.group_members("ticks") == (pair.there.pid,)
        assert pair.a.running.registry.members(SCOPES.index("channel"), "ticks") == (subscription.id,)


async def test_a_member_that_left_gets_nothing_more(pair: Pair) -> None:
    """And no gap either, when it comes back later: what was sent meanwhile was not for it."""
    membership = await pair.there.join("x", wait="cluster")
    await pair.there.join("y", wait="cluster")
    await pair.here.send_group("x", 1, ack="nodes")
    await membership.leave()
    await until(pair.a, lambda: not members(pair.a, "x"))
    assert (await pair.here.send_group("x", 2, ack="nodes")).delivered is False
    await pair.there.join("x", wait="cluster")
    await pair.here.send_group("x", 3)
    await pair.here.send_group("y", 4)

    assert await payloads(pair.there.mailbox, 3) == [1, 3, 4]


async def test_a_mailbox_that_two_tasks_read_says_so(held: Held) -> None:
    """And goes on for the first of them."""
    await held.bus.join("x")
    first = asyncio.create_task(payloads(held.bus.mailbox, 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="two tasks"):
        await take(held.bus.mailbox, 1)
    await held.bus.send_group("x", b"")
    assert await first == [b""]


# --- readiness ---


async def test_ready_returns_when_the_peers_have_applied_everything(pair: Pair) -> None:
    """Of every scope; and is over at once when there is nothing to wait for."""
    await pair.there.join("x")
    async with pair.there.subscribe("ticks"):
        await pair.there.ready()
        assert members(pair.a, "x") == (pair.there.pid,)
        assert len(pair.a.running.registry.members(0, "ticks")) == 1
        await pair.there.ready(timeout=0.0)


async def test_ready_names_the_peer_that_is_frozen(pair: Pair) -> None:
    """And succeeds when that goes on."""
    deafen(pair.a, "b")
    await pair.there.join("x")
    with pytest.raises(DeadlineExceeded) as error:
        await pair.there.ready(timeout=0.05)
    assert (error.value.phase, error.value.missing) == ("ready", ("a",))
    waiting = asyncio.create_task(pair.there.ready())
    hear(pair.a, "b")
    await waiting


async def test_a_lone_node_is_ready(held: Held) -> None:
    """There is nobody to wait for; nor is anybody waited for who is gone."""
    await held.bus.ready()


async def test_the_mailbox_of_a_bus_that_ended_is_over(held: Held) -> None:
    """It hands out what waits before that."""
    mailbox = held.bus.mailbox
    await held.bus.join("x")
    await held.bus.send_group("x", b"waits", ack="nodes")
    await eventually(lambda: mailbox.statistics.waiting == 1)
    assert isinstance(held.bus, Node | Client)
    await (held.bus.stop() if isinstance(held.bus, Node) else held.bus.close())
    assert await payloads(mailbox, 1) == [b"waits"]
    with pytest.raises(Over):
        await take(mailbox, 1)
