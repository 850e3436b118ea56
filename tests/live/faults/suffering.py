"""What is done to a recorded run while it works: every fault once, in some order."""

from __future__ import annotations

import asyncio
import random

from .proxy import Proxy
from .recording import RecordedMesh
from .runs import listen, publish

__all__ = ["Suffering"]


class Suffering:
    """Faults of a mesh of the nodes a, b and c, with a client of c behind a proxy.

    Args:
        mesh: the processes.
        to_client: between c and the client.
        chance: draws what is left open.
        deaf_s: for how long bytes are swallowed.
    """

    def __init__(self, mesh: RecordedMesh, to_client: Proxy, chance: random.Random, deaf_s: float) -> None:
        self._mesh = mesh
        self._to_client = to_client
        self._chance = chance
        self._deaf_s = deaf_s
        self._closes = 0

    async def all(self) -> None:
        """Do everything once, links resets a few times more."""
        doings = [
            self.reset, self.reset, self.reset, self.freeze, self.swallow, self.cut, self.cut, self.restart,
            self.evolve, self.evolve, self.drain,
            self.expel, self.expel_all,
        ]  # fmt: skip
        self._chance.shuffle(doings)
        for doing in doings:
            await doing()
            await asyncio.sleep(self._chance.uniform(0.2, 0.8))

    async def reset(self) -> None:
        """Reset the links that were dialled to a node."""
        self._mesh.reset(self._chance.choice("abc"))

    async def freeze(self) -> None:
        """Let a node stand still for a second."""
        self._mesh.note("freeze c")
        self._mesh.workers["c"].freeze()
        await asyncio.sleep(1.0)
        self._mesh.workers["c"].thaw()

    async def swallow(self) -> None:
        """Let what goes over a node's links be late, or lost; of some links one direction, of others both."""
        name = self._chance.choice("abc")
        self._mesh.note(f"swallow what goes to {name}")
        self._mesh.proxies[name].swallow(outbound=self._chance.random() < 0.5)
        await asyncio.sleep(self._deaf_s)
        self._mesh.proxies[name].heal()

    async def cut(self) -> None:
        """Reset a client's connection."""
        self._mesh.note("cut the client off")
        self._to_client.reset()

    async def restart(self) -> None:
        """Kill a node, and start it again."""
        await self._mesh.kill("b")
        await asyncio.sleep(0.3)
        await self._start("b")

    async def _start(self, name: str) -> None:
        await self._mesh.node(name)
        await self._mesh.linked()
        await listen(self._mesh, name)
        await publish(self._mesh, name)

    async def drain(self) -> None:
        """Let a node leave amid its work, and start it again."""
        await self._mesh.whole()
        await self._mesh.drain("c")
        await self._start("c")
        self._to_client.point(self._mesh.workers["c"].addresses["client"])

    async def expel(self) -> None:
        """Let each node close a client's connection."""
        for name in "abc":
            await self._expel(name, 1)

    async def expel_all(self) -> None:
        """Let a node close all connections of clients; there is one that knows of no other node."""
        await self._expel("a", 0)

    async def _expel(self, name: str, most: int) -> None:
        self._closes += 1
        reason = f"reason {self._closes}"
        self._mesh.note(f"clients of {name} are sent off: {reason}")
        await self._mesh.workers[name].call("expel", reason=reason, most=most)

    async def evolve(self) -> None:
        """Let the schema of a channel at a node follow another one, and then another one that has to be forced."""
        name = self._chance.choice("abc")
        for _ in range(2):
            self._mesh.note(f"evolve at {name}")
            await self._mesh.workers[name].call("evolve")
            await asyncio.sleep(0.3)
