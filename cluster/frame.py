"""What every frame is, and what a row of a table of frames says."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

__all__ = ["ClientFrame", "Frame", "LinkFrame", "Row", "late_defaults"]


class Frame(Struct, array_like=True, frozen=True):
    """The root of all frames."""

    LATE: ClassVar[int] = 0
    """How many fields at the end came later than the frame: while they have their defaults they are not written."""


class ClientFrame(Frame, frozen=True):
    """A frame between a client and its node."""


class LinkFrame(Frame, frozen=True):
    """A frame between two nodes."""


class Row(NamedTuple):
    """One row of a table of frames.

    ``senders`` says which side may send it: ``dialler``, ``listener``, ``decider``, ``other`` (the one who does
    not decide), ``node``, ``client``, or ``any``. ``states`` are the states of a connection in which it may
    arrive: ``hello``, ``welcome``, ``auth`` (of the handshake, named for the frame that is awaited), ``adopting``
    (authenticated, no session yet) and ``session``; of a client ``connect`` and ``open``. ``lane`` is ``control``
    or ``data``.
    """

    kind: type[Frame]
    senders: str
    states: tuple[str, ...]
    lane: str


def late_defaults(kind: type[Frame]) -> dict[str, object]:
    """Return the late fields of a kind of frame, in their order, with what they are when they are not written."""
    late = fields(kind)[-kind.LATE :] if kind.LATE else ()
    return {one.name: one.default_factory() if one.default is NODEFAULT else one.default for one in late}
