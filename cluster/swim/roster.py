"""The table of members: one record for each name, the tombstones among them, and the digest of the live ones.

A tombstone (a record of a dead or departed member) keeps what is purged from coming back: older words about that
run lose against it. Tombstones are bounded in time and in number. They are not part of the digest, so that two nodes
of which one has dropped a tombstone still agree; that somebody is alive for one and dead for the other shows all the
same, since the one counts it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Container, Iterable, MutableMapping
from typing import TYPE_CHECKING

from ..swim_frames import AgedRecord, MemberRecord
from .record import LIVE, fingerprint

if TYPE_CHECKING:
    from random import Random

__all__ = ["Roster"]


class Roster:
    """The records of one node's view.

    ``names`` are all known names in the order in which they were learned, ``live`` how many of them are alive or
    suspected, and ``digest`` the XOR of the fingerprints of those.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.live = 0
        self.digest = 0
        self.died: dict[str, float] = {}
        """When each tombstone's member was found dead or left, oldest first but for those learned from others."""
        self._records: MutableMapping[str, MemberRecord] = {}

    def fork(self) -> Roster:
        """Return a roster that begins as this one, and shares with it what neither changes.

        For simulations of thousands of nodes, whose tables would fill the memory; this one must not change any more.
        """
        other = Roster()
        other.names, other.live, other.digest, other.died = self.names, self.live, self.digest, dict(self.died)
        other._records = ChainMap({}, self._records)
        return other

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def get(self, name: str) -> MemberRecord | None:
        """Return what is known of a name."""
        return self._records.get(name)

    def records(self) -> list[MemberRecord]:
        """Return all records, by name."""
        return [self._records[name] for name in sorted(self.names)]

    def put(self, record: MemberRecord, now: float, age_s: float = 0.0) -> None:
        """Set what is known of a name; ``age_s`` is how long ago a tombstone's member was found dead or left."""
        before = self._records.get(record.name)
        if before is None:
            self.names = (*self.names, record.name)
        self._count(before, -1)
        self._records[record.name] = record
        self._count(record, 1)
        if record.state in LIVE:
            self.died.pop(record.name, None)
        else:
            self.died.setdefault(record.name, now - age_s)

    def drop(self, name: str) -> None:
        """Forget a name."""
        self._count(self._records.pop(name), -1)
        self.names = tuple(other for other in self.names if other != name)
        self.died.pop(name, None)

    def overdue(self, now: float, forget_s: float, most: int) -> list[str]:
        """Return the tombstones that are too old, or the oldest of too many."""
        if not self.died:
            return []
        by_age = sorted(self.died, key=lambda name: (self.died[name], name))
        surplus = max(0, len(by_age) - most)
        return by_age[:surplus] + [name for name in by_age[surplus:] if self.died[name] <= now - forget_s]

    def aged(self, record: MemberRecord, now: float) -> AgedRecord:
        """Return a record as it is told in an exchange of views."""
        return AgedRecord(record, max(0, int(now - self.died.get(record.name, now))))

    def pick(self, rng: Random, count: int, allowed: Container[str], excluded: Container[str]) -> list[str]:
        """Return up to ``count`` random live members out of ``allowed`` that are not ``excluded``."""
        chosen: list[str] = []
        for _ in range(4 * count + 4):  # nearly always enough, and without a look at everybody
            if len(chosen) == count or not self.names:
                return chosen
            name = self.names[int(rng.random() * len(self.names))]
            if name not in chosen and self._eligible(name, allowed, excluded):
                chosen.append(name)
        rest = [name for name in self.names if name not in chosen and self._eligible(name, allowed, excluded)]
        return chosen + rng.sample(rest, min(len(rest), count - len(chosen)))

    def newly_dead(self, now: float, within_s: float) -> Iterable[str]:
        """Return who was found dead or left not long ago."""
        return (name for name, at in self.died.items() if now - at < within_s)

    def _eligible(self, name: str, allowed: Container[str], excluded: Container[str]) -> bool:
        return name in allowed and name not in excluded and self._records[name].state in LIVE

    def _count(self, record: MemberRecord | None, change: int) -> None:
        if record is not None and record.state in LIVE:
            self.live += change
            self.digest ^= fingerprint(record)
