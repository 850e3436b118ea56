"""What a node tells its peers to dial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import Address, parse_address

from .config_types import AUTO

if TYPE_CHECKING:
    from .config import ClusterConfig
    from .environment import Environment

__all__ = ["advertised"]


def advertised(cluster: ClusterConfig, listen: Address, environment: Environment) -> str:
    """Return the address that peers shall dial, as ``host:port``.

    It is what is configured, else where the node listens. ``auto`` is the machine's host name, with the port where the
    node listens: in a container it is a name that others on its network can look up, and it outlives the address.
    """
    if cluster.advertise == AUTO:
        return str(Address(environment.host_name(), listen.port))
    if cluster.advertise is None:
        return str(listen)
    host, port = parse_address(cluster.advertise)
    return str(Address(host, port or listen.port))
