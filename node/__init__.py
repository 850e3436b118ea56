"""The bus that each node runs.

Names are imported when they are first asked for: ``liminal health`` runs every few seconds in each container, and must
not pay for the whole bus.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bus import Bus
    from .chains import Chains
    from .client import Client
    from .config import (
        ChannelConfig,
        ClientConfig,
        ClusterConfig,
        DedupConfig,
        HttpConfig,
        InboxConfig,
        LimitsConfig,
        LogConfig,
        NodeConfig,
        PressureConfig,
        RestartConfig,
    )
    from .connecting import connect
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
        InFlight,
        KeyReused,
        LimitExceeded,
        NoConnection,
        NoProcess,
        NotAuthorized,
        OutcomeUnknown,
        Problem,
        Rejected,
        SchemaIncompatible,
        SchemaRejected,
    )
    from .mailbox import Mailbox
    from .membership import GroupMembership
    from .message import Message
    from .monitor import Monitor
    from .node import Node
    from .process import Process
    from .publisher import Publisher
    from .reference import Reference
    from .schema import Schema
    from .subscription import Subscription
    from .trace import TraceContext
    from .values import (
        ChannelInfo,
        ClientConnection,
        Consumption,
        Down,
        Gap,
        GroupSnapshot,
        Joined,
        Left,
        MembersSnapshot,
        Pressure,
        PublisherStatistics,
        PublishOutcome,
        SubscriptionStatistics,
    )
    from .version import VERSION
    from .watch import GroupWatch, MemberWatch

__all__ = [
    "VERSION",
    "AckRefused",
    "Bus",
    "Busy",
    "Chains",
    "ChannelClosed",
    "ChannelConfig",
    "ChannelExists",
    "ChannelFailed",
    "ChannelInfo",
    "ChannelNotConfigured",
    "Client",
    "ClientConfig",
    "ClientConnection",
    "ClusterConfig",
    "ConfigError",
    "Consumption",
    "DeadlineExceeded",
    "DedupConfig",
    "Down",
    "Draining",
    "Gap",
    "GroupMembership",
    "GroupSnapshot",
    "GroupWatch",
    "HttpConfig",
    "InFlight",
    "InboxConfig",
    "Joined",
    "KeyReused",
    "Left",
    "LimitExceeded",
    "LimitsConfig",
    "LogConfig",
    "Mailbox",
    "MemberWatch",
    "MembersSnapshot",
    "Message",
    "Monitor",
    "NoConnection",
    "NoProcess",
    "Node",
    "NodeConfig",
    "NotAuthorized",
    "OutcomeUnknown",
    "Pressure",
    "PressureConfig",
    "Problem",
    "Process",
    "PublishOutcome",
    "Publisher",
    "PublisherStatistics",
    "Reference",
    "Rejected",
    "RestartConfig",
    "Schema",
    "SchemaIncompatible",
    "SchemaRejected",
    "Subscription",
    "SubscriptionStatistics",
    "TraceContext",
    "connect",
]

_HOMES = {
    "AckRefused": ".errors",
    "Bus": ".bus",
    "Busy": ".errors",
    "Chains": ".chains",
    "ChannelClosed": ".errors",
    "ChannelConfig": ".config",
    "ChannelExists": ".errors",
    "ChannelFailed": ".errors",
    "ChannelInfo": ".values",
    "ChannelNotConfigured": ".errors",
    "Client": ".client",
    "ClientConfig": ".config",
    "ClientConnection": ".values",
    "ClusterConfig": ".config",
    "ConfigError": ".errors",
    "Consumption": ".values",
    "DeadlineExceeded": ".errors",
    "DedupConfig": ".config",
    "Down": ".values",
    "Draining": ".errors",
    "Gap": ".values",
    "GroupMembership": ".membership",
    "GroupSnapshot": ".values",
    "GroupWatch": ".watch",
    "HttpConfig": ".config",
    "InFlight": ".errors",
    "InboxConfig": ".config",
    "Joined": ".values",
    "KeyReused": ".errors",
    "Left": ".values",
    "LimitExceeded": ".errors",
    "LimitsConfig": ".config",
    "LogConfig": ".config",
    "Mailbox": ".mailbox",
    "MemberWatch": ".watch",
    "MembersSnapshot": ".values",
    "Message": ".message",
    "Monitor": ".monitor",
    "NoConnection": ".errors",
    "NoProcess": ".errors",
    "Node": ".node",
    "NodeConfig": ".config",
    "RestartConfig": ".config",
    "NotAuthorized": ".errors",
    "OutcomeUnknown": ".errors",
    "Pressure": ".values",
    "PressureConfig": ".config",
    "Problem": ".errors",
    "Process": ".process",
    "PublishOutcome": ".values",
    "Publisher": ".publisher",
    "PublisherStatistics": ".values",
    "Reference": ".reference",
    "Rejected": ".errors",
    "Schema": ".schema",
    "SchemaIncompatible": ".errors",
    "SchemaRejected": ".errors",
    "Subscription": ".subscription",
    "SubscriptionStatistics": ".values",
    "TraceContext": ".trace",
    "VERSION": ".version",
    "connect": ".connecting",
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
