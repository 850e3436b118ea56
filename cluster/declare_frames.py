"""The frame by which nodes tell each other which channels they have declared, so that they notice where they differ."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from .envelope import Name
from .frame import LinkFrame

__all__ = ["DECLARATIONS_MAX", "Declaration", "Declare"]

DECLARATIONS_MAX: Final = 128
"""The most declarations in one frame: with the longest names they fit into the smallest frames that can be set."""


class Declaration(Struct, array_like=True, frozen=True):
    """One channel, or a family by its pattern; ``schema`` is the version in force, "" without a schema."""

    name: Name
    durable: bool
    schema: Name


class Declare(LinkFrame, frozen=True):
    """Channels that the sender has declared: exact names first, families in the order in which they are asked.

    It takes as many frames as it takes: the ``first`` takes the place of all that was told before, and what was told
    counts once the ``last`` has come.
    """

    first: bool
    last: bool
    channels: Annotated[list[Declaration], Meta(max_length=DECLARATIONS_MAX)]
