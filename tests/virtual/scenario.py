"""A run with a bit of everything, written down: what each node and each subscriber saw, and when."""

from __future__ import annotations

import asyncio
import sys

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.values import Gap
from liminal_mesh.testing import Cluster

__all__ = ["trace"]


async def trace(seed: int) -> list[str]:
    """Return what happened in the run of a seed, one line each."""
    lines: list[str] = []
    async with Cluster(nodes=4, seed=seed) as cluster:
        tell = asyncio.Event()

        async def read(who: str, bus: Bus) -> None:
            async with bus.subscribe("t.*", wait="cluster") as subscription:
                tell.set()
                async for item in subscription:
                    what = f"lost {item.count}" if isinstance(item, Gap) else item.payload
                    lines.append(f"{cluster.now!r} {who} {item.channel} {item.origin} {what}")

        async with cluster.client("b", "c") as client, asyncio.TaskGroup() as tasks:
            readers = [tasks.create_task(read(name, node)) for name, node in cluster.nodes.items()]
            readers.append(tasks.create_task(read("client", client)))
            await asyncio.sleep(0.1)
            writers = [tasks.create_task(_write(cluster, name)) for name in "acd"]
            await _break(cluster)
            await asyncio.gather(*writers)
            for task in readers:
                task.cancel()
        for name, node in cluster.nodes.items():
            lines += [f"{name} {event}" for event in node.running.hub.events]
    return lines


async def _write(cluster: Cluster, name: str) -> None:
    for number in range(60):
        await cluster[name].publish(f"t.{name}", number, ack="nodes" if number % 5 else None)
        await asyncio.sleep(0.25)


async def _break(cluster: Cluster) -> None:
    cluster.partition("a", {"c", "d"})
    await asyncio.sleep(3)
    await cluster.kill("b")
    await asyncio.sleep(1)
    cluster.partition("c", "d", one_way=True)
    await asyncio.sleep(6)
    cluster.heal()
    await cluster.restart("b")
    await cluster.linked()


if __name__ == "__main__":
    print(*asyncio.run(trace(int(sys.argv[1]))), sep="\n")
