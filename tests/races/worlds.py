"""What a race between sessions needs of a world: one connection that stands still while others go on."""

from __future__ import annotations

from ..sim.host import End, Host
from ..sim.watching import link
from ..sim.world import World

__all__ = ["clog", "conns", "pair", "unclog"]


def pair(seed: int = 0, **options: object) -> tuple[World, Host, Host]:
    """Return two nodes that have been linked for a while; ``a`` decides, and ``b`` has it as its seed."""
    world = World(seed, **options)
    a, b = world.add("a"), world.add("b", "a")
    world.run(2)
    assert link(a, "b").peer is link(b, "a")
    return world, a, b


def clog(end: End) -> None:
    """Let what this end sends on this one connection wait on its way, the end of the stream too."""
    end.stuck.append(b"")  # the world keeps the order of a stream: what follows waits behind it


def unclog(world: World, end: End) -> None:
    """Let it arrive."""
    stuck, end.stuck = end.stuck, []
    for data in stuck:
        world.transmit(end, data)


def conns(host: Host) -> dict[str, int]:
    """Return the connections that are a node's sessions, by the peer's name."""
    return {name: session.conn for name, session in host.core.sessions().items()}
