"""From what a configuration says of channels to what the node does with them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .channel import ChannelSettings
from .channel_table import ChannelTable
from .config_schemas import read_schemas
from .restarts import RestartBudget

if TYPE_CHECKING:
    from .config import ChannelConfig, NodeConfig
    from .config_limits import LimitsConfig
    from .schema import Schema

__all__ = ["channel_settings", "channel_table", "group_table"]


def channel_table(config: NodeConfig) -> ChannelTable:
    """Return the configured channels, for the running loop.

    Raises:
        ConfigError: some of their schemas cannot be read, or are none.
    """
    schemas = read_schemas(config)
    settings = [channel_settings(one, config.limits, schemas.get(one.name)) for one in config.channels]
    return _in_turns(ChannelTable(settings, config.limits.channels))


def channel_settings(config: ChannelConfig, limits: LimitsConfig, schema: Schema | None) -> ChannelSettings:
    """Return what a channel is to be, with the node's defaults where its configuration does not say."""
    return ChannelSettings(
        config.name,
        config.inbox.messages or limits.inbox_messages,
        config.inbox.bytes or limits.inbox_bytes,
        config.inbox.overflow,
        config.ack,
        RestartBudget(config.restart.attempts, config.restart.within),
        config.dedup.window,
        config.durable,
        schema,
        pressure=tuple(rule.policy for rule in config.pressure),
    )


def group_table(limits: LimitsConfig) -> ChannelTable:
    """Return the process groups, for the running loop: one family covers every name."""
    family = ChannelSettings(">", limits.inbox_messages, limits.inbox_bytes)
    return _in_turns(ChannelTable([family], limits.groups, "group"))


def _in_turns(table: ChannelTable) -> ChannelTable:
    table.later = asyncio.get_running_loop().call_soon
    return table
