"""What a node tells its peers to dial, and where it says that its clients connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from liminal_mesh.cluster import Address, parse_address

from .config_types import AUTO

if TYPE_CHECKING:
    from .config import ClientConfig, ClusterConfig
    from .environment import Environment

__all__ = ["advertised", "advertised_to_clients"]

_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - an address that listens everywhere is nowhere to dial


def advertised(cluster: ClusterConfig, listen: Address, environment: Environment) -> str:
    """Return the address that peers shall dial, as ``host:port``.

    It is what is configured, else where the node listens. ``auto`` is the machine's host name, with the port where the
    node listens: in a container it is a name that others on its network can look up, and it outlives the address.
    """
    return _told(cluster.advertise, listen, environment)


def advertised_to_clients(client: ClientConfig, listen: Address, mesh: str, environment: Environment) -> str:
    """Return where clients connect, as other nodes may tell theirs when they leave; "" if it is nowhere for others.

    Where the listener takes whoever reaches the machine, it is the host that peers dial. A listener on loopback is for
    clients of the same machine: it is told only where peers dial a loopback address, too.

    Args:
        client: the listener's configuration.
        listen: where it really listens.
        mesh: what peers dial.
        environment: the world around the node.
    """
    if client.advertise is not None:
        return _told(client.advertise, listen, environment)
    peers = parse_address(mesh)
    if listen.host in _ANY:
        return str(Address(peers.host, listen.port))
    return str(listen) if peers.loopback or not listen.loopback else ""


def _told(advertise: str | None, listen: Address, environment: Environment) -> str:
    if advertise is None:
        return str(listen)
    if advertise == AUTO:
        return str(Address(environment.host_name(), listen.port))
    host, port = parse_address(advertise)
    return str(Address(host, port or listen.port))
