"""What a client has asked of its node and not yet heard the end of, and the publishes that wait to be written.

Everything asked has a number that grows and is never used again, also not on the next connection: what still waits in
the lane when a connection is lost goes out on the next one, and what was written without an answer is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

from liminal_mesh.cluster import (
    CLIENT_CODEC,
    ClientPublish,
    Confirm,
    Envelope,
    Lane,
    ProtocolError,
    encode_envelope,
    encode_envelopes,
)

from .batch import BUSY_RETRY_S, Batch
from .client_sinks import Answered, PublishKey, Sink
from .errors import Busy, LimitExceeded

__all__ = ["Ledger"]

LANE_BYTES: Final = 8 * 1024 * 1024
"""What may wait to be written; half of it makes ``publish_nowait`` busy."""

UNCONFIRMED_MAX: Final = 65_536
"""How many publishes the node may owe an answer for."""

FRAME_OVERHEAD_BYTES: Final = 1024
"""What a batch frame needs beside its one envelope."""

ENVELOPE_BYTES: Final = 64
"""What an envelope without options needs beside its body, at most."""


class Ledger:
    """The numbers of a client's requests and publishes, and who hears of their end."""

    def __init__(self) -> None:
        self.holder: Batch | None = None
        self.frame_max = 1024 * 1024
        """The largest frame that the node takes; it says so in its greeting."""
        self._next = 1
        self._written = 0
        self._sinks: dict[int, Sink] = {}
        self._requests: set[int] = set()
        self._lane: Lane[PublishKey] = Lane(self._encode, LANE_BYTES, float("inf"))

    @property
    def crowded(self) -> bool:
        """Whether a publisher should wait."""
        return self._lane.crowded or len(self._sinks) >= UNCONFIRMED_MAX

    @property
    def open(self) -> bool:
        """Whether anything waits to be written, or for its answer."""
        return bool(self._lane or self._sinks)

    @property
    def owed(self) -> bool:
        """Whether anything that was written waits for its answer."""
        return any(self._was_written(ref) for ref in self._sinks)

    def limit_frames(self, frame_max: int) -> None:
        """Make no frame larger than the node takes."""
        self.frame_max = frame_max
        self._lane.limit_frames(frame_max)

    def check_size(self, envelope: Envelope) -> None:
        """Check that a message fits into a frame of the node.

        Raises:
            LimitExceeded: it does not.
        """
        most = self.frame_max - FRAME_OVERHEAD_BYTES
        large = envelope.options or len(envelope.body) > most - ENVELOPE_BYTES
        if large and len(encode_envelope(envelope)) > most:
            raise LimitExceeded("max_frame", self.frame_max)

    def publish(self, key: PublishKey, envelopes: list[Envelope], sink: Sink) -> bool:
        """Queue publishes; ``sink`` hears of the end of each. Return whether nothing waited before.

        Raises:
            Busy: there is no room for all of them; none was queued.
        """
        if self.holder is not None:
            self.holder.flush()
        encoded = encode_envelopes(envelopes)
        if self._lane.bytes + len(encoded) > LANE_BYTES:
            raise Busy(BUSY_RETRY_S, "the lane to the node")
        idle = not self._lane
        refs = range(self._next, self._next + len(envelopes))
        self._next = refs.stop
        self._lane.put(key, refs.start, envelopes, encoded)
        self._sinks.update(zip(refs, repeat(sink), strict=False))
        return idle

    def request(self, sink: Sink) -> int:
        """Return the number of a request, which is written at once and never waits for another connection."""
        ref, self._next = self._next, self._next + 1
        self._sinks[ref] = sink
        self._requests.add(ref)
        return ref

    def take(self, bytes_max: int) -> list[bytes]:
        """Return publishes to write."""
        return self._lane.take(bytes_max)

    def confirm(self, frame: Confirm) -> None:
        """Tell each publisher of its part of a run; most runs are one publisher's.

        Raises:
            ProtocolError: something is confirmed that was not in flight.
        """
        runs: dict[Sink, int] = {}
        for ref in range(frame.ref, frame.ref + frame.count):
            sink = self._sinks.pop(ref, None)
            if sink is None:
                raise ProtocolError(f"publish {ref} was confirmed, which was not in flight")
            runs[sink] = runs.get(sink, 0) + 1
        undelivered = frame.undelivered
        for sink, count in runs.items():
            sink.acknowledged(count, min(count, undelivered))
            undelivered -= min(count, undelivered)

    def answered(self, ref: int) -> Answered:
        """Return who asked for the answer to ``ref``.

        Raises:
            ProtocolError: nobody did.
        """
        sink = self._sinks.pop(ref, None)
        self._requests.discard(ref)
        if not isinstance(sink, Answered):
            raise ProtocolError(f"an answer to {ref}, which asked for none")
        return sink

    def fail(self, refs: Iterable[int], error: Exception) -> None:
        """Tell those who asked for ``refs`` of an error; numbers that nobody waits for are passed over."""
        counts: dict[Sink, int] = {}
        for ref in refs:
            sink = self._sinks.pop(ref, None)
            self._requests.discard(ref)
            if sink is not None:
                counts[sink] = counts.get(sink, 0) + 1
        for sink, count in counts.items():
            sink.failed(error, count)

    def lost(self, error: Exception) -> None:
        """The connection is gone: what was written has an unknown end."""
        self.fail([ref for ref in self._sinks if self._was_written(ref)], error)

    def close(self, error: Exception) -> None:
        """Nothing will be written or answered any more."""
        self.fail(tuple(self._sinks), error)

    def _was_written(self, ref: int) -> bool:
        return ref <= self._written or ref in self._requests

    def _encode(self, key: PublishKey, ref: int, envelopes: Sequence[bytes], count: int) -> bytes:
        scope, name, mode, ack, patience = key
        self._written = ref + count - 1
        return CLIENT_CODEC.encode_batch(ClientPublish, (ref, mode, name, ack, patience), envelopes, count, scope)
