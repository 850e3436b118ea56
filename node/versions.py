"""Which version of a channel's schema a subscription gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .errors import SchemaIncompatible

if TYPE_CHECKING:
    from .channel import ChannelSettings

__all__ = ["ACCEPTED_MAX", "FORMER_MAX", "check_schemas", "offered_versions", "select_version"]

ACCEPTED_MAX: Final = 64
"""The most versions that a subscription may name."""

FORMER_MAX: Final = 32
"""Of how many former versions a channel knows that its present one follows them."""


def check_schemas(schemas: Sequence[str]) -> tuple[str, ...]:
    """Return the versions that a subscription names.

    Raises:
        TypeError: these are no ids.
        ValueError: there are too many of them, or one cannot be an id.
    """
    if isinstance(schemas, str) or not all(isinstance(one, str) for one in schemas):
        raise TypeError(f"schemas={schemas!r}: give a list of versions' ids")
    if len(schemas) > ACCEPTED_MAX:
        raise ValueError(f"schemas names {len(schemas)} versions: {ACCEPTED_MAX} at most")
    if bad := [one for one in schemas if not 1 <= len(one) <= 256]:
        raise ValueError(f"{bad[0][:64]!r} in schemas is no version's id")
    return tuple(schemas)


def select_version(settings: ChannelSettings, accepted: Sequence[str]) -> str | None:
    """Return the version that a subscription gets, of those that it accepts: the newest that the channel offers.

    What a channel offers is its present version and, since that takes whatever they took, the former ones that it has
    followed without force. Without a word of the subscription it is the present one; None if there is no schema.

    Raises:
        SchemaIncompatible: they have none in common.
    """
    offered = offered_versions(settings)
    if not accepted:
        return offered[0] if offered else None
    found = next((version for version in offered if version in accepted), None)
    if found is None:
        raise SchemaIncompatible(offered, accepted)
    return found


def offered_versions(settings: ChannelSettings) -> tuple[str, ...]:
    """Return the versions that a channel offers, the present one first; none without a schema."""
    return () if settings.schema is None else (settings.schema.id, *settings.former)
