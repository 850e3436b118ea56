"""Channels that come, change and go while the node runs: what its program declares beside the configuration.

To close a channel tells everybody: its publishers are refused, those who subscribed to it by its name come to an end
with the same error, and those who subscribed by a pattern get no more of what is published here. Its numbers stay, so
that it goes on where it was if it is declared again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from liminal_mesh.storage import LiminalError

from .channel import ChannelSettings
from .errors import ChannelClosed, SchemaIncompatible
from .names import is_pattern
from .versions import FORMER_MAX, offered_versions

if TYPE_CHECKING:
    from .channel_table import ChannelTable
    from .schema import Schema
    from .subscribers import Subscriber

__all__ = ["ChannelRegistry"]


class ChannelRegistry:
    """What changes the channels of a node.

    Args:
        table: has them.
        end: ends a subscription with an error.
        note: notes an event.
        changed: called when something is declared otherwise than before.
    """

    def __init__(
        self,
        table: ChannelTable,
        end: Callable[[Subscriber, LiminalError], None],
        note: Callable[..., None],
        changed: Callable[[], None],
    ) -> None:
        self._table = table
        self._end = end
        self._note = note
        self._changed = changed

    def create(self, settings: ChannelSettings) -> None:
        """Declare a channel, or a family.

        Raises:
            ChannelExists: it is declared already, or in use as one of a family.
        """
        self._table.declare(settings)
        self._note("channel_created", channel=settings.name, schema=_id(settings.schema))
        self._changed()

    def close(self, name: str) -> None:
        """Take back a declaration.

        Raises:
            ChannelNotConfigured: nothing of exactly this name is declared.
            LimitExceeded: too many channels are in use, those that were closed included.
        """
        settings = self._table.declared_as(name)
        for channel in self._table.closing(name):
            if channel.holder is not None:  # what was accepted is still delivered
                channel.holder.flush()
        ended = [one for one in self._subscribed_to(settings) if not is_pattern(one.pattern)]
        self._table.close(name)
        for subscriber in ended:
            self._end(subscriber, ChannelClosed(subscriber.pattern))
        self._note("channel_closed", channel=name, subscriptions=len(ended))
        self._changed()

    def evolve(self, name: str, schema: Schema | None, *, force: bool = False) -> None:
        """Give a channel, or a family, another version of its schema.

        Subscriptions stay. With ``force`` also a version that does not take what the former one took is put in force;
        then subscriptions that have named versions, and none of which there still is one, come to an end.

        Raises:
            ChannelNotConfigured: nothing of exactly this name is declared.
            SchemaIncompatible: it would refuse what was accepted, and is not forced; ``reasons`` says what.
        """
        settings = self._table.declared_as(name)
        if schema == settings.schema:
            return
        reasons = _reasons(settings.schema, schema)
        if reasons and not force:
            raise SchemaIncompatible(_ids(schema), _ids(settings.schema), reasons)
        former = () if reasons else offered_versions(settings)[:FORMER_MAX]
        evolved = replace(settings, schema=schema, former=tuple(one for one in former if one not in _ids(schema)))
        for channel in self._table.matching(name):
            if channel.holder is not None:  # what was accepted was accepted by the version before
                channel.holder.flush()
        ended = [one for one in self._subscribed_to(settings) if _is_left(one, evolved)]
        self._table.replace(evolved)
        for subscriber in ended:
            self._end(subscriber, SchemaIncompatible(offered_versions(evolved), subscriber.schemas))
        facts = {"schema": _id(schema), "former": _id(settings.schema), "forced": bool(reasons)}
        self._note("channel_evolved", channel=name, **facts, reasons=reasons, subscriptions_ended=len(ended))
        self._changed()

    def _subscribed_to(self, settings: ChannelSettings) -> Iterable[Subscriber]:
        """Return who has subscribed under a declaration."""
        covering = self._table.declared.covering
        return [one for one in self._table.everyone() if covering(one.pattern) is settings]


def _is_left(subscriber: Subscriber, settings: ChannelSettings) -> bool:
    """Whether a subscription has named versions, of which a channel offers none any more."""
    return bool(subscriber.schemas) and not set(subscriber.schemas) & set(offered_versions(settings))


def _reasons(former: Schema | None, schema: Schema | None) -> list[str]:
    if schema is None:
        return ["it is no schema at all"]
    if former is None:
        return ["there was no schema, so anything was accepted"]
    from .schema_compat import incompatibilities  # imported late, since few need it

    return incompatibilities(former, schema)


def _id(schema: Schema | None) -> str | None:
    return None if schema is None else schema.id


def _ids(schema: Schema | None) -> tuple[str, ...]:
    return () if schema is None else (schema.id,)
