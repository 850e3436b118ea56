"""Errors of the mesh and of the wire.

::

    LiminalError
    ├── Refused
    │   ├── AddressInUse      a listener's address is taken
    │   ├── CookieRejected    a cookie that is too weak to start with
    │   ├── NameInUse         another live node bears this name
    │   └── StaleEpoch        a later run of this name is known to the mesh
    └── Failed
        └── ProtocolError     the other side sent what the protocol does not allow; its connection closes
"""

from liminal_mesh.storage import Failed, Refused

__all__ = ["AddressInUse", "CookieRejected", "NameInUse", "ProtocolError", "StaleEpoch"]


class AddressInUse(Refused):
    """A listener's address is taken by another program: nothing was opened."""

    def __init__(self, listener: str, address: str) -> None:
        self.listener = listener
        self.address = address
        super().__init__(
            f"the {listener} address {address} is in use: "
            "stop what listens there, or choose another (port 0 takes a free one)"
        )


class CookieRejected(Refused):
    """The cookie is short or well known: the node does not start with it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the cookie {reason}: make one with 'liminal cookie new FILE'")


class NameInUse(Refused):
    """Another live node bears this name: this node was not let in, and no state changed anywhere."""

    def __init__(self, name: str, address: str = "") -> None:
        self.name = name
        self.address = address
        where = f" at {address}" if address else ""
        super().__init__(f"a live node named {name!r} is already in the mesh{where}: give this one another name")


class StaleEpoch(Refused):
    """A later run of this node's name is known: the clock went back, or an old copy was started."""

    def __init__(self, name: str, epoch: int, known: int) -> None:
        self.name = name
        self.epoch = epoch
        self.known = known
        super().__init__(
            f"node {name!r} runs with epoch {epoch}, but the mesh knows {known}: "
            "check this machine's clock, then restart the node"
        )


class ProtocolError(Failed):
    """The other side broke the protocol: its frame changed nothing, and its connection is closed."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
