"""The frame by which nodes ask one another to slow publishers down, for the sake of the sender's consumers."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from .envelope import Name
from .frame import LinkFrame

__all__ = ["SLOW_DOWN_MAX", "SlowDown"]

SLOW_DOWN_MAX: Final = 128
"""The most channels in one frame: with the longest names they fit into the smallest frames that can be set."""

_Factor = Annotated[float, Meta(ge=1, le=1000)]


class SlowDown(LinkFrame, frozen=True):
    """Publishers on each of these channels are to be held to one so-manieth of their rate; 1 lets them go.

    What is not named stays as it was told before in this session, in the beginning of which nobody is slowed.
    """

    channels: Annotated[list[tuple[Name, _Factor]], Meta(max_length=SLOW_DOWN_MAX)]
