"""A program as its author types it: nothing here runs, mypy reads it with everything else (``make types``).

What it says of a type is asserted; what it does wrong has to be an error, or the comment that allows it is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import assert_type

from liminal_mesh import (
    Bus,
    Busy,
    ChannelConfig,
    ChannelInfo,
    Client,
    ClientConnection,
    ClusterConfig,
    DedupConfig,
    Down,
    Failed,
    Gap,
    GroupMembership,
    GroupSnapshot,
    InboxConfig,
    Joined,
    Left,
    LimitsConfig,
    Member,
    MemberChanged,
    MembersSnapshot,
    Message,
    Node,
    NodeConfig,
    Pid,
    Pressure,
    PressureConfig,
    Process,
    Publisher,
    PublishOutcome,
    Reference,
    Refused,
    SchemaRejected,
    Subscription,
    Unknown,
    connect,
)
from liminal_mesh.testing import Cluster


@dataclass
class Order:
    """What is published."""

    id: int


def configured() -> Node:
    """In code: seconds, bytes and paths."""
    orders = ChannelConfig(
        name="orders",
        schema=Path("order.json"),
        inbox=InboxConfig(messages=10, bytes=1 << 20, overflow="reject"),
        dedup=DedupConfig(window=60),
        pressure=[PressureConfig(at=0.5, slow=2.0, signal="scale-out", alert="warning")],
    )
    cluster = ClusterConfig(seeds=["127.0.0.1:7611"], ready="joined", dial_overrides={"b": "127.0.0.1:1"})
    more = ChannelConfig(name="m.>", schema={"type": "object"}, ack="all")  # type: ignore[arg-type]
    return Node(NodeConfig(name="a", cluster=cluster, channels=[orders, more], limits=LimitsConfig(peers=10)))


async def publishes(bus: Bus) -> None:
    """On a node and a client alike."""
    outcome = await bus.publish("orders", Order(1), key="1", headers={"a": "b"}, ack="nodes", timeout=1)
    assert_type(outcome, PublishOutcome)
    assert_type(outcome.delivered, bool | None)
    assert_type(outcome.pressure, Pressure)
    await bus.publish("orders", 1, ack="all")  # type: ignore[arg-type]
    bus.publish("orders", 1)  # type: ignore[unused-coroutine]
    try:
        bus.publish_nowait("orders", "x")
    except Busy as error:
        assert_type(error.retry_after, float)
    except SchemaRejected as error:
        assert_type(error.path, str)
    except (Refused, Failed, Unknown):
        raise
    async with bus.publisher("orders", window=16) as publisher:
        assert_type(publisher, Publisher)
        await publisher.send(b"x")


async def subscribes(bus: Bus) -> None:
    """What is handed out may be a gap."""
    async with bus.subscribe("orders", where=lambda one: one.payload["id"] > 1, wait="cluster") as orders:
        assert_type(orders, Subscription)
        async for item in orders:
            item.payload  # type: ignore[union-attr]  # noqa: B018 - of a gap
            if isinstance(item, Gap):
                assert_type(item.count, int)
                continue
            assert_type(item, Message)
            assert_type(item.decode(Order), Order)
            assert_type(item.reference, Reference)
            await bus.publish("orders", 1, parent=item)
        async for batch in orders.batches(100):
            assert_type(batch, list[Message | Gap])
    bus.subscribe("orders", wait="all", group=3)  # type: ignore[arg-type]


async def watches(bus: Bus) -> None:
    """Processes, groups and nodes."""

    async def worker(me: Process) -> None:
        async for item in me.mailbox:
            assert_type(item, Message | Gap)

    process = await bus.spawn(worker)
    assert_type(await bus.join("billing", process.pid), GroupMembership)
    await bus.join("billing", process)  # type: ignore[arg-type]
    async with bus.monitor(process.pid) as monitor:
        assert_type(await monitor.down(), Down)
    assert_type(await bus.group_members("billing"), tuple[Pid, ...])
    async for event in bus.watch_group("billing"):
        assert_type(event, GroupSnapshot | Joined | Left)
    async for change in bus.watch_members():
        match change:
            case MembersSnapshot(members):
                assert_type(members, tuple[Member, ...])
            case MemberChanged(before, after):
                assert_type((before, after), tuple[Member | None, Member | None])


async def holds() -> None:
    """Whatever holds a bus is one."""
    async with configured() as node:
        assert_type(node, Node)
        await publishes(node)
        assert_type(await node.channels.create("x", inbox={"messages": 1}), ChannelInfo)
        node.channels.set_pressure("x", lambda consumers: max(one.utilisation for one in consumers))
        for connection in node.connections():
            assert_type(connection, ClientConnection)
            assert_type(await node.disconnect(connection.pid), bool)
    async with connect("liminal://127.0.0.1:7600", name="x") as client:
        assert_type(client, Client)
        await subscribes(client)
    async with Cluster(nodes=3, channels=["orders"]) as cluster, cluster.client("a", "b") as other:
        await watches(cluster["a"])
        await watches(other)
