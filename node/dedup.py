"""What a node remembers of keys, so that a publish which is made again is delivered once.

A publish may bear a key of its publisher's choice. Per channel a key is *claimed* while its publish is under way,
*completed* once somebody took it, and *released* if nobody did, so that a publish that failed never suppresses its own
retry. A node also remembers the keys that reached its subscribers through other nodes. A key is remembered for the
channel's window, counted from its completion; a live claim is never forgotten, since its publish always ends.

The key itself is kept, never a hash alone, and beside it a digest of the body, by which a retry is told from another
message under the same key. Everything is bounded: where there is no room for one more key, it is refused by name; to
forget another one early would break the promise in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, NamedTuple

from msgspec import Struct

from .errors import InFlight, KeyReused, LimitExceeded

__all__ = ["Claim", "Dedup", "DedupStatistics", "Original", "SweepReport"]

RETRY_MIN_S: Final = 0.01
RETRY_MAX_S: Final = 1.0
"""Who asks while a key is in flight is told to wait as long again as it has been so far, within these."""

ROOM_KEYS: Final = 64
"""So many keys are looked at for one whose window is over, when a channel is full."""


class Original(Struct, frozen=True, eq=False, gc=False):
    """A publish that was delivered: what a duplicate of it is answered with."""

    key: str
    digest: bytes
    message_id: int
    at: float
    """When it was completed, in seconds of the node's monotonic clock."""


class Claim(Struct, eq=False, gc=False):
    """A publish that is under way."""

    channel: str
    key: str
    digest: bytes
    since: float
    message_id: int = 0
    """Of the message, once a subscriber of this node has taken it."""


class SweepReport(NamedTuple):
    """What one sweep did, in keys: looked at, forgotten since their window is over, and still remembered."""

    scanned: int
    expired: int
    kept: int


@dataclass(slots=True)
class DedupStatistics:
    """Counters since the start, in publishes with a key, and what the sweeps did."""

    fresh: int = 0
    duplicates: int = 0
    in_flight: int = 0
    """Of those that came while another with their key was under way."""
    reused: int = 0
    refused: int = 0
    """For want of room."""
    suppressed: int = 0
    """Of those that came from peers."""
    completed: int = 0
    released: int = 0
    failed_releases: int = 0
    sweeps: int = 0
    scanned: int = 0
    expired: int = 0


class _Keys:
    """The keys of one channel.

    ``order`` holds the originals by the time of their completion, also those that a later one has replaced.
    ``listed`` says that they stand in the agenda of the sweep.
    """

    __slots__ = ("claims", "listed", "order", "originals", "window_s")

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self.listed = False
        self.claims: dict[str, Claim] = {}
        self.originals: dict[str, Original] = {}
        self.order: deque[Original] = deque()

    def __len__(self) -> int:
        return len(self.claims) + len(self.order)

    def original(self, key: str, now: float) -> Original | None:
        """Return what was delivered under a key within the window."""
        found = self.originals.get(key)
        return None if found is None or self.over(found, now) else found

    def over(self, original: Original, now: float) -> bool:
        return now - original.at >= self.window_s

    def add(self, original: Original) -> None:
        self.originals[original.key] = original
        self.order.append(original)

    def forget(self, now: float, most: int) -> int:
        """Forget up to ``most`` whose window is over; return how many."""
        order, originals = self.order, self.originals
        count = 0
        while order and count < most and self.over(order[0], now):
            original = order.popleft()
            if originals.get(original.key) is original:  # and not a later one under the same key
                del originals[original.key]
            count += 1
        return count


class Dedup:
    """The keys of one node, by channel.

    Args:
        channel_max: how many keys of one channel are remembered at once, those in flight included.
        node_max: the same of all channels together.

    Attributes:
        due: called when a channel begins to remember, with the time when there will be something of it to sweep.
    """

    def __init__(self, channel_max: int, node_max: int) -> None:
        self.statistics = DedupStatistics()
        self.due: Callable[[float], None] = lambda _: None
        self._channel_max = channel_max
        self._node_max = node_max
        self._held = 0
        self._remembered = 0
        self._channels: dict[str, _Keys] = {}
        self._agenda: list[tuple[float, str]] = []
        """When there will be something of which channel to sweep: a heap, each channel in it at most once."""

    # --- publishes of this node ---

    def claim(self, channel: str, key: str, digest: bytes, now: float, window_s: float) -> Claim | Original:
        """Claim a key for a publish that begins; return what was delivered under it, if anything was.

        Args:
            channel: its exact name.
            key: of the publisher's choice.
            digest: of the body.
            now: seconds of the node's monotonic clock, here and in all other calls.
            window_s: for how long the channel remembers.

        Raises:
            InFlight: another publish with this key is under way.
            KeyReused: the key was given to another body.
            LimitExceeded: the channel remembers as many keys as it may.
        """
        keys = self._channels.get(channel)
        if keys is not None:
            keys.window_s = window_s
            found = keys.claims.get(key) or keys.original(key, now)
            if found is not None:
                return self._found(channel, found, digest, now)
        if full := self._full(channel, now):
            self.statistics.refused += 1
            raise LimitExceeded(*full)
        if keys is None:
            keys = self._channels[channel] = _Keys(window_s)
        claim = keys.claims[key] = Claim(channel, key, digest, now)
        self._held += 1
        self.statistics.fresh += 1
        return claim

    def _found(self, channel: str, found: Claim | Original, digest: bytes, now: float) -> Original:
        if found.digest != digest:
            self.statistics.reused += 1
            raise KeyReused(channel, found.key)
        if isinstance(found, Claim):
            self.statistics.in_flight += 1
            raise InFlight(min(RETRY_MAX_S, max(RETRY_MIN_S, now - found.since)), channel, found.key)
        self.statistics.duplicates += 1
        return found

    def complete(self, claim: Claim, message_id: int, now: float) -> None:
        """A claim's publish was delivered, here or elsewhere: it is the original from now on."""
        keys = self._channels[claim.channel]
        assert keys.claims.get(claim.key) is claim, "a claim is completed once"
        del keys.claims[claim.key]
        self._held -= 1
        self._add(claim.channel, keys, Original(claim.key, claim.digest, message_id, now))
        self.statistics.completed += 1

    def release(self, claim: Claim) -> bool:
        """A claim's publish was delivered to nobody: forget it. What was completed stays as it is.

        Returns:
            Whether the claim was there. If it was not, that is counted, and the caller should be loud about it.
        """
        keys = self._channels.get(claim.channel)
        if keys is None or keys.claims.get(claim.key) is not claim:
            self.statistics.failed_releases += 1
            return False
        del keys.claims[claim.key]
        self._held -= 1
        self.statistics.released += 1
        self._drop_if_empty(claim.channel, keys)
        return True

    # --- what comes from peers ---

    def delivered(self, channel: str, key: str, now: float) -> Claim | Original | None:
        """Return what subscribers of this node have taken under a key, be its own publish still under way."""
        keys = self._channels.get(channel)
        if keys is None:
            return None
        claim = keys.claims.get(key)
        return claim if claim is not None and claim.message_id else keys.original(key, now)

    def room(self, channel: str, now: float) -> bool:
        """Whether one more key of a channel could be remembered."""
        return self._full(channel, now) is None

    def remember(self, channel: str, key: str, digest: bytes, message_id: int, now: float, window_s: float) -> None:
        """Subscribers of this node took a peer's publish with a key; :meth:`room` was asked before."""
        keys = self._channels.get(channel)
        if keys is None:
            keys = self._channels[channel] = _Keys(window_s)
        keys.window_s = window_s
        self._add(channel, keys, Original(key, digest, message_id, now))

    # --- the sweep ---

    def sweep(self, now: float, most: int) -> tuple[SweepReport, float | None]:
        """Forget keys whose window is over, up to ``most``, and never a live claim.

        Returns:
            What was done, and when there will be more to do; None while nothing is remembered.
        """
        scanned = expired = 0
        while self._agenda and self._agenda[0][0] <= now and expired < most:
            _, channel = heappop(self._agenda)
            keys = self._channels[channel]
            keys.listed = False
            gone = self._forget(keys, now, most - expired)
            expired += gone
            scanned += gone
            if keys.order:
                scanned += 1  # the first that is kept was looked at, too
                self._list(channel, keys)
            else:
                self._drop_if_empty(channel, keys)
        counts = self.statistics
        counts.sweeps += 1
        counts.scanned += scanned
        counts.expired += expired
        return SweepReport(scanned, expired, self._remembered), self._agenda[0][0] if self._agenda else None

    @property
    def remembered(self) -> int:
        """How many keys are remembered, those in flight not included."""
        return self._remembered

    @property
    def claimed(self) -> int:
        """How many are in flight."""
        return sum(len(keys.claims) for keys in self._channels.values())

    def of(self, channel: str) -> tuple[int, int]:
        """Return how many keys of a channel are remembered, and how many are in flight."""
        keys = self._channels.get(channel)
        return (0, 0) if keys is None else (len(keys.originals), len(keys.claims))

    def _full(self, channel: str, now: float) -> tuple[str, int] | None:
        """Return the bound that one more key would pass, once some whose window is over were forgotten."""
        keys = self._channels.get(channel)
        held = 0 if keys is None else len(keys)
        if held < self._channel_max and self._held < self._node_max:
            return None
        held -= 0 if keys is None else self._forget(keys, now, ROOM_KEYS)
        if held >= self._channel_max:
            return "dedup_keys", self._channel_max
        return None if self._held < self._node_max else ("dedup_keys_node", self._node_max)

    def _add(self, channel: str, keys: _Keys, original: Original) -> None:
        self._remembered += original.key not in keys.originals
        keys.add(original)
        self._held += 1
        if not keys.listed:
            self.due(self._list(channel, keys))

    def _list(self, channel: str, keys: _Keys) -> float:
        keys.listed = True
        end = keys.order[0].at + keys.window_s
        heappush(self._agenda, (end, channel))
        return end

    def _forget(self, keys: _Keys, now: float, most: int) -> int:
        before = len(keys.originals)
        count = keys.forget(now, most)
        self._held -= count
        self._remembered -= before - len(keys.originals)
        return count

    def _drop_if_empty(self, channel: str, keys: _Keys) -> None:
        if not (len(keys) or keys.listed):
            del self._channels[channel]
