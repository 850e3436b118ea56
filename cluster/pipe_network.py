"""A network in memory: hosts that listen and connect, names for them, ways that can be cut, and programs that die.

It is one of two networks; the other one is made of sockets. Whatever is drawn by chance is drawn from a seed.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import inf
from random import Random
from typing import Final

from .identity import Address
from .pipe import Flow, PipeTransport
from .resolver import Answer, Record, RecordKind

__all__ = ["PipeHost", "PipeNetwork"]

SYN_RETRY_S: Final = 1.0
"""After how long a connection is tried again that nobody answered."""

FREE_PORTS: Final = 32768
"""From here on ports are given to whoever asks for any."""


class PipeNetwork:
    """All hosts, and the ways between them.

    Args:
        seed: of all latencies.
        latency: the shortest and the longest time, in seconds, that anything travels; drawn evenly.

    Raises:
        ValueError: such a latency there cannot be.
    """

    def __init__(self, seed: int = 0, latency: tuple[float, float] = (0.0, 0.0)) -> None:
        if not 0 <= latency[0] <= latency[1] < inf:
            raise ValueError(f"the latency {latency}: it is (shortest, longest), in seconds, none below 0")
        self._seed = seed
        self._latency = latency
        self._hosts: dict[str, PipeHost] = {}
        self._ways: dict[tuple[str, str], _Way] = {}
        self._cut: dict[tuple[str, str], None] = {}
        self.connections: dict[_Connection, None] = {}
        self.names: dict[str, Mapping[RecordKind, Sequence[Record]] | str] = {}
        """What names stand for, or the failure of asking for them; a name that is not here does not exist."""

    def host(self, name: str) -> PipeHost:
        """Start a host, in the place of any that had its name; the name is the host part of its addresses."""
        host = self._hosts[name] = PipeHost(self, name)
        return host

    def cut(self, source: str, target: str) -> None:
        """Let nothing get from one host to another; what travels now is held, as if it were sent again and again."""
        self._cut[source, target] = None

    def heal(self) -> None:
        """Open every way."""
        self._cut.clear()
        for connection in tuple(self.connections):
            connection.healed()

    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing gets from one to the other."""
        return (source, target) in self._cut

    def way(self, source: str, target: str) -> _Way:
        """Return the way from one host to another."""
        if (source, target) not in self._ways:
            chance = Random(f"{self._seed} {source} {target}")  # noqa: S311 - seeded on purpose
            self._ways[source, target] = _Way(self, source, target, chance, self._latency)
        return self._ways[source, target]

    def port(self, address: Address) -> _PipePort | None:
        """Return the open port at an address."""
        host = self._hosts.get(address.host)
        return None if host is None else host.ports.get(address.port)

    def close(self) -> None:
        """End every connection, without a word to anyone."""
        for connection in tuple(self.connections):
            connection.end()


class PipeHost:
    """One host, as the network and the resolver of the program on it; see :class:`.Network`, :class:`.Resolver`."""

    def __init__(self, network: PipeNetwork, name: str) -> None:
        self.name = name
        self.ports: dict[int, _PipePort] = {}
        self._network = network
        self._killed = False
        self._free = FREE_PORTS

    def bind(self, address: Address, backlog: int) -> _PipePort:
        """Listen; see :meth:`.Network.bind`."""
        self._check_alive()
        if address.host != self.name:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        number = address.port or self.free_port()
        if number in self.ports:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        port = self.ports[number] = _PipePort(self, Address(self.name, number), backlog)
        return port

    async def connect(self, factory: Callable[[], asyncio.Protocol], address: Address) -> None:
        """Make a connection; see :meth:`.Network.connect`."""
        there, back = self._network.way(self.name, address.host), self._network.way(address.host, self.name)
        while True:
            self._check_alive()
            await asyncio.sleep(there.latency() + back.latency())
            if not there.cut and not back.cut:
                port = self._network.port(address)
                if port is None:
                    raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
                if port.room:
                    break
            await asyncio.sleep(SYN_RETRY_S)
        self._check_alive()
        connection = _Connection(self._network, self, port, there, back)
        port.arrived(connection.server)
        connection.client.start(factory())

    async def lookup(self, name: str, kinds: Sequence[RecordKind]) -> tuple[Answer, ...]:
        """Ask for the records of a name; see :meth:`.Resolver.lookup`."""
        await asyncio.sleep(0)
        entry = self._network.names.get(name, "NXDOMAIN")
        if isinstance(entry, str):
            return tuple(Answer(name, kind, (), entry) for kind in kinds)
        return tuple(Answer(name, kind, tuple(entry.get(kind, ()))) for kind in kinds)

    def free_port(self) -> int:
        """Return a port that nobody has had yet."""
        self._free += 1
        return self._free

    def kill(self) -> None:
        """End the program on it, as ``kill -9`` does: its peers see resets, and nobody hears anything else of it."""
        self._killed = True
        for port in tuple(self.ports.values()):
            port.close()
        for connection in tuple(self._network.connections):
            connection.kill(self)

    def _check_alive(self) -> None:
        if self._killed:
            raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))


class _Way:
    def __init__(
        self, network: PipeNetwork, source: str, target: str, chance: Random, latency: tuple[float, float]
    ) -> None:
        self._network = network
        self._ends = source, target
        self._chance = chance
        self._latency = latency

    @property
    def cut(self) -> bool:
        return self._network.is_cut(*self._ends)

    def latency(self) -> float:
        return self._chance.uniform(*self._latency)


class _PipePort:
    def __init__(self, host: PipeHost, address: Address, backlog: int) -> None:
        self.host = host
        self.address = address
        self._backlog = backlog
        self._waiting: deque[PipeTransport] = deque()
        self._came = asyncio.Event()

    @property
    def room(self) -> bool:
        return len(self._waiting) < self._backlog

    def arrived(self, end: PipeTransport) -> None:
        self._waiting.append(end)
        self._came.set()

    async def arrival(self) -> None:
        while not self._waiting:
            self._came.clear()
            await self._came.wait()

    async def accept(self, factory: Callable[[], asyncio.Protocol]) -> bool:
        await self.arrival()
        self._waiting.popleft().start(factory())
        return True

    def close(self) -> None:
        if self.host.ports.get(self.address.port) is self:
            del self.host.ports[self.address.port]
        for end in self._waiting:
            end.abort()
        self._waiting.clear()


class _Connection:
    """Two ends, and the two flows between them; forgotten when both programs have heard of its end."""

    def __init__(self, network: PipeNetwork, host: PipeHost, port: _PipePort, there: _Way, back: _Way) -> None:
        loop = asyncio.get_running_loop()
        local = Address(host.name, host.free_port())
        self._network = network
        self._flows = there_flow, back_flow = Flow(loop, there, back), Flow(loop, back, there)
        self._ended = 0
        self._hosts = host, port.host
        self.client = PipeTransport(loop, back_flow, there_flow, local, port.address, self._gone)
        self.server = PipeTransport(loop, there_flow, back_flow, port.address, local, self._gone)
        network.connections[self] = None

    def healed(self) -> None:
        for flow in self._flows:
            flow.healed()

    def kill(self, host: PipeHost) -> None:
        for owner, end in zip(self._hosts, (self.client, self.server), strict=True):
            if owner is host:
                end.abort()

    def end(self) -> None:
        self._network.connections.pop(self, None)
        for flow in self._flows:
            flow.end()

    def _gone(self) -> None:
        self._ended += 1
        if self._ended == 2:
            self.end()
