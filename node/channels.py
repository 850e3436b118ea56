"""``node.channels``: what a program does with the channels of its node beside its configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .channel_listing import channel_info, channel_infos
from .config import ChannelConfig
from .config_schemas import make_schema
from .declaring import channel_settings
from .values import ChannelInfo

if TYPE_CHECKING:
    from .pressure import Score
    from .runtime import Runtime

__all__ = ["Channels"]


class Channels:
    """The channels of one node. Other nodes have their own, and nothing that is done here outlives the node.

    Args:
        run: the running node.
    """

    def __init__(self, run: Runtime) -> None:
        self._run = run

    def list(self) -> tuple[ChannelInfo, ...]:
        """Return the channels: those that are declared by name, those of families that were used, then the families."""
        return channel_infos(self._run.hub)

    async def create(self, channel: ChannelConfig | str, **settings: Any) -> ChannelInfo:
        """Declare a channel, or a family of channels, as ``[[channels]]`` does. One that was closed opens again.

        Args:
            channel: all of it; or its name alone, with ``settings`` as of :class:`.ChannelConfig`.
            settings: see there.

        Raises:
            ChannelExists: it is declared already, or in use as one of a family.
            ConfigError: it cannot be such a channel, or its schema cannot be read, or is none.
            TypeError: there are settings beside a whole configuration.
        """
        if isinstance(channel, ChannelConfig) and settings:
            raise TypeError("settings go into the ChannelConfig, or beside a name")
        config = channel if isinstance(channel, ChannelConfig) else ChannelConfig(name=channel, **settings)
        schema = None if config.schema is None else make_schema(config.schema)
        self._run.channels.create(channel_settings(config, self._run.config.limits, schema))
        return self._info(config.name)

    async def close(self, name: str) -> None:
        """Close a channel, or a family: nothing can be published on it from now on, nor subscribed to it by its name.

        What was accepted is still delivered; then subscriptions to it end with ``ChannelClosed``. Subscriptions to
        patterns stay, and get what other nodes publish on it.

        Raises:
            ChannelNotConfigured: nothing of exactly this name is declared.
            LimitExceeded: too many channels are in use, those that were closed included.
        """
        self._run.channels.close(name)

    async def evolve(
        self, name: str, schema: str | Path | Mapping[str, Any] | bool | None, *, force: bool = False
    ) -> ChannelInfo:
        """Give a channel, or a family, another version of its schema.

        What is published from then on has to be what the new version demands. Subscriptions stay: whoever understands
        a former version gets the messages of the new one, each with its version.

        Args:
            name: of the channel, or the pattern of the family, as it was declared.
            schema: the file of a JSON Schema, or the schema itself; None for none any more.
            force: also if the new version refuses what the former one accepted. Subscriptions that have named
                versions, none of which the channel offers then, end with ``SchemaIncompatible``.

        Raises:
            ChannelNotConfigured: nothing of exactly this name is declared.
            ConfigError: the schema cannot be read, or is none.
            SchemaIncompatible: the new version would refuse what the former one accepted; ``reasons`` says what.
        """
        self._run.channels.evolve(name, None if schema is None else make_schema(schema), force=force)
        return self._info(name)

    def set_pressure(self, name: str, score: Score | None) -> None:
        """Let a function make the score of a channel's pressure, instead of the average of how full its consumers are.

        It stays until the channel is closed, or another one takes its place. It is called whenever the score is looked
        at, in the loop, and has to be quick. If it raises, or returns what is no number, the average stands in, and the
        log tells once in a while; a score below 0 is 0, one above 1 is 1.

        Args:
            name: of a channel, or of a family, as it is declared.
            score: takes a ``Consumption`` for each subscription of this node to the channel; None takes it back.

        Raises:
            ChannelNotConfigured: nothing of exactly this name is declared.
            TypeError: it is no function, or an async one.
            ValueError: it was declared without ``pressure``, so that no score is ever made.
        """
        if score is not None and (not callable(score) or inspect.iscoroutinefunction(score)):
            raise TypeError(f"score={score!r}: give a function of the consumers that returns a number; no async one")
        if not self._run.hub.exchange.channels.declared_as(name).pressure:
            raise ValueError(f"channel {name!r} has no pressure in its configuration: there is nothing to score for")
        self._run.hub.pressings.score(name, score)

    def _info(self, name: str) -> ChannelInfo:
        return channel_info(self._run.hub, name)
