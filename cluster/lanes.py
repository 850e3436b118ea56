"""What waits to be written to one connection: bounded, in order, and honest about what did not fit.

A lane holds envelopes that are encoded already, in segments that become one batch frame each, and finished
frames that must keep their place among them. It is bounded by bytes and by age. A full lane refuses: the
newest publish is dropped for this peer alone, counted, and told to the peer in a ``Lost`` frame that precedes
whatever follows on that channel, so that the loss shows there as a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from .codec import LINK_CODEC, encode_envelope
from .envelope import BATCH_MAX, Envelope
from .offer_frames import Offer
from .publish_frames import Heads, Lost, Publish
from .scopes import CHANNEL_SCOPE

__all__ = ["STALL_S", "Lane", "PeerLane"]

SEGMENT_BYTES: Final = 256 * 1024
"""A segment is closed at this size at the latest: one write of the socket."""

FRAME_OVERHEAD_BYTES: Final = 1024
"""What a batch frame needs beside its envelopes: the channel's name, and numbers."""

FRAMES_BYTES_MAX: Final = 8 * 1024 * 1024
"""How much finished frames may wait beyond what envelopes may: where ten thousand channels stand takes a third."""

STALL_S: Final = 0.5
"""A full lane whose oldest entry is older than this belongs to a peer that is too slow to wait for."""

Key = TypeVar("Key", bound=Hashable)


class _Segment(Generic[Key]):
    """Envelopes of one batch frame, ``count`` of them in ``parts``; or a finished frame."""

    __slots__ = ("count", "frame", "key", "number", "parts", "since", "size")

    def __init__(self, key: Key | None, number: int, frame: bytes | None = None) -> None:
        self.key = key
        self.number = number
        self.frame = frame
        self.parts: list[bytes] = []
        self.count = 0
        self.size = 0 if frame is None else len(frame)
        self.since: float | None = None


class Lane(Generic[Key]):
    """A bounded queue of envelopes on their way into batch frames.

    Args:
        encode: builds the frame of a segment from its key, the number of its first envelope, the encoded envelopes
            (several may be one piece), and how many they are.
        bytes_max: how much may wait.
        age_max_s: how long the oldest may wait before nothing more is taken.
    """

    def __init__(
        self, encode: Callable[[Key, int, Sequence[bytes], int], bytes], bytes_max: int, age_max_s: float
    ) -> None:
        self._encode = encode
        self.segments: deque[_Segment[Key]] = deque()
        self._segment_bytes = SEGMENT_BYTES
        self._open: _Segment[Key] | None = None
        self.bytes = 0
        self._taken = 0
        """All bytes that were ever taken out."""
        self.bytes_max = bytes_max
        self.age_max_s = age_max_s
        self.stalled = False
        """Whether the peer is too slow to be waited for."""
        self.expired = False
        """Whether the oldest entry is too old for more to be taken."""
        self.crowded = False
        """Whether a publisher should wait for room: half full, and the peer is worth waiting for."""
        self.hopeless = False
        """Whether a report had to be dropped, so that its owner has to end the connection."""

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.segments)

    def limit_frames(self, bytes_max: int) -> None:
        """Make no frames above ``bytes_max`` from what is queued from now on; one envelope must fit."""
        self._segment_bytes = min(SEGMENT_BYTES, bytes_max - FRAME_OVERHEAD_BYTES)

    def put(self, key: Key, number: int, envelopes: Sequence[Envelope], encoded: bytes) -> int:
        """Queue as many of ``envelopes`` as there is room for, from the first on; return how many.

        ``number`` is the first one's; 0 when envelopes under this key are not numbered. ``encoded`` is all of them.
        """
        taken = len(envelopes)
        if self.expired:
            taken = 0
        elif self.bytes + len(encoded) <= self.bytes_max and len(encoded) <= self._segment_bytes:
            self._append(key, number, encoded, taken)
        else:
            taken = self._put_singly(key, number, envelopes)
        self.crowded = self.bytes * 2 > self.bytes_max and not self.stalled
        return taken

    def _put_singly(self, key: Key, number: int, envelopes: Sequence[Envelope]) -> int:
        """Queue what fits of envelopes that do not fit as a whole, be it into the lane or into one frame."""
        for taken, envelope in enumerate(envelopes):
            encoded = encode_envelope(envelope)
            if self.bytes + len(encoded) > self.bytes_max:
                return taken
            self._append(key, number + taken if number else 0, encoded, 1)
        return len(envelopes)

    def _append(self, key: Key, number: int, encoded: bytes, count: int) -> None:
        segment, size = self._open, len(encoded)
        if (
            segment is None
            or segment.key != key
            # Numbers in between were given to something else.
            or (number and segment.number + segment.count != number)
            or segment.size + size > self._segment_bytes
            or segment.count + count > BATCH_MAX
        ):
            # An envelope that is larger than a segment has one for itself.
            segment = self._open = _Segment(key, number)
            self.segments.append(segment)
        segment.parts.append(encoded)
        segment.count += count
        segment.size += size
        self.bytes += size

    def put_frame(self, frame: bytes) -> None:
        """Queue a finished frame behind everything that waits, whatever that is, since it reports and does not carry.

        It is dropped only if so much waits that the peer cannot be reading; then the lane is :attr:`hopeless`.
        """
        if self.bytes > self.bytes_max + FRAMES_BYTES_MAX:
            self.hopeless = True
            return
        self._open = None
        self.segments.append(_Segment(None, 0, frame))
        self.bytes += len(frame)

    def take(self, bytes_max: int) -> list[bytes]:
        """Remove and return frames, oldest first, until ``bytes_max`` is reached."""
        frames: list[bytes] = []
        size = 0
        while self.segments and size < bytes_max:
            segment = self.segments.popleft()
            if segment is self._open:
                self._open = None
            self.bytes -= segment.size
            size += segment.size
            if segment.frame is not None:
                frames.append(segment.frame)
            else:
                assert segment.key is not None
                frames.append(self._encode(segment.key, segment.number, segment.parts, segment.count))
        self._taken += size
        if not self.segments:
            self.stalled = self.expired = False
        self.crowded = self.bytes * 2 > self.bytes_max and not self.stalled
        return frames

    def mark(self) -> Callable[[], bool]:
        """Return what tells whether everything that waits now was taken."""
        end = self._taken + self.bytes
        return lambda: self._taken >= end

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


class _OfferKey(NamedTuple):
    """What offers in one frame have in common; ``ahead`` is how far receipts are ahead of offers, None without any."""

    channel: str
    claims: tuple[tuple[str, int], ...]
    plain: bool
    ahead: int | None


_Key = tuple[str, bool, int] | _OfferKey
"""Of publishes: a channel, whether receipts are asked for, and the channel's scope."""


class PeerLane(Lane[_Key]):
    """The data lane of a link.

    Args:
        epoch: this node's, which every frame bears.
        bytes_max: how much may wait.
        age_max_s: how long the oldest may wait.
    """

    def __init__(self, epoch: int, bytes_max: int, age_max_s: float) -> None:
        super().__init__(self._publish, bytes_max, age_max_s)
        self._epoch = epoch
        self._lost: dict[tuple[str, int], tuple[int, int]] = {}
        self._receipt = 1
        self._offer = 1
        self.dropped = 0

    def __bool__(self) -> bool:
        """Whether anything waits, if only the news of a loss."""
        return bool(self.segments or self._lost)

    def publish(
        self,
        channel: str,
        envelopes: Sequence[Envelope],
        encoded: bytes,
        receipts: bool,
        scope: int = CHANNEL_SCOPE,
    ) -> int:
        """Queue consecutive publishes of ``channel``, ``encoded`` together; return how many were taken.

        The rest is dropped for this peer, which will be told.
        """
        if self._lost and (channel, scope) in self._lost and self._has_room(encode_envelope(envelopes[0])):
            self._report(channel, scope)
        number = self._receipt if receipts else 0
        taken = self.put((channel, receipts, scope), number, envelopes, encoded)
        if receipts:
            self._receipt += taken
        if taken < len(envelopes):
            self._lose((channel, scope), envelopes[taken].sequence, envelopes[-1].sequence)
        return taken

    def offer(
        self,
        channel: str,
        envelopes: Sequence[Envelope],
        encoded: bytes,
        claims: tuple[tuple[str, int], ...],
        plain: bool,
        receipts: bool,
    ) -> tuple[int, int]:
        """Queue consecutive publishes of ``channel`` as offers; return the first's number, and how many were taken.

        The rest is dropped for this peer as a publish is, if it is for those in no group, too; else it is not offered.

        Args:
            channel: its name.
            envelopes: the publishes.
            encoded: all of them.
            claims: the groups, with what each offer puts up with.
            plain: whether they are for those who are in no group, too.
            receipts: whether these ask for receipts.
        """
        stream = channel, CHANNEL_SCOPE
        if plain and stream in self._lost and self._has_room(encode_envelope(envelopes[0])):
            self._report(*stream)
        number, receipts = self._offer, receipts and plain
        key = _OfferKey(channel, claims, plain, self._receipt - number if receipts else None)
        taken = self.put(key, number, envelopes, encoded)
        self._offer += taken
        if receipts:
            self._receipt += taken
        if plain and taken < len(envelopes):
            self._lose(stream, envelopes[taken].sequence, envelopes[-1].sequence)
        return number, taken

    @property
    def unwritten(self) -> int:
        """The number of the first offer that nobody has taken from the lane yet."""
        waiting = (one.number for one in self.segments if isinstance(one.key, _OfferKey))
        return next(waiting, self._offer)

    def heads(self, applied: int, heads: Sequence[tuple[str, int]], scope: int = CHANNEL_SCOPE) -> None:
        """Queue where this node's channels stand, for a peer that has just become interested in them."""
        parts = [list(heads[start : start + BATCH_MAX]) for start in range(0, len(heads), BATCH_MAX)] or [[]]
        for part in parts[:-1]:  # only the last part may say that all was told
            self.put_frame(LINK_CODEC.encode(Heads(self._epoch, 0, part, scope)))
        self.put_frame(LINK_CODEC.encode(Heads(self._epoch, applied, parts[-1], scope)))

    def take(self, bytes_max: int) -> list[bytes]:
        """Remove and return frames; losses are told as soon as nothing waits before them."""
        frames = super().take(bytes_max)
        if self._lost and not self.segments:
            for channel, scope in tuple(self._lost):
                self._report(channel, scope)
            frames += super().take(bytes_max)
        return frames

    def drop(self, channel: str, envelopes: Sequence[Envelope], scope: int = CHANNEL_SCOPE) -> None:
        """Take none of consecutive publishes, as if there was no room for them."""
        self._lose((channel, scope), envelopes[0].sequence, envelopes[-1].sequence)

    def _lose(self, stream: tuple[str, int], first: int, last: int) -> None:
        self.dropped += last - first + 1
        first = self._lost.get(stream, (first, last))[0]
        self._lost[stream] = (first, last)

    def _has_room(self, envelope: bytes) -> bool:
        return not self.expired and self.bytes + len(envelope) <= self.bytes_max

    def _report(self, channel: str, scope: int) -> None:
        first, last = self._lost.pop((channel, scope))
        self.put_frame(LINK_CODEC.encode(Lost(self._epoch, channel, first, last, scope)))

    def _publish(self, key: _Key, number: int, envelopes: Sequence[bytes], count: int) -> bytes:
        if isinstance(key, _OfferKey):
            receipt = 0 if key.ahead is None else number + key.ahead
            fields = (self._epoch, key.channel, number, key.claims, key.plain, receipt)
            return LINK_CODEC.encode_batch(Offer, fields, envelopes, count)
        return LINK_CODEC.encode_batch(Publish, (self._epoch, key[0], number), envelopes, count, key[2])
