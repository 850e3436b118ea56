"""A whole mesh in virtual time: what befalls its nodes, and what its programs see of that."""

from __future__ import annotations

import asyncio
import time
from math import inf, nan
from pathlib import Path

import pytest

from liminal_mesh.cluster import Member
from liminal_mesh.node.config import ChannelConfig, ClientConfig, ClusterConfig
from liminal_mesh.node.errors import ChannelNotConfigured, ConfigError, NoConnection
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Gap
from liminal_mesh.testing import Cluster


async def reachable(node: Node) -> dict[str, bool]:
    """Return whether each other member is reachable, as a node sees it."""

    def entry(member: Member) -> tuple[str, bool]:
        return member.name, member.reachable

    return dict(entry(member) for member in await node.members() if member.name != node.name)


async def account(subscription: Subscription, last: int) -> tuple[list[int], int]:
    """Take items up to the number ``last``: return the numbers of the messages, and how many were lost."""
    received: list[int] = []
    lost = at = 0
    while at < last:
        item = await anext(subscription)
        if isinstance(item, Gap):
            lost, at = lost + item.count, item.last
        else:
            at = item.sequence
            received.append(at)
    return received, lost


async def test_a_cluster_is_whole_when_it_is_entered() -> None:
    """Each node knows each other; names are letters or one's own."""
    async with Cluster(nodes=3) as cluster:
        assert list(cluster.nodes) == ["a", "b", "c"]
        for node in cluster.nodes.values():
            assert list((await reachable(node)).values()) == [True, True]
        assert cluster.now < 1
    async with Cluster(nodes=["north", "south"]) as cluster:
        assert await reachable(cluster["north"]) == {"south": True}


async def test_minutes_of_virtual_time_take_no_time() -> None:
    """Nobody waits for a clock: three nodes keep their links for ten minutes within seconds at the very most."""
    began = time.monotonic()
    async with Cluster(nodes=3) as cluster:
        await asyncio.sleep(600)
        assert cluster.now > 600
        assert all((await reachable(cluster["a"])).values())

    assert time.monotonic() - began < 10


async def test_a_partition_masks_members_after_five_seconds_of_silence() -> None:
    """And not before; healed, they are back."""
    async with Cluster(nodes=3) as cluster:
        cluster.partition("a", {"b", "c"})
        await asyncio.sleep(3.5)
        assert await reachable(cluster["a"]) == {"b": True, "c": True}
        await asyncio.sleep(3.5)
        assert await reachable(cluster["a"]) == {"b": False, "c": False}
        assert await reachable(cluster["b"]) == {"a": False, "c": True}

        cluster.heal()
        await cluster.linked()
        assert await reachable(cluster["a"]) == {"b": True, "c": True}


async def test_a_short_partition_only_delays() -> None:
    """What is held in the network arrives when it is healed: TCP sends it again."""
    async with Cluster(nodes=2) as cluster, cluster["b"].subscribe("t", wait="cluster") as subscription:
        cluster.partition("a", "b")
        await cluster["a"].publish("t", b"late")
        await asyncio.sleep(2)
        healed = cluster.now
        cluster.heal()

        item = await anext(subscription)
        assert isinstance(item, Message)
        assert item.payload == b"late"
        assert cluster.now - healed < 0.01


async def test_what_a_partition_costs_is_told() -> None:
    """Delivered and lost together are what was published, in order."""
    async with Cluster(nodes=3) as cluster, cluster["b"].subscribe("t", wait="cluster") as subscription:
        for number in range(1, 41):
            if number == 11:
                cluster.partition("a", {"b", "c"})
            if number == 31:
                cluster.heal()
                await cluster.linked()
            await cluster["a"].publish("t", number)
            await asyncio.sleep(0.5)

        received, lost = await account(subscription, 40)
    assert received == sorted(set(received))
    assert len(received) + lost == 40
    assert lost > 0
    assert received[:10] == list(range(1, 11))
    assert received[-10:] == list(range(31, 41))


async def test_a_partition_of_one_way_is_seen_on_both_sides() -> None:
    """Who is not heard is lost, and who hears nothing back gives up too."""
    async with Cluster(nodes=3) as cluster, cluster["a"].subscribe("t", wait="cluster") as subscription:
        cluster.partition("a", "b", one_way=True)
        await cluster["b"].publish("t", b"the other way")
        item = await anext(subscription)
        assert isinstance(item, Message)
        assert item.payload == b"the other way"
        await asyncio.sleep(10)

        assert await reachable(cluster["a"]) == {"b": False, "c": True}
        assert await reachable(cluster["b"]) == {"a": False, "c": True}


async def test_a_killed_node_is_gone_at_once() -> None:
    """Its peers see a reset, not silence; a publish with receipts goes on without it."""
    async with Cluster(nodes=3) as cluster, cluster["b"].subscribe("t", wait="cluster") as subscription:
        await cluster.kill("b")
        await asyncio.sleep(0.1)

        assert await reachable(cluster["a"]) == {"b": False, "c": True}
        *_, last = cluster["a"].running.hub.events
        assert (last["kind"], last["peer"], last["reason"]) == ("link_down", "b", "Connection reset by peer")
        assert list(cluster.nodes) == ["a", "c"]
        outcome = await cluster["a"].publish("t", b"", ack="nodes")
        assert (dict(outcome.nodes), outcome.delivered) == ({"b": "lost"}, False)
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)


async def test_a_restarted_node_is_a_later_run_of_its_name() -> None:
    """After a kill, and while it runs."""
    async with Cluster(nodes=2) as cluster:
        epochs = [cluster["b"].epoch]
        await cluster.kill("b")
        for _ in range(2):
            restarted = await cluster.restart("b")
            await cluster.linked()
            assert cluster["b"] is restarted
            epochs.append(restarted.epoch)
            [b] = [member for member in await cluster["a"].members() if member.name == "b"]
            assert (b.epoch, b.reachable) == (restarted.epoch, True)

        assert epochs == sorted(set(epochs))


async def test_a_node_that_nobody_knows_takes_a_later_epoch_too() -> None:
    """However fast it comes back."""
    async with Cluster(nodes=1) as cluster:
        epoch = cluster["a"].epoch
        await cluster.kill("a")
        assert (await cluster.restart("a")).epoch > epoch


async def test_whoever_connects_into_a_partition_gets_no_answer() -> None:
    """Not even a refusal; when it is healed in time, the connection is made after all."""
    async with Cluster(nodes=2) as cluster:
        client = cluster.client("a")
        cluster.partition("client", "a", one_way=True)
        began = cluster.now
        with pytest.raises(NoConnection, match="no answer within 5 s"):
            async with client:
                pass
        assert cluster.now == pytest.approx(began + 5, abs=0.01)

        asyncio.get_running_loop().call_later(2.5, cluster.heal)
        async with cluster.client("a", name="later") as later:
            assert later.pid.node == "a"


async def test_a_stopped_node_hands_on_what_it_accepted() -> None:
    """It drains, where a killed one does not."""
    async with Cluster(nodes=2) as cluster, cluster["b"].subscribe("t", wait="cluster") as subscription:
        for number in range(100):
            cluster["a"].publish_nowait("t", number)
        assert await cluster.stop("a")

        items = [await anext(subscription) for _ in range(100)]
        assert [item.payload for item in items if isinstance(item, Message)] == list(range(100))


async def test_a_client_moves_to_another_node() -> None:
    """It has a host of its own, which a partition can name."""
    async with (
        Cluster(nodes=3) as cluster,
        cluster.client("a", "b", name="reader") as client,
        client.subscribe("t", wait="cluster") as subscription,
    ):
        assert client.pid.node == "a"
        cluster.partition("reader", "a")
        await asyncio.sleep(60)
        assert client.pid.node == "b"

        await cluster["c"].publish("t", b"still here", ack="nodes")
        item = await anext(subscription)
        assert isinstance(item, Message)
        assert item.payload == b"still here"


async def test_a_client_of_a_killed_node_alone_says_so() -> None:
    """Nobody listens there."""
    async with Cluster(nodes=2) as cluster:
        await cluster.kill("b")
        with pytest.raises(NoConnection, match="refused"):
            async with cluster.client("b"):
                pass


async def test_channels_and_configuration_are_those_that_were_asked_for() -> None:
    """As on any node."""
    config = {"drain_timeout": 1, "cluster": {"name": "mine"}}
    async with Cluster(nodes=2, channels=["t.*", ChannelConfig(name="small", ack="nodes")], config=config) as cluster:
        assert cluster["a"].config.drain_timeout == 1
        assert cluster["a"].config.cluster is not None
        assert cluster["a"].config.cluster.name == "mine"
        async with cluster["b"].subscribe("*", wait="cluster"):
            outcome = await cluster["a"].publish("small", b"")
        assert dict(outcome.nodes) == {"b": "delivered"}
        with pytest.raises(ChannelNotConfigured):
            await cluster["a"].publish("large", b"")

    with pytest.raises(ConfigError, match="no_such_key"):
        Cluster(config={"no_such_key": 1})


def test_what_cannot_be_set_for_all_nodes_is_refused_by_name() -> None:
    """Nothing that was asked for is dropped in silence, and each refusal says what to do."""
    for config, said in (
        ({"name": "mine"}, r"name: .*Cluster\(nodes="),
        ({"channels": ["t"]}, r"channels: .*Cluster\(channels="),
        ({"client": {"listen": "127.0.0.1:1"}}, r"client\.listen: .*address of its own"),
        ({"client": ClientConfig(listen="127.0.0.1:1")}, r"client\.listen: .*address of its own"),
        ({"cluster": {"listen": "127.0.0.1:1"}}, r"cluster\.listen: .*address of its own"),
        ({"cluster": {"advertise": "127.0.0.1:1"}}, r"cluster\.advertise: .*address of its own"),
        ({"cluster": {"seeds": ["127.0.0.1:1"]}}, r"cluster\.seeds: .*already"),
        ({"cluster": None}, "cluster: has to be a table, not None"),
    ):
        with pytest.raises(ConfigError, match=said):
            Cluster(config=config)
    with pytest.raises(ConfigError, match=r"write channels=\['orders'\]"):
        Cluster(channels="orders")


async def test_sections_can_be_given_as_their_models() -> None:
    """With what they set; the cluster's own keys are filled in."""
    async with Cluster(nodes=2, config={"cluster": ClusterConfig(name="mine"), "client": ClientConfig()}) as cluster:
        assert cluster["b"].config.cluster is not None
        assert cluster["b"].config.cluster.name == "mine"
        assert await reachable(cluster["a"]) == {"b": True}


async def test_each_node_has_its_own_folder(tmp_path: Path) -> None:
    """Below the one that was given: names and epochs are kept, and the next cluster's are later."""
    epochs = []
    for _ in range(2):
        async with Cluster(nodes=2, config={"data_dir": tmp_path}) as cluster:
            epochs.append(cluster["b"].epoch)
            assert cluster["b"].config.data_dir == tmp_path / "b"
    assert epochs == sorted(set(epochs))


@pytest.mark.parametrize("latency", [(-1.0, 0.01), (0.1, 0.01), (0.0, inf), (nan, 1.0)])
def test_an_impossible_latency_is_refused(latency: tuple[float, float]) -> None:
    """Before anything travels."""
    with pytest.raises(ValueError, match="the latency"):
        Cluster(latency=latency)


async def test_mistakes_are_named() -> None:
    """Who is not there, who does not run, and what is no partition."""
    for nodes, said in ((0, "0 nodes"), (27, "27 nodes"), (["a", "a"], "names of their own"), (["a b"], "a b")):
        with pytest.raises(ValueError, match=said):
            Cluster(nodes=nodes)
    async with Cluster(nodes=2) as cluster:
        with pytest.raises(KeyError, match="'x': there are a, b"):
            cluster["x"]
        with pytest.raises(KeyError, match="'x'"):
            cluster.partition("a", "x")
        with pytest.raises(ValueError, match="1 groups"):
            cluster.partition({"a", "b"})
        with pytest.raises(ValueError, match="in two groups"):
            cluster.partition("a", {"a", "b"})
        with pytest.raises(ValueError, match="'b' is there already"):
            cluster.client("a", name="b")
        await cluster.kill("b")
        with pytest.raises(RuntimeError, match="'b' does not run"):
            await cluster.kill("b")
        with pytest.raises(RuntimeError, match="'b' does not run"):
            await cluster.stop("b")
        with pytest.raises(RuntimeError, match="'b' does not run"):
            cluster["b"]
        with pytest.raises(RuntimeError, match="entered once"):
            await cluster.__aenter__()


async def test_nodes_that_cannot_link_are_named() -> None:
    """By the pairs that do not know each other."""
    async with Cluster(nodes=3) as cluster:
        cluster.partition("a", "b")
        await asyncio.sleep(10)
        await cluster.linked()
        cluster.heal()
        with pytest.raises(TimeoutError, match="a does not know b"):
            await cluster.linked(timeout=0.0001)
        await cluster.linked()
