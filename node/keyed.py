"""Publishes with a key: claimed before anything is delivered, and settled once it is known who took them.

Somebody took it: the claim is completed. A node answers that its subscribers had it already, through another node or by
an earlier attempt: completed too, with the original's number, and the publisher is told of a duplicate. Nobody took it:
released, so that a retry can deliver; and if some node did not answer, the publisher is told that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from liminal_mesh.cluster import Envelope, OptionKey, ProtocolError
from liminal_mesh.storage import LiminalError

from .channel import Channel
from .dedup import Claim, Dedup, Original
from .errors import KeyReused, LimitExceeded, OutcomeUnknown
from .events import Events
from .options import read
from .route import Pending, missing_receipts

__all__ = ["Keyed", "Keys", "digest_of", "has_key", "key_of"]

DIGEST_BYTES: Final = 16

_key = msgspec.msgpack.Decoder(str)
_KEY: Final = OptionKey.KEY.value


class Keys:
    """The publishes with keys of one node.

    Args:
        dedup: what it remembers.
        clock: seconds that never go back.
        key_max: the longest key, in bytes.
        events: where it is noted if a key could not be given back.
    """

    def __init__(self, dedup: Dedup, clock: Callable[[], float], key_max: int, events: Events) -> None:
        self.dedup = dedup
        self.events = events
        self.clock = clock
        self._key_max = key_max

    def begin(self, channel: Channel, item: Envelope, pending: Pending) -> bool:
        """Claim the key of a publish; return whether it is to be delivered. Else it was, and the pending says so.

        Raises:
            InFlight: another publish with this key is under way.
            KeyReused: the key was given to another message.
            LimitExceeded: the key is too long, or no more keys can be remembered.
            ProtocolError: the key is no text.
        """
        key = key_of(item)
        if len(key.encode()) > self._key_max:
            raise LimitExceeded("key", self._key_max)
        found = self.dedup.claim(channel.name, key, digest_of(item), self.clock(), channel.settings.dedup_window_s)
        if isinstance(found, Original):
            pending.message_id, pending.duplicate = found.message_id, True
            return False
        pending.keyed = Keyed(self, found)
        return True

    # --- what comes from peers ---

    def taken_before(self, channel: str, key: str) -> Original | Claim | None:
        """Return what subscribers of this node have taken already under the key of a publish.

        Args:
            channel: its name, or that of a queue on it: what members of a group take is remembered by group.
            key: of the publish.
        """
        found = self.dedup.delivered(channel, key, self.clock())
        self.dedup.statistics.suppressed += found is not None
        return found

    def room(self, channel: str, key: str) -> bool:
        """Whether the key of a peer's publish could be remembered; a node whose bounds are wider may send more."""
        fits = len(key.encode()) <= self._key_max and self.dedup.room(channel, self.clock())
        self.dedup.statistics.refused += not fits
        return fits

    def taken(self, channel: str, key: str, item: Envelope, window_s: float) -> None:
        """Subscribers of this node have taken a peer's publish with a key, which is remembered for a window."""
        self.dedup.remember(channel, key, digest_of(item), item.id, self.clock(), window_s)


class Keyed:
    """One publish with a key that is under way.

    Attributes:
        failure: what its publisher is to be told instead of an outcome, once it has ended.
    """

    __slots__ = ("_claim", "_keys", "_original", "_reused", "failure")

    def __init__(self, keys: Keys, claim: Claim) -> None:
        self._keys = keys
        self._claim = claim
        self._original = 0
        self._reused = False
        self.failure: LiminalError | None = None

    def suppressed(self, original: int, reused: bool) -> None:
        """A node's subscribers had taken something under this key before: message ``original``, or another body."""
        if reused:
            self._reused = True
        elif not self._original or original < self._original:
            self._original = original

    def accepted(self, pending: Pending) -> None:
        """It was numbered, delivered here, and queued for whoever else is interested."""
        if pending.local:
            self._claim.message_id = pending.message_id
        if not pending.left:
            self.settle(pending)

    def settle(self, pending: Pending) -> None:
        """All that will be known of it is known."""
        claim, dedup, now = self._claim, self._keys.dedup, self._keys.clock()
        if pending.delivered:
            dedup.complete(claim, pending.message_id, now)
            return
        if self._original:
            dedup.complete(claim, self._original, now)
        else:
            self._give_up(pending, now)
        if self._original:
            pending.message_id, pending.duplicate = self._original, True

    def release(self) -> None:
        """It failed, and its retry may begin at once."""
        claim = self._claim
        if not self._keys.dedup.release(claim):
            self._keys.events.note("key_not_released", level="error", channel=claim.channel, key=claim.key)

    def _give_up(self, pending: Pending, now: float) -> None:
        """Nobody took it. Subscribers here may have taken a peer's publish of the key meanwhile."""
        claim = self._claim
        self.release()
        meanwhile = self._keys.dedup.delivered(claim.channel, claim.key, now)
        if meanwhile is not None and meanwhile.digest == claim.digest:
            self._original = meanwhile.message_id
        elif self._reused or meanwhile is not None:
            self.failure = KeyReused(claim.channel, claim.key)
        elif pending.delivered is None:
            self.failure = OutcomeUnknown(missing_receipts(pending.nodes))


def has_key(items: Iterable[Envelope]) -> bool:
    """Whether any of these has a key."""
    return any(item.options and _KEY in item.options for item in items)


def key_of(item: Envelope) -> str:
    """Return the key of a publish that has one.

    Raises:
        ProtocolError: it is no text, or empty.
    """
    assert item.options is not None
    key = read(_key, item.options[_KEY], "key")
    if not key:
        raise ProtocolError("a key without a character")
    return key


def digest_of(item: Envelope) -> bytes:
    """Return what stands for the body of a publish: a retry has the same, another message another."""
    return blake2b(item.body, digest_size=DIGEST_BYTES, salt=bytes([item.encoding])).digest()
