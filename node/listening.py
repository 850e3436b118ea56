"""Opens the listeners that a node's configuration asks for."""

from __future__ import annotations

from typing import Final

from liminal_mesh.cluster import Listener

from .config import NodeConfig
from .descriptors import check_descriptors
from .environment import Environment

__all__ = ["PATIENCE", "open_listeners"]

PATIENCE: Final = 0.2
"""What part of the time for its handshake a newcomer has although others wait for its place."""


def open_listeners(config: NodeConfig, environment: Environment) -> dict[str, Listener]:
    """Open all listeners, or none; return them by name: ``client``, and as they are wanted ``http`` and ``mesh``.

    Raises:
        AddressInUse: another program listens at one of the addresses.
        ConfigError: this process may not have as many file descriptors as the node may need.
        OSError: an address is not one of this machine's.
    """
    limits = config.limits
    wanted = {"client": config.client.address}
    if environment.http:
        wanted["http"] = config.http.address
    if config.cluster is not None:
        wanted["mesh"] = config.cluster.address
    check_descriptors(limits, len(wanted), "mesh" in wanted, environment.descriptors)
    listeners: dict[str, Listener] = {}
    try:
        for name, address in wanted.items():
            patience_s = limits.handshake_timeout * PATIENCE
            listener = Listener(
                name, address, limits.listen_backlog, limits.handshakes, environment.network, patience_s
            )
            listener.open()
            listeners[name] = listener
    except BaseException:
        for listener in listeners.values():
            listener.close()
        raise
    return listeners
