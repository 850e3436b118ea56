"""A mesh for tests: real nodes in one process, over links in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from random import Random
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from liminal_mesh.cluster import PipeHost, PipeNetwork, Record

from .client import Client
from .config import ChannelConfig
from .environment import Environment
from .node import Node
from .process import CLEANUP_S
from .virtual_clock import VirtualClock
from .virtual_config import CLIENT_PORT, node_configs, node_names
from .virtual_node import VirtualNode

__all__ = ["Cluster"]

MIDNIGHT_NS: Final = 1_767_225_600 * 10**9
"""The time of day at which every cluster starts: 2026 began."""

LINKED_S: Final = 60.0
"""How long nodes may take to link, in virtual seconds."""

START_S: Final = 0.01
"""What a restart takes at least, in virtual seconds: the clock has moved on, and so has the epoch."""


class Cluster:
    """Nodes that are all linked: ``async with Cluster(nodes=3) as cluster``.

    While it is entered, the running loop keeps virtual time: whatever sleeps or has a deadline on it waits for no real
    clock. Threads that the loop runs (``asyncio.to_thread``) are waited for; real sockets are not. The same seed gives
    the same run. It is entered once, and used until it is left; what comes too early or too late is a ``RuntimeError``.

    Args:
        nodes: how many, named ``a``, ``b``, ...; or their names.
        seed: of everything that is drawn by chance.
        channels: of every node, as names, patterns or configurations; by default any name is a channel.
        config: more keys of :class:`.NodeConfig`, for every node. Names, channels and addresses are the cluster's own,
            and seeds can only be names (:meth:`name`); ``data_dir`` is a folder in which each node gets its own.
        latency: the shortest and the longest time, in virtual seconds, that anything travels from node to node.
        limit: the virtual second after which a test that still waits is failed.

    Raises:
        ValueError: that many nodes have no names, or two have one; or the latency is none.
        ConfigError: what ``channels`` or ``config`` say is wrong.
    """

    def __init__(
        self,
        nodes: int | Sequence[str] = 3,
        *,
        seed: int = 0,
        channels: Iterable[ChannelConfig | str] = (">",),
        config: Mapping[str, Any] | None = None,
        latency: tuple[float, float] = (0.0005, 0.002),
        limit: float = 3600.0,
    ) -> None:
        self.seed = seed
        self._names = node_names(nodes)
        self._network = PipeNetwork(seed, latency)
        self._hosts: dict[str, str] = {name: f"127.0.0.{number}" for number, name in enumerate(self._names, 1)}
        self._configs = node_configs(self._hosts, channels, config or {})
        self._limit = limit
        self._running: dict[str, tuple[VirtualNode, PipeHost]] = {}
        self._gone: dict[VirtualNode, None] = {}
        """Nodes that are killed at this moment, or whose functions are not over yet."""
        self._starts = 0
        self._clock: VirtualClock | None = None
        self._left = False
        self._owner: asyncio.Task[Any] | None = None
        self._hung = ""

    async def __aenter__(self) -> Self:
        if self._clock is not None:
            raise RuntimeError("a cluster is entered once")
        self._clock = VirtualClock(asyncio.get_running_loop(), self._limit, self._stuck)
        self._owner = asyncio.current_task()
        try:
            await self._clock.start()
            for name in self._names:
                await self._start(name)
            await self.linked()
        except BaseException as error:
            await self._leave(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        assert self._clock is not None
        self._left = True
        ending = asyncio.ensure_future(self._end(self._clock))
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError as cancelled:  # what is not ended now would run on in real time
                error = cancelled
        self._raise_hung(error)
        if deaf := ending.result():
            said = f"cancelled {CLEANUP_S:g} s ago, and still running: {', '.join(deaf)}; it runs on in real time"
            if error is None:
                raise RuntimeError(said)
            error.add_note(said)
        if isinstance(error, asyncio.CancelledError):
            raise error

    async def _end(self, clock: VirtualClock) -> list[str]:
        """End everything, and return the names of spawned functions that did not heed it."""
        nodes = [*self._gone, *(node for node, _ in self._running.values())]
        try:
            for _, host in self._running.values():
                host.kill()
            self._running.clear()
            ends = await asyncio.gather(*(node.kill() for node in nodes), return_exceptions=True)
            functions = [task for node in nodes for task in node.functions]
            if functions:
                await asyncio.wait(functions, timeout=CLEANUP_S)
        finally:
            self._network.close()
            await clock.stop()
        for end in ends:
            if end is not None:
                raise end
        return [task.get_name() for task in functions if not task.done()]

    # --- what runs ---

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes that run, by name."""
        return MappingProxyType({name: node for name, (node, _) in self._running.items()})

    def __getitem__(self, name: str) -> Node:
        """Return a running node; each start of a name is another object.

        Raises:
            KeyError: the cluster has no such node.
            RuntimeError: it was killed or stopped.
        """
        return self._run(name)[0]

    @property
    def now(self) -> float:
        """Virtual seconds since the cluster was entered."""
        return 0.0 if self._clock is None else self._clock.time()

    def client(self, *nodes: str, name: str = "client") -> Client:
        """Return a client for ``async with``, on a host of its own, that connects to the nodes in turn.

        Its name is the one by which :meth:`partition` knows it.

        Args:
            nodes: names; the first node of the cluster by default.
            name: of the client.

        Raises:
            KeyError: the cluster has no such node.
            ValueError: a node or another client has the name.
        """
        if name in self._hosts:
            raise ValueError(f"{name!r} is there already: give the client another name")
        url = ",".join(f"{self._place(one)}:{CLIENT_PORT}" for one in nodes or self._names[:1])
        self._hosts[name] = f"127.0.1.{len(self._hosts)}"
        environment, _ = self._environment(name)
        return Client(f"liminal://{url}", name=name, environment=environment)

    def name(self, name: str, *nodes: str) -> None:
        """Let a DNS name stand for these nodes from now on, also before entering; for none, it does not exist.

        Seeds of ``config`` such as ``dns://name:7601`` lead there.

        Raises:
            KeyError: the cluster has no such node.
        """
        self._network.names[name] = {"A": [Record(self._hosts[node]) for node in nodes]} if nodes else "NXDOMAIN"

    async def linked(self, timeout: float = LINKED_S) -> None:
        """Wait until any two running nodes that are not cut off from each other are linked, and know their groups.

        Args:
            timeout: in virtual seconds.

        Raises:
            TimeoutError: it names the pairs that are not.
        """
        deadline = self._entered().time() + timeout
        while unlinked := self._unlinked():
            one, other = unlinked[0]
            hub = self[one].running.hub
            if not await hub.until(lambda: self._knows(one, other), deadline):  # noqa: B023 - awaited here
                pairs = ", ".join(f"{one} does not know {other}" for one, other in unlinked)
                raise TimeoutError(f"after {timeout:g} s of virtual time: {pairs}")

    # --- what happens to it ---

    def partition(self, *groups: str | Iterable[str], one_way: bool = False) -> None:
        """Cut every way between nodes or clients of different groups, until :meth:`heal`.

        What travels there is lost, as in a black hole: no connection is reset, new ones are not answered. Who is in no
        group still reaches all. Another partition comes on top of the last.

        Args:
            groups: names, or collections of names.
            one_way: cut only the way from the first group to the second.

        Raises:
            KeyError: nobody has such a name.
            ValueError: there are not two groups, or they share a name.
        """
        sides = [[group] if isinstance(group, str) else sorted(group) for group in groups]
        names = [name for side in sides for name in side]
        if len(sides) < 2 or (one_way and len(sides) > 2):
            raise ValueError(f"{len(sides)} groups: a partition is between two{'' if one_way else ' or more'}")
        if len(set(names)) < len(names):
            raise ValueError(f"somebody is in two groups: {', '.join(sorted(names))}")
        for left, right in combinations(sides, 2):
            for one in left:
                for other in right:
                    self._network.cut(self._place(one), self._place(other))
                    if not one_way:
                        self._network.cut(self._place(other), self._place(one))

    def heal(self) -> None:
        """Open every way again; what was held arrives. :meth:`linked` waits until the nodes have found each other."""
        self._entered()
        self._network.heal()

    async def kill(self, name: str) -> None:
        """End a node as ``kill -9`` does: it says nothing to anyone, and whoever is connected sees a reset.

        The functions that it has spawned are cancelled and not waited for: nobody in the mesh hears of them any more.

        Raises:
            KeyError: the cluster has no such node.
            RuntimeError: it does not run.
        """
        await self._kill(name, self._run(name))

    async def stop(self, name: str) -> bool:
        """Stop a node as its program would; see :meth:`.Node.stop`. Raises as :meth:`kill`, which may cut it off."""
        run = self._run(name)
        try:
            return await run[0].stop()
        finally:
            await self._kill(name, run)

    async def restart(self, name: str) -> Node:
        """Start a node again: the same name, a later epoch. One that still runs is stopped first.

        Raises:
            KeyError: the cluster has no such node.
        """
        if name in self._running:
            await self.stop(name)
        self._place(name)
        await asyncio.sleep(START_S)
        return await self._start(name)

    # --- helpers ---

    async def _start(self, name: str) -> Node:
        environment, host = self._environment(name)
        node = VirtualNode(self._configs[name], environment)
        await node.start()
        if self._left:  # meanwhile: nobody else would end it
            host.kill()
            await node.kill()
        self._entered()
        self._running[name] = node, host
        return node

    async def _kill(self, name: str, run: tuple[VirtualNode, PipeHost]) -> None:
        node, host = run
        host.kill()
        if self._running.get(name) is run:
            del self._running[name]
        self._gone[node] = None
        await node.kill()
        if not node.functions:
            self._gone.pop(node, None)

    def _environment(self, name: str) -> tuple[Environment, PipeHost]:
        clock = self._entered()
        self._starts += 1
        chance = Random(f"{self.seed} {name} {self._starts}")  # noqa: S311 - seeded on purpose
        host = self._network.host(self._hosts[name])

        def wall_ns() -> int:
            return MIDNIGHT_NS + round(clock.time() * 1e9)

        return Environment(
            host, lambda _: host, wall_ns, clock.time, chance.randbytes, threads=False, descriptors=int, http=False
        ), host

    def _run(self, name: str) -> tuple[VirtualNode, PipeHost]:
        self._place(name)
        if name not in self._running:
            raise RuntimeError(f"node {name!r} does not run: it was killed or stopped, and can be restarted")
        return self._running[name]

    def _entered(self) -> VirtualClock:
        if self._clock is None:
            raise RuntimeError("the cluster is not entered yet: use it within 'async with'")
        if self._left:
            raise RuntimeError("the cluster was left, and is entered once: make another one")
        return self._clock

    def _place(self, name: str) -> str:
        self._entered()
        if name not in self._hosts:
            raise KeyError(f"nobody is called {name!r}: there are {', '.join(self._hosts)}")
        return self._hosts[name]

    def _unlinked(self) -> list[tuple[str, str]]:
        up = [name for name, (node, _) in self._running.items() if node.up]
        pairs = [(one, other) for one in up for other in up if one != other]
        return [(one, other) for one, other in pairs if not (self._parted(one, other) or self._knows(one, other))]

    def _parted(self, one: str, other: str) -> bool:
        here, there = self._hosts[one], self._hosts[other]
        return self._network.is_cut(here, there) or self._network.is_cut(there, here)

    def _knows(self, one: str, other: str) -> bool:
        return self._run(one)[0].knows(other, self[other].epoch)

    def _stuck(self, reason: str) -> bool:
        """Fail whoever entered the cluster, at the very place where it waits; False when it has ended already."""
        owner = self._owner
        if self._hung or owner is None or owner.done():
            return False
        self._hung = reason
        return owner.cancel()

    def _raise_hung(self, error: BaseException | None) -> None:
        if self._hung:
            if self._owner is not None and isinstance(error, asyncio.CancelledError):
                self._owner.uncancel()
            raise RuntimeError(f"the test hangs {self._hung}") from error
