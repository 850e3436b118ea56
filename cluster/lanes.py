"""What waits to be written to one connection: bounded, in order, and honest about what did not fit.

A lane holds envelopes that are encoded already, in segments that become one batch frame each, and finished
frames that must keep their place among them. It is bounded by bytes and by age. A full lane refuses: the
newest publish is dropped for this peer alone, counted, and told to the peer in a ``Lost`` frame that precedes
whatever follows on that channel, so that the loss shows there as a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from .codec import LINK_CODEC
from .envelope import BATCH_MAX
from .frames import Heads, Lost, Publish

__all__ = ["STALL_S", "Lane", "PeerLane"]

SEGMENT_BYTES: Final = 256 * 1024
"""A segment is closed at this size at the latest: one write of the socket."""

FRAME_OVERHEAD_BYTES: Final = 1024
"""What a batch frame needs beside its envelopes: the channel's name, and numbers."""

STALL_S: Final = 0.5
"""A full lane whose oldest entry is older than this belongs to a peer that is too slow to wait for."""

Key = TypeVar("Key", bound=Hashable)


class _Segment(Generic[Key]):
    """Envelopes of one batch frame, with room for ``left`` bytes more; or a finished frame.

    An envelope that is larger than the room of a new segment has one for itself.
    """

    __slots__ = ("append", "envelopes", "frame", "key", "left", "number", "since")

    def __init__(self, key: Key | None, number: int, left: int, frame: bytes | None = None) -> None:
        self.key = key
        self.number = number
        self.frame = frame
        self.envelopes: list[bytes] = []
        self.append = self.envelopes.append
        self.left = left
        self.since: float | None = None

    @property
    def size(self) -> int:
        """The bytes that it counts for."""
        return sum(map(len, self.envelopes)) if self.frame is None else len(self.frame)


class Lane(Generic[Key]):
    """A bounded queue of envelopes on their way into batch frames.

    Args:
        encode: builds the frame of a segment from its key, the number of its first envelope, and the envelopes.
        bytes_max: how much may wait.
        age_max_s: how long the oldest may wait before nothing more is taken.
    """

    def __init__(self, encode: Callable[[Key, int, Sequence[bytes]], bytes], bytes_max: int, age_max_s: float) -> None:
        self._encode = encode
        self.segments: deque[_Segment[Key]] = deque()
        self._segment_bytes = SEGMENT_BYTES
        self._open: _Segment[Key] | None = None
        self.bytes = 0
        self.bytes_max = bytes_max
        self.age_max_s = age_max_s
        self.stalled = False
        """Whether the peer is too slow to be waited for."""
        self.expired = False
        """Whether the oldest entry is too old for more to be taken."""
        self.crowded = False
        """Whether a publisher should wait for room: half full, and the peer is worth waiting for."""

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.segments)

    def limit_frames(self, bytes_max: int) -> None:
        """Make no frames above ``bytes_max`` from what is queued from now on; one envelope must fit."""
        self._segment_bytes = min(SEGMENT_BYTES, bytes_max - FRAME_OVERHEAD_BYTES)

    def put(self, key: Key, number: int, envelopes: Sequence[bytes]) -> int:
        """Queue as many of ``envelopes`` as there is room for, from the first on; return how many.

        ``number`` is the first one's; 0 when envelopes under this key are not numbered.
        """
        taken = 0
        segment, total = self._open, self.bytes
        if segment is not None and number and segment.number + len(segment.envelopes) != number:
            segment = None  # numbers in between were given to something else
        for envelope in envelopes:
            size = len(envelope)
            total += size
            if total > self.bytes_max or self.expired:
                total -= size
                break
            if segment is None or segment.key != key or segment.left < size:
                segment = self._open = _Segment(key, number + taken if number else 0, self._segment_bytes)
                self.segments.append(segment)
            segment.append(envelope)
            segment.left = segment.left - size if len(segment.envelopes) < BATCH_MAX else 0
            taken += 1
        self.bytes = total
        self.crowded = total * 2 > self.bytes_max and not self.stalled
        return taken

    def put_frame(self, frame: bytes) -> None:
        """Queue a finished frame behind everything that waits; never refused, since it reports and does not carry."""
        self._open = None
        self.segments.append(_Segment(None, 0, 0, frame))
        self.bytes += len(frame)

    def take(self, bytes_max: int) -> list[bytes]:
        """Remove and return frames, oldest first, until ``bytes_max`` is reached."""
        frames: list[bytes] = []
        size = 0
        while self.segments and size < bytes_max:
            segment = self.segments.popleft()
            if segment is self._open:
                self._open = None
            weight = segment.size
            self.bytes -= weight
            size += weight
            if segment.frame is not None:
                frames.append(segment.frame)
            else:
                assert segment.key is not None
                frames.append(self._encode(segment.key, segment.number, segment.envelopes))
        if not self.segments:
            self.stalled = self.expired = False
        self.crowded = self.bytes * 2 > self.bytes_max and not self.stalled
        return frames

    def age(self, now: float) -> None:
        """Note how old the oldest entry is; to be called in every turn that writes, and by the node's sweep.

        Entries get their time here and not when they are queued, which spares each publish a look at the clock.
        """
        if not self.segments:
            self.stalled = self.expired = self.crowded = False
            return
        for segment in reversed(self.segments):
            if segment.since is not None:
                break
            segment.since = now
        oldest = self.segments[0].since
        assert oldest is not None
        self.stalled = now - oldest > STALL_S
        self.expired = now - oldest > self.age_max_s
        self.crowded = self.bytes * 2 > self.bytes_max and not self.stalled


class PeerLane(Lane[tuple[str, bool]]):
    """The data lane of a link; its key is a channel and whether receipts are asked for.

    Args:
        epoch: this node's, which every frame bears.
        bytes_max: how much may wait.
        age_max_s: how long the oldest may wait.
    """

    def __init__(self, epoch: int, bytes_max: int, age_max_s: float) -> None:
        super().__init__(self._publish, bytes_max, age_max_s)
        self._epoch = epoch
        self._lost: dict[str, tuple[int, int]] = {}
        self._receipt = 1
        self.dropped = 0

    def __bool__(self) -> bool:
        """Whether anything waits, if only the news of a loss."""
        return bool(self.segments or self._lost)

    def publish(self, channel: str, sequence: int, envelopes: Sequence[bytes], receipts: bool) -> int:
        """Queue consecutive publishes of ``channel`` from ``sequence`` on; return how many were taken.

        The rest is dropped for this peer, which will be told.
        """
        if self._lost and channel in self._lost and self._has_room(envelopes[0]):
            self._report(channel)
        number = self._receipt if receipts else 0
        taken = self.put((channel, receipts), number, envelopes)
        if receipts:
            self._receipt += taken
        if taken < len(envelopes):
            self._lose(channel, sequence + taken, sequence + len(envelopes) - 1)
        return taken

    def heads(self, applied: int, heads: Sequence[tuple[str, int]]) -> None:
        """Queue where this node's channels stand, for a peer that has just become interested in them."""
        parts = [list(heads[start : start + BATCH_MAX]) for start in range(0, len(heads), BATCH_MAX)] or [[]]
        for part in parts[:-1]:  # only the last part may say that all was told
            self.put_frame(LINK_CODEC.encode(Heads(self._epoch, 0, part)))
        self.put_frame(LINK_CODEC.encode(Heads(self._epoch, applied, parts[-1])))

    def take(self, bytes_max: int) -> list[bytes]:
        """Remove and return frames; losses are told as soon as nothing waits before them."""
        frames = super().take(bytes_max)
        if self._lost and not self.segments:
            for channel in tuple(self._lost):
                self._report(channel)
            frames += super().take(bytes_max)
        return frames

    def _lose(self, channel: str, first: int, last: int) -> None:
        self.dropped += last - first + 1
        first = self._lost.get(channel, (first, last))[0]
        self._lost[channel] = (first, last)

    def _has_room(self, envelope: bytes) -> bool:
        return not self.expired and self.bytes + len(envelope) <= self.bytes_max

    def _report(self, channel: str) -> None:
        first, last = self._lost.pop(channel)
        self.put_frame(LINK_CODEC.encode(Lost(self._epoch, channel, first, last)))

    def _publish(self, key: tuple[str, bool], number: int, envelopes: Sequence[bytes]) -> bytes:
        return LINK_CODEC.encode_batch(Publish, (self._epoch, key[0], number), envelopes)
