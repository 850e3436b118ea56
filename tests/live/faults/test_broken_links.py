"""Links that are reset, or swallow bytes: both ends are linked again, and what was missed is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node

from .fleet import Fleet
from .proxy import Proxy
from .reader import Reader
from .traffic import flood

pytestmark = pytest.mark.live

RELINK_S = 20.0


@dataclass
class Pair:
    """Nodes a and b; each reaches the other through a proxy only."""

    a: Node
    b: Node
    proxies: tuple[Proxy, Proxy]

    async def relinked(self, former: object = None) -> object:
        """Wait until both are linked, on another link than ``former``; return a's end."""
        for node, peer in ((self.a, "b"), (self.b, "a")):
            hub, registry = node.running.hub, node.running.registry

            def there(node: Node = node, peer: str = peer) -> bool:
                mesh = node.running.hub.mesh
                assert mesh is not None
                new = node is not self.a or mesh.links.get(peer) is not former
                return new and peer in mesh.links and registry.synced(peer, 0)  # noqa: B023 - used within the turn

            assert await hub.until(there, asyncio.get_running_loop().time() + RELINK_S)
        mesh = self.a.running.hub.mesh
        assert mesh is not None
        return mesh.links["b"]

    def reset(self) -> None:
        """Reset the link."""
        assert sum(proxy.reset() for proxy in self.proxies) >= 2


@asynccontextmanager
async def linked(fleet: Fleet, **options: Any) -> AsyncIterator[Pair]:
    """Start a pair, and wait until it is linked."""
    async with AsyncExitStack() as stack:
        before_a, before_b = [await stack.enter_async_context(Proxy()) for _ in range(2)]
        overrides = {"b": before_b.address}
        a = Node(NodeConfig(**fleet.config("a", dial_overrides=overrides, **options)))
        await stack.enter_async_context(a)
        before_a.point(str(a.addresses["mesh"]))
        overrides = {"a": before_a.address}
        b = Node(NodeConfig(**fleet.config("b", [before_a.address], dial_overrides=overrides, **options)))
        await stack.enter_async_context(b)
        before_b.point(str(b.addresses["mesh"]))
        pair = Pair(a, b, (before_a, before_b))
        await pair.relinked()
        yield pair


async def test_what_a_reset_cost_is_told(fleet: Fleet) -> None:
    """One reset between two publishes in a row, and what comes after it is delivered."""
    async with linked(fleet) as pair, pair.b.subscribe("t.x", wait="cluster") as subscription:
        reader = Reader(subscription).start()
        await pair.a.publish("t.x", b"before")
        await reader.until(1)
        former = await pair.relinked()

        pair.reset()
        for _ in range(10):
            await pair.a.publish("t.x", b"while")
        await pair.relinked(former)
        await pair.a.publish("t.x", b"after")

        await reader.until(12)
        reader.check(12)
        assert dict(reader.reasons) == {"link": 10}
        await reader.stop()


async def test_a_loss_is_told_without_another_publish(fleet: Fleet) -> None:
    """The subscriber hears of it when the link stands again, in one gap."""
    async with linked(fleet) as pair, pair.b.subscribe("t.>", wait="cluster") as subscription:
        reader = Reader(subscription).start()
        pair.reset()
        for _ in range(5):
            pair.a.publish_nowait("t.x", b"while")

        await reader.until(5)
        reader.check(5)
        await reader.stop()


@pytest.mark.parametrize("lane_bytes", ["8MiB", "64KiB"])
async def test_books_balance_at_speed_over_several_resets(fleet: Fleet, lane_bytes: str) -> None:
    """In both directions at once, with inboxes that are too small now and then."""
    limits, stop = {"channel_lane_bytes": lane_bytes, "max_frame": "64KiB"}, asyncio.Event()
    async with (
        linked(fleet, limits=limits, inbox={"messages": 2000}) as pair,
        pair.a.subscribe("t.x", wait="cluster") as at_a,
        pair.b.subscribe("t.*", wait="cluster") as at_b,
    ):
        readers = [Reader(one).start() for one in (at_a, at_b)]
        floods = [asyncio.create_task(flood(node, "t.x", 10_000_000, 100, stop=stop)) for node in (pair.a, pair.b)]
        link = await pair.relinked()
        for _ in range(5):
            await asyncio.gather(*(reader.until(reader.total + 4000) for reader in readers))
            pair.reset()
            link = await pair.relinked(link)
        stop.set()
        published = sum([int(done["published"]) for done in await asyncio.gather(*floods)])
        for reader in readers:
            await reader.until(published)
            reader.check(published)
            assert reader.reasons["link"] > 0
            await reader.stop()


async def test_links_that_swallow_bytes_are_given_up_and_made_again(fleet: Fleet, tmp_path: Any) -> None:
    """In one direction or in both: after 5 s of it the session ends on both sides; what was published is accounted."""

    async def swallow(name: str, **ways: bool) -> None:
        folder = tmp_path / name
        folder.mkdir()
        async with linked(Fleet(folder)) as pair, pair.b.subscribe("t.x", wait="cluster") as subscription:
            reader = Reader(subscription).start()
            link = await pair.relinked()
            for proxy, mirrored in zip(pair.proxies, (False, True), strict=True):
                inbound, outbound = ways["to_a"], ways["to_b"]
                proxy.swallow(inbound=outbound if mirrored else inbound, outbound=inbound if mirrored else outbound)
            mesh = pair.a.running.hub.mesh
            assert mesh is not None
            published = 0
            async with asyncio.timeout(60):
                while mesh.links.get("b") is link:
                    await pair.a.publish("t.x", b"x" * 100)
                    published += 1
                    await asyncio.sleep(0.01)
            for proxy in pair.proxies:
                proxy.heal()
            await pair.relinked(link)
            await pair.a.publish("t.x", b"after")
            await reader.until(published + 1)
            reader.check(published + 1)
            assert reader.delivered >= 1
            await reader.stop()

    await asyncio.gather(
        swallow("both", to_a=True, to_b=True),
        swallow("to_a", to_a=True, to_b=False),
        swallow("to_b", to_a=False, to_b=True),
    )
