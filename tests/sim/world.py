"""A world of nodes on one virtual clock: shipped cores and registries, joined by byte streams.

Each node has both cores, for sessions and for control links. What they send goes through the shipped codecs, and
what arrives through the shipped buffer. Everything that happens is an event of one heap, and every choice comes from
one seeded generator, so a run repeats exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from liminal_mesh.cluster.auth import derive_key
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.seeds import parse_seed
from liminal_mesh.cluster.swim import LAN, SwimOptions

from .host import Host
from .network import Network

__all__ = ["World", "address_of"]

KEY = derive_key(b"a cookie of the simulation, 32 +", "test")


def address_of(name: str) -> str:
    """Return where node ``name`` listens."""
    return f"{name}:7601"


class World(Network):
    """All nodes, the network between them, and the clock."""

    def __init__(self, seed: int = 0, swim: SwimOptions = LAN, /, **options: object) -> None:
        super().__init__(seed)
        self.names: dict[str, list[str]] = {}
        """What names stand for; one that is not here does not exist."""
        self.checks: list[Callable[[Host], None]] = []
        self.control_checks: list[Callable[[Host], None]] = []
        self._swim = swim
        self._options = PeeringOptions("test", "nowhere:1")
        self._options = replace(self._options, **options)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"{list(self.hosts.values())}"

    def add(
        self,
        name: str,
        seeds: str = "",
        epoch: int = 1,
        *,
        key: bytes = KEY,
        address: str = "",
        cluster: str = "test",
        ring_records: int = 1024,
        expected: int = 2,
        names: str = "",
        before: Callable[[Host, bytes], None] | None = None,
    ) -> Host:
        """Start a node; ``seeds`` are names of nodes, in one text, and ``names`` seeds as they are written.

        ``before`` is called with it and its run.
        """
        where = address or address_of(name)
        known = (*map(address_of, seeds.split()), *names.split())
        options = replace(self._options, cluster=cluster, address=where, seeds=known, expected=expected)
        registry = Registry(NodeId(name, epoch), ring_records=ring_records)
        run = self.rng.randbytes(8)
        host = Host(self, registry, run, key, options, self._swim)
        self.hosts[where] = host
        if before is not None:
            before(host, run)
        host.start()
        return host

    def crash(self, host: Host) -> None:
        """Kill a node: its kernel resets its connections."""
        host.alive = False
        if self.hosts.get(host.address) is host:
            del self.hosts[host.address]
        for end in (*host.ends.values(), *host.control_ends.values()):
            end.open = False
            self.transmit(end, None)
        host.ends.clear()
        host.control_ends.clear()

    def resolve(self, host: Host, seed: str) -> None:
        """Look a name up."""
        self.later(self.latency(), self._resolved, host, seed)

    def _resolved(self, host: Host, seed: str) -> None:
        addresses = self.names.get(parse_seed(seed).host, [])
        host.when_running(host.resolved, seed, addresses, "" if addresses else "NXDOMAIN")

    def stepped(self, host: Host) -> None:
        """Check what must hold after every step of a node's sessions."""
        for check in self.checks:
            check(host)

    def control_stepped(self, host: Host) -> None:
        """Check what must hold after every step of a node's membership."""
        for check in self.control_checks:
            check(host)
