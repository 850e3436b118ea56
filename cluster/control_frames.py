"""The frames of a control link: the handshake of every link under types of its own, the greeting, and gossip.

::

    dialler ── Hello ──> <── Welcome ── Auth ──>          both are proved
    other ── Greeting ──> decider ── Greeting ──> other   the link stands, by the decider's number

A control link and a data link come to the same port; the type of the first frame tells them apart. Both sides say
``control`` among the capabilities that their proofs cover, so that neither handshake can be taken for the other.
"""

from __future__ import annotations

from typing import Final

from .codec import Codec
from .envelope import U64
from .frame import LinkFrame, Row
from .frames import Auth, Hello, Refusal, Welcome
from .swim_frames import SWIM_FRAMES, MemberRecord

__all__ = ["CONTROL_CODEC", "CONTROL_FRAMES", "CONTROL_HELLO", "Greeting"]

CONTROL_HELLO: Final = 0x50
"""The type of a control link's first frame."""


class Greeting(LinkFrame, frozen=True):
    """What one side says of itself before the link stands: its record, and the digest of its view.

    ``g`` is, from the side that does not decide, the number of the link to the other that stands (0: none that is
    any good); and from the decider the number of this one. Numbers grow: an earlier one is over. ``wall_ms`` is the
    sender's time of day, in milliseconds since 1970.
    """

    record: MemberRecord
    digest: U64
    g: U64
    wall_ms: U64


CONTROL_FRAMES: Final[dict[int, Row]] = {
    CONTROL_HELLO: Row(Hello, "dialler", ("hello",), "control"),
    0x51: Row(Welcome, "listener", ("welcome",), "control"),
    0x52: Row(Auth, "dialler", ("auth",), "control"),
    0x53: Row(Refusal, "any", ("welcome", "auth", "greeting", "session"), "control"),
    0x54: Row(Greeting, "any", ("greeting",), "control"),
    **SWIM_FRAMES,
}
"""Type byte to row, for control links."""

CONTROL_CODEC: Final = Codec(CONTROL_FRAMES)
"""What the control links of two nodes speak."""
