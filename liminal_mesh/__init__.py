"""A clustered message bus: a mesh of equal nodes, no broker.

    from liminal_mesh import Gap, Node, NodeConfig, connect

The front door: everything that a program needs, imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liminal_mesh.cluster import (
        Address,
        AddressInUse,
        CookieRejected,
        Member,
        NameInUse,
        Pid,
        ProtocolError,
        StaleEpoch,
    )
    from liminal_mesh.node import (
        VERSION,
        AckRefused,
        Bus,
        Busy,
        ChannelClosed,
        ChannelConfig,
        ChannelExists,
        ChannelFailed,
        ChannelNotConfigured,
        Client,
        ClientConfig,
        ClusterConfig,
        ConfigError,
        DeadlineExceeded,
        Draining,
        Gap,
        HttpConfig,
        InboxConfig,
        LimitExceeded,
        LimitsConfig,
        LogConfig,
        Mailbox,
        Message,
        NoConnection,
        Node,
        NodeConfig,
        NotAuthorized,
        OutcomeUnknown,
        Pressure,
        Problem,
        Publisher,
        PublisherStatistics,
        PublishOutcome,
        Rejected,
        Subscription,
        SubscriptionStatistics,
        connect,
    )
    from liminal_mesh.storage import Failed, LiminalError, Refused, Unknown

__all__ = [
    "VERSION",
    "AckRefused",
    "Address",
    "AddressInUse",
    "Bus",
    "Busy",
    "ChannelClosed",
    "ChannelConfig",
    "ChannelExists",
    "ChannelFailed",
    "ChannelNotConfigured",
    "Client",
    "ClientConfig",
    "ClusterConfig",
    "ConfigError",
    "CookieRejected",
    "DeadlineExceeded",
    "Draining",
    "Failed",
    "Gap",
    "HttpConfig",
    "InboxConfig",
    "LiminalError",
    "LimitExceeded",
    "LimitsConfig",
    "LogConfig",
    "Mailbox",
    "Member",
    "Message",
    "NameInUse",
    "NoConnection",
    "Node",
    "NodeConfig",
    "NotAuthorized",
    "OutcomeUnknown",
    "Pid",
    "Pressure",
    "Problem",
    "ProtocolError",
    "PublishOutcome",
    "Publisher",
    "PublisherStatistics",
    "Refused",
    "Rejected",
    "StaleEpoch",
    "Subscription",
    "SubscriptionStatistics",
    "Unknown",
    "connect",
]

_HOMES = {
    "Address": "liminal_mesh.cluster",
    "AddressInUse": "liminal_mesh.cluster",
    "CookieRejected": "liminal_mesh.cluster",
    "Member": "liminal_mesh.cluster",
    "NameInUse": "liminal_mesh.cluster",
    "Pid": "liminal_mesh.cluster",
    "ProtocolError": "liminal_mesh.cluster",
    "StaleEpoch": "liminal_mesh.cluster",
    "VERSION": "liminal_mesh.node",
    "AckRefused": "liminal_mesh.node",
    "Bus": "liminal_mesh.node",
    "Busy": "liminal_mesh.node",
    "ChannelClosed": "liminal_mesh.node",
    "ChannelConfig": "liminal_mesh.node",
    "ChannelExists": "liminal_mesh.node",
    "ChannelFailed": "liminal_mesh.node",
    "ChannelNotConfigured": "liminal_mesh.node",
    "Client": "liminal_mesh.node",
    "ClientConfig": "liminal_mesh.node",
    "ClusterConfig": "liminal_mesh.node",
    "ConfigError": "liminal_mesh.node",
    "DeadlineExceeded": "liminal_mesh.node",
    "Draining": "liminal_mesh.node",
    "Gap": "liminal_mesh.node",
    "HttpConfig": "liminal_mesh.node",
    "InboxConfig": "liminal_mesh.node",
    "LimitExceeded": "liminal_mesh.node",
    "LimitsConfig": "liminal_mesh.node",
    "LogConfig": "liminal_mesh.node",
    "Mailbox": "liminal_mesh.node",
    "Message": "liminal_mesh.node",
    "NoConnection": "liminal_mesh.node",
    "Node": "liminal_mesh.node",
    "NodeConfig": "liminal_mesh.node",
    "NotAuthorized": "liminal_mesh.node",
    "OutcomeUnknown": "liminal_mesh.node",
    "Pressure": "liminal_mesh.node",
    "Problem": "liminal_mesh.node",
    "PublishOutcome": "liminal_mesh.node",
    "Publisher": "liminal_mesh.node",
    "PublisherStatistics": "liminal_mesh.node",
    "Rejected": "liminal_mesh.node",
    "Subscription": "liminal_mesh.node",
    "SubscriptionStatistics": "liminal_mesh.node",
    "connect": "liminal_mesh.node",
    "Failed": "liminal_mesh.storage",
    "LiminalError": "liminal_mesh.storage",
    "Refused": "liminal_mesh.storage",
    "Unknown": "liminal_mesh.storage",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
