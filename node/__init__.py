"""The bus that each node runs.

Names are imported when they are first asked for: ``liminal health`` runs every few seconds in each container, and must
not pay for the whole bus.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bus import Bus
    from .client import Client
    from .config import (
        ChannelConfig,
        ClientConfig,
        ClusterConfig,
        HttpConfig,
        InboxConfig,
        LimitsConfig,
        LogConfig,
        NodeConfig,
    )
    from .connect import connect
    from .errors import (
        AckRefused,
        Busy,
        ChannelClosed,
        ChannelExists,
        ChannelFailed,
        ChannelNotConfigured,
        ConfigError,
        DeadlineExceeded,
        Draining,
        LimitExceeded,
        NoConnection,
        NotAuthorized,
        OutcomeUnknown,
        Problem,
        Rejected,
    )
    from .mailbox import Mailbox
    from .message import Message
    from .node import Node
    from .publisher import Publisher
    from .subscription import Subscription
    from .values import Gap, Pressure, PublisherStatistics, PublishOutcome, SubscriptionStatistics
    from .version import VERSION

__all__ = [
    "VERSION",
    "AckRefused",
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
    "DeadlineExceeded",
    "Draining",
    "Gap",
    "HttpConfig",
    "InboxConfig",
    "LimitExceeded",
    "LimitsConfig",
    "LogConfig",
    "Mailbox",
    "Message",
    "NoConnection",
    "Node",
    "NodeConfig",
    "NotAuthorized",
    "OutcomeUnknown",
    "Pressure",
    "Problem",
    "PublishOutcome",
    "Publisher",
    "PublisherStatistics",
    "Rejected",
    "Subscription",
    "SubscriptionStatistics",
    "connect",
]

_HOMES = {
    "Bus": ".bus",
    "Client": ".client",
    "ChannelConfig": ".config",
    "ClientConfig": ".config",
    "ClusterConfig": ".config",
    "HttpConfig": ".config",
    "InboxConfig": ".config",
    "LimitsConfig": ".config",
    "LogConfig": ".config",
    "NodeConfig": ".config",
    "connect": ".connect",
    "AckRefused": ".errors",
    "Busy": ".errors",
    "ChannelClosed": ".errors",
    "ChannelExists": ".errors",
    "ChannelFailed": ".errors",
    "ChannelNotConfigured": ".errors",
    "ConfigError": ".errors",
    "DeadlineExceeded": ".errors",
    "Draining": ".errors",
    "LimitExceeded": ".errors",
    "NoConnection": ".errors",
    "NotAuthorized": ".errors",
    "OutcomeUnknown": ".errors",
    "Problem": ".errors",
    "Rejected": ".errors",
    "Mailbox": ".mailbox",
    "Message": ".message",
    "Node": ".node",
    "Publisher": ".publisher",
    "Subscription": ".subscription",
    "Gap": ".values",
    "Pressure": ".values",
    "PublishOutcome": ".values",
    "PublisherStatistics": ".values",
    "SubscriptionStatistics": ".values",
    "VERSION": ".version",
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
