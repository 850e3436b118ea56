"""What is being told: each rumour a logarithmic number of times, the least told first, within a bound of bytes.

There is one rumour for each name, since a later word about it makes the earlier one worthless; so the queue is no
longer than the roster.
"""

from __future__ import annotations

import math

import msgspec

from ..swim_frames import Rumour

__all__ = ["Rumours"]

_encode = msgspec.msgpack.Encoder().encode


class Rumours:
    """The rumours that this node passes on."""

    def __init__(self, retransmit: int, bytes_max: int) -> None:
        self._retransmit = retransmit
        self._bytes_max = bytes_max
        self._tiers: list[dict[str, tuple[Rumour, int]]] = [{}]
        """Rumours with their bytes by name, those told so many times already in one tier."""
        self._told: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._told)

    def __contains__(self, name: str) -> bool:
        return name in self._told

    def add(self, rumour: Rumour) -> None:
        """Begin to tell this, instead of what was told of that name before."""
        name = rumour.record.name
        self.drop(name)
        self._tiers[0][name] = (rumour, len(_encode(rumour)))
        self._told[name] = 0

    def drop(self, name: str) -> None:
        """Tell nothing of this name any more."""
        tier = self._told.pop(name, None)
        if tier is not None:
            del self._tiers[tier][name]

    def limit(self, live: int) -> int:
        """Return how often a rumour is told in a mesh of so many members."""
        return self._retransmit * math.ceil(math.log10(live + 1))

    def take(self, live: int, first: Rumour | None = None) -> list[Rumour]:
        """Return what goes into the next frame; ``first`` goes along in any case and is not counted as told."""
        taken = [] if first is None else [first]
        if not self._told:
            return taken
        room = self._bytes_max - (0 if first is None else len(_encode(first)))
        moved: list[tuple[int, str, tuple[Rumour, int]]] = []
        for told, tier in enumerate(self._tiers):
            for name in reversed(tier):  # the news before what is older
                entry = tier[name]
                if entry[1] > room:
                    break
                room -= entry[1]
                moved.append((told, name, entry))
        limit = self.limit(live)
        for told, name, entry in moved:
            taken.append(entry[0])
            self.drop(name)
            if told + 1 < limit:
                self._keep(name, told + 1, entry)
        return taken

    def _keep(self, name: str, told: int, entry: tuple[Rumour, int]) -> None:
        while len(self._tiers) <= told:
            self._tiers.append({})
        self._tiers[told][name] = entry
        self._told[name] = told
