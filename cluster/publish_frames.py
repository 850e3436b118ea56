"""The frames of a link that carry publishes, or tell of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from .envelope import BATCH_MAX, U64, Items, Name
from .frame import LinkFrame
from .scopes import CHANNEL_SCOPE, Scope

__all__ = ["Heads", "Lost", "Publish", "Receipt", "ReceiptRun", "Suppressed"]


class Publish(LinkFrame, frozen=True):
    """Publishes of the sender on one channel, or in one group of another scope, in order.

    ``receipt`` numbers the first item for receipts, which count upwards in a session; 0 asks for none.
    """

    epoch: U64
    channel: Name
    receipt: U64
    items: Items
    scope: Scope = CHANNEL_SCOPE

    LATE = 1


class Lost(LinkFrame, frozen=True):
    """Publishes that the sender dropped on the way to this peer, because its lane was full."""

    epoch: U64
    channel: Name
    first: U64
    last: U64
    scope: Scope = CHANNEL_SCOPE

    LATE = 1


class Heads(LinkFrame, frozen=True):
    """The last sequence on each of these channels of the sender: what follows is counted from here.

    Sent among the publishes, when the sender has applied a new interest of the receiver (its log of the scope
    up to ``applied``) and when a link was made again, so that what was missed shows as a gap and not as silence.
    A channel that is not named stands at 0, or where it stood.
    """

    epoch: U64
    applied: U64
    heads: Annotated[list[tuple[Name, U64]], Meta(max_length=BATCH_MAX)]
    scope: Scope = CHANNEL_SCOPE

    LATE = 1


class ReceiptRun(Struct, array_like=True, frozen=True):
    """``count`` publishes from receipt number ``first`` on fared alike: accepted by some live subscriber, or not."""

    first: U64
    count: U64
    delivered: bool


class Suppressed(Struct, array_like=True, frozen=True):
    """Publish ``number`` was not delivered, since subscribers there had taken message ``original`` under its key.

    ``reused`` says that it had another body than that message.
    """

    number: U64
    original: U64
    reused: bool


class Receipt(LinkFrame, frozen=True):
    """How publishes that asked for a receipt fared at the sender; in the runs a suppressed one is not delivered."""

    runs: Annotated[list[ReceiptRun], Meta(max_length=BATCH_MAX)]
    suppressed: Annotated[list[Suppressed], Meta(max_length=BATCH_MAX)] = []

    LATE = 1
