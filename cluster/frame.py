"""What every frame is, and what a row of a table of frames says."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

__all__ = ["ClientFrame", "Frame", "LinkFrame", "Row"]


class Frame(Struct, array_like=True, frozen=True):
    """The root of all frames."""


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
