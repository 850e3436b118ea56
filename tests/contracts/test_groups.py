"""Process groups: what is sent to a group reaches every member's mailbox, on every node, or shows there as a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from liminal_mesh.cluster import CLIENT_CODEC, GROUP_SCOPE, ClientPublish, Connect, Envelope, NodeId, Pid
from liminal_mesh.node.errors import LimitExceeded
from liminal_mesh.node.inbox import Anchor, Inbox, Run
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.values import Gap

from ..nodes import DEADLINE_S, mesh, until
from .conftest import channels
from .holders import payloads

SMALL = {"inbox_messages": 4}

REFUSED = r"a group|no group|reserved|empty token"


class Process:
    """A process of a node with a mailbox."""

    def __init__(self, node: Node, credit: int = 100) -> None:
        self.hub = node.running.hub
        self.pid = self.hub.processes.spawn("process", lambda _: None)
        self.mailbox: Inbox = self.hub.interests.make_mailbox(credit)
        self.told = asyncio.Event()

    def ready(self) -> None:
        """Something is in the mailbox."""
        self.told.set()

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """As a connection does: the anchor waits behind what came before it."""
        self.mailbox.note_anchor(Anchor(origin, heads))

    def join(self, group: str) -> Subscriber:
        """Join a group, without waiting for the other nodes."""
        return self.hub.interests.join(self.pid, group, self.mailbox, self)

    async def joined(self, group: str) -> Subscriber:
        """Join a group, and wait until every node knows of it."""
        member = self.join(group)
        await self.hub.interests.barrier("join", group, DEADLINE_S, GROUP_SCOPE)
        return member

    async def take(self, count: int) -> list[tuple[str, bytes] | Gap]:
        """Take so many messages, as (group, body), or gaps."""
        items: list[tuple[str, bytes] | Gap] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(items) < count:
                self.told.clear()
                match self.mailbox.take(100):
                    case None:
                        await self.told.wait()
                    case Gap() as gap:
                        items.append(gap)
                    case (Run() as run, start, stop):
                        items += [(run.channel, item.body) for item in run.items[start:stop]]
                        self.mailbox.settle(stop - start)
        return items

    def anchors(self) -> list[Anchor]:
        """Take the anchors that wait."""
        taken = []
        while isinstance(note := self.mailbox.take(0), Anchor):
            taken.append(note)
        return taken


@pytest_asyncio.fixture
async def nodes() -> AsyncIterator[tuple[Node, Node]]:
    """Two linked nodes whose mailboxes keep four messages beside what their readers may have in hand."""
    async with mesh(2, channels=channels(), limits=SMALL) as (a, b):
        yield a, b


async def test_every_member_on_every_node_gets_what_is_sent_to_its_group(nodes: tuple[Node, Node]) -> None:
    """Once, in order, and the outcome says which nodes took it."""
    a, b = nodes
    near, far, other = Process(a), Process(b), Process(b)
    for process in (near, far, other):
        await process.joined("my.group")

    first = await a.send_group("my.group", b"1", headers={"h": "v"}, ack="nodes")
    second = await a.send_group("my.group", b"2")

    for process in (near, far, other):
        assert await process.take(2) == [("my.group", b"1"), ("my.group", b"2")]
    assert (first.delivered, first.local, dict(first.nodes)) == (True, 1, {"b": "delivered"})
    assert (second.delivered, second.local, dict(second.nodes)) == (True, 1, {"b": "sent"})
    assert second.message_id > first.message_id


async def test_a_member_that_left_gets_nothing_more(nodes: tuple[Node, Node]) -> None:
    """Its mailbox and its other groups stay; leaving again does not end a later membership."""
    a, b = nodes
    process = Process(b)
    member = await process.joined("x")
    await process.joined("y")
    process.hub.interests.leave(member)
    await process.hub.interests.barrier("leave", "x", DEADLINE_S, GROUP_SCOPE)

    assert (await a.send_group("x", b"late", ack="nodes")).delivered is False
    await a.send_group("y", b"y")
    again = await process.joined("x")
    process.hub.interests.leave(member)
    await a.send_group("x", b"x")

    assert again is not member
    assert await process.take(2) == [("y", b"y"), ("x", b"x")]


async def test_one_name_in_two_scopes_never_meets(nodes: tuple[Node, Node]) -> None:
    """A channel and a group of one name, on both nodes: each has its own messages, numbers and members."""
    a, b = nodes
    near, far = Process(a), Process(b)
    async with a.subscribe("ticks") as here, b.subscribe("ticks", wait="cluster") as there:
        await near.joined("ticks")
        await far.joined("ticks")
        ids = []
        for number in range(3):
            ids.append((await a.publish("ticks", b"channel %d" % number, ack="nodes")).message_id)
            ids.append((await a.send_group("ticks", b"group %d" % number, ack="nodes")).message_id)

        for subscription in (here, there):
            assert await payloads(subscription, 3) == [b"channel 0", b"channel 1", b"channel 2"]
            assert subscription.statistics.waiting == subscription.statistics.gaps == 0
    for process in (near, far):
        assert await process.take(3) == [("ticks", b"group 0"), ("ticks", b"group 1"), ("ticks", b"group 2")]
        assert process.mailbox.queued == 0
    assert ids == sorted(set(ids))
    assert b.running.registry.groups(GROUP_SCOPE).keys() == {"ticks"}


async def test_a_member_of_two_groups_gets_both_in_one_mailbox_in_order(nodes: tuple[Node, Node]) -> None:
    """Once for each group that it was sent to."""
    a, b = nodes
    process = Process(b)
    await process.joined("x")
    await process.joined("y")

    for number in range(6):
        await a.send_group("xy"[number % 2], b"%d" % number)

    assert await process.take(6) == [("xy"[number % 2], b"%d" % number) for number in range(6)]


async def test_joining_twice_is_joining_once(nodes: tuple[Node, Node]) -> None:
    """The same member is returned, a message comes once, and one leave is enough."""
    a, b = nodes
    process = Process(b)
    member = process.join("x")
    assert await process.joined("x") is member

    await a.send_group("x", b"1", ack="nodes")
    await a.send_group("x", b"2", ack="nodes")
    assert await process.take(2) == [("x", b"1"), ("x", b"2")]
    process.hub.interests.leave(member)
    assert process.hub.groups.channels.groups == {}


async def test_a_mailbox_that_is_full_loses_its_oldest_into_a_gap_of_their_group(nodes: tuple[Node, Node]) -> None:
    """Each group's losses are told apart, and what follows is there."""
    a, b = nodes
    process = Process(b, credit=2)  # six messages in all
    await process.joined("x")
    await process.joined("y")
    for number in range(1, 5):
        await a.send_group("x", b"%d" % number, ack="nodes")
        await a.send_group("y", b"%d" % number, ack="nodes")

    items = await process.take(8)

    gaps = [(item.channel, item.first, item.last, item.reason) for item in items if isinstance(item, Gap)]
    assert gaps == [("x", 1, 1, "overflow"), ("y", 1, 1, "overflow")]
    assert items[2:] == [(group, b"%d" % number) for number in (2, 3, 4) for group in "xy"]


async def test_the_anchors_of_two_groups_in_one_mailbox_are_both_told(nodes: tuple[Node, Node]) -> None:
    """Each names its group, also when nothing was sent to it yet."""
    a, b = nodes
    await a.send_group("x", b"before")
    process = Process(b)
    await process.joined("x")
    await process.joined("y")

    heads: dict[str, dict[str, int]] = {}
    for anchor in process.anchors():
        heads.setdefault(anchor.origin.name, {}).update(anchor.heads)

    assert heads == {"a": {"x": 1, "y": 0}, "b": {"x": 0, "y": 0}}


async def test_a_broken_link_shows_as_a_gap_in_the_mailbox(nodes: tuple[Node, Node]) -> None:
    """What was sent meanwhile is told once the link stands again."""
    a, b = nodes
    process = Process(b)
    await process.joined("x")
    await a.send_group("x", b"1", ack="nodes")
    assert await process.take(1) == [("x", b"1")]
    link = a.running.hub.mesh
    assert link is not None
    link.links["b"].wire.abort("cut by the test")
    await until(a, lambda: "b" not in link.links)

    await a.send_group("x", b"lost")
    [gap] = await process.take(1)

    assert isinstance(gap, Gap)
    assert (gap.channel, gap.origin, gap.first, gap.last, gap.reason) == ("x", "a", 2, 2, "link")


async def test_a_client_publishes_in_the_scope_that_its_frame_names(nodes: tuple[Node, Node]) -> None:
    """Its group send reaches members, and no subscriber of a channel of that name."""
    a, b = nodes
    process = Process(b)
    await process.joined("ticks")
    host, port = a.addresses["client"]
    async with b.subscribe("ticks", wait="cluster") as subscription, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(host, port)
        items = [Envelope(0, 0, 0, 0, 0, b"from a client")]
        for frame in (Connect(1, 1, "tester"), ClientPublish(1, 1, "ticks", "nodes", 5000, items, GROUP_SCOPE)):
            writer.write(CLIENT_CODEC.encode(frame))
        assert await process.take(1) == [("ticks", b"from a client")]
        await a.publish("ticks", b"other", ack="nodes")
        assert await payloads(subscription, 1) == [b"other"]
        writer.close()
        await writer.wait_closed()
        del reader


@pytest.mark.parametrize("name", ["", "$liminal", "x.*", ">", "a b", "x..y"])
async def test_what_can_be_no_group_is_refused(nodes: tuple[Node, Node], name: str) -> None:
    """Exact names only, and none of the bus's own; nothing is kept of it."""
    process = Process(nodes[0])
    with pytest.raises(ValueError, match=REFUSED):
        process.join(name)
    with pytest.raises(ValueError, match=REFUSED):
        await nodes[0].send_group(name, b"")
    assert process.hub.groups.channels.channels == {}
    assert process.hub.groups.channels.groups == {}


async def test_no_more_groups_are_in_use_than_the_limit() -> None:
    """A group that was never sent to here makes room when its last member leaves; one that was keeps its numbers."""
    async with mesh(1, limits={"groups": 2}) as (node,):
        process = Process(node)
        member = process.join("x")
        await node.send_group("y", b"")
        for use in (lambda: node.send_group("z", b""), lambda: process.joined("z")):
            with pytest.raises(LimitExceeded, match="groups"):
                await use()
        with pytest.raises(TypeError):
            await node.send_group("unsendable", object())
        process.hub.interests.leave(member)

        process.join("z")
        assert (await node.send_group("z", b"")).local == 1
        assert node.running.hub.groups.channels.channels.keys() == {"y", "z"}


async def test_a_mailbox_gives_its_bytes_back_when_its_process_ends_and_not_before(nodes: tuple[Node, Node]) -> None:
    """Leaving a group lets what waits be read, and it counts until then."""
    process = Process(nodes[0])
    member = process.join("x")
    await nodes[0].send_group("x", b"waits")
    shared = process.hub.shared
    held = shared.budget.used

    process.hub.interests.leave(member)
    assert shared.budget.used == held > 0
    shared.retire(process.mailbox)
    assert shared.budget.used == 0
    assert await process.take(1) == [("x", b"waits")]


async def test_members_and_subscriptions_share_the_bound_on_registry_entries() -> None:
    """Peers count both."""
    async with mesh(1, limits={"registry_entries": 2}) as (node,):
        process = Process(node)
        process.join("x")
        async with node.subscribe("ticks"):
            with pytest.raises(LimitExceeded, match="registry_entries"):
                process.join("y")
            assert process.join("x").pid == process.pid
        assert isinstance(process.pid, Pid)
