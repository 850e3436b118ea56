"""The frames by which nodes hand one another publishes of which a group gets each once, in the whole mesh.

The node where a message was published asks one node after the other, each at most once for a message and a group, and
perhaps once before for credit alone; the answers come in the order of the offers.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from .envelope import U64, Items, Name
from .frame import LinkFrame

__all__ = ["OFFER_GROUPS_MAX", "Claims", "Eagerness", "NoRoute", "Offer", "Reason", "Taken"]

OFFER_GROUPS_MAX: Final = 64
"""The most groups that one frame offers to."""


class Eagerness(IntEnum):
    """What a node that is offered messages shall put up with of its members."""

    CREDIT = 0
    """Only a member that may have more in hand takes one; there are other nodes to ask."""
    ROOM = 1
    """A member keeps one in its inbox if it must."""
    ANY = 2
    """There is nobody else left to ask: a member's overflow policy decides, if it must."""


class Reason(IntEnum):
    """Why nobody took a message."""

    ABSENT = 0
    """The node has no member of the group, or none any more."""
    FULL = 1
    """It has, and they have no room; another node may have."""
    DROPPED = 2
    """It was dropped for a member, which is told: nobody else may get it."""
    SUPPRESSED = 3
    """Members of the group there have taken a message under its key before: nobody is to get it again."""


Claims = Annotated[list[tuple[Name, Annotated[int, Meta(ge=0, le=2)]]], Meta(min_length=1, max_length=OFFER_GROUPS_MAX)]
"""Groups, each once, with the :class:`Eagerness` of the offer to each."""


class Offer(LinkFrame, frozen=True):
    """Publishes of the sender on one channel, in order, each for one member at the receiver of each of some groups.

    ``number`` numbers the first item; offers count upwards in a session, whatever the groups. With ``plain`` they are
    for those who are in no group too, as a ``Publish`` with these items and this ``receipt`` would be.
    """

    epoch: U64
    channel: Name
    number: U64
    claims: Claims
    plain: bool
    receipt: U64
    items: Items


class Taken(LinkFrame, frozen=True):
    """Members of ``group`` at the sender took ``count`` offers from ``first`` on.

    ``deferred`` says that they have no credit left: these wait in an inbox.
    """

    group: Name
    first: U64
    count: Annotated[int, Meta(ge=1)]
    deferred: bool = False


class NoRoute(LinkFrame, frozen=True):
    """No member of ``group`` at the sender took ``count`` offers from ``first`` on, for a :class:`Reason`.

    Of one that was suppressed, alone, ``original`` is the message that was taken under its key; ``reused`` says that it
    had another body than that.
    """

    group: Name
    first: U64
    count: Annotated[int, Meta(ge=1)]
    reason: Annotated[int, Meta(ge=0, le=3)]
    original: U64 = 0
    reused: bool = False

    LATE = 2
