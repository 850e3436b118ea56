"""Whether a message fits into a frame, and can be read."""

from __future__ import annotations

from typing import Final

from liminal_mesh.cluster import Envelope, ProtocolError, encode_envelope

from .errors import LimitExceeded
from .nesting import NESTING_MAX, nests_deeper

__all__ = ["Sizes"]

FRAME_OVERHEAD_BYTES: Final = 1024
"""What a batch frame needs beside its one envelope: channel and origin names, numbers."""

ENVELOPE_BYTES: Final = 64
"""What an envelope without options needs beside its body, at most."""


class Sizes:
    """The bounds of one message.

    Args:
        frame_max: the largest frame, in bytes; a message must fit into one.
        envelope_max: the largest envelope without its body, in bytes.
    """

    def __init__(self, frame_max: int, envelope_max: int) -> None:
        self._frame_max = frame_max
        self._envelope_max = envelope_max
        self.small_bytes = frame_max - FRAME_OVERHEAD_BYTES - ENVELOPE_BYTES
        """A body of so many bytes, without options, needs no further look at its size."""

    def check(self, envelope: Envelope) -> None:
        """Check that a message fits into a frame.

        Raises:
            LimitExceeded: it does not.
            ProtocolError: an option nests too deep.
        """
        if envelope.options or len(envelope.body) > self.small_bytes:
            size = len(encode_envelope(envelope))
            if size > self._frame_max - FRAME_OVERHEAD_BYTES:
                raise LimitExceeded("max_frame", self._frame_max)
            if size - len(envelope.body) > self._envelope_max:
                raise LimitExceeded("envelope", self._envelope_max)
        if envelope.options:
            for value in envelope.options.values():
                if len(value) > NESTING_MAX and nests_deeper(bytes(value)):
                    raise ProtocolError(f"an option nests deeper than {NESTING_MAX} arrays and maps")
