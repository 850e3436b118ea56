"""How far this node distrusts itself (Lifeguard's local health multiplier), and how far it distrusts who flaps.

Each sign that our own messages are late (relays from which not even a nack came, accusations of ourselves that we
had to refute, ticks that came late) makes our probes slower and more patient; each success takes one step back.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Flaps", "Health"]


class Health:
    """The local health: 0 is well, ``most`` is as bad as it gets."""

    def __init__(self, most: int) -> None:
        self.score = 0
        self._most = most

    def better(self) -> None:
        """Note a probe that was answered."""
        self.score = max(0, self.score - 1)

    def worse(self, by: int = 1) -> None:
        """Note something that is likely our own fault."""
        self.score = min(self._most, self.score + by)


class Flaps:
    """How often each member died and came back, in the last while."""

    ENOUGH = 3

    def __init__(self, within_s: float, cap: int) -> None:
        self._within_s = within_s
        self._cap = cap
        self._returns: dict[str, deque[float]] = {}

    def returned(self, name: str, now: float) -> None:
        """Note that a member came back from the dead."""
        self._returns.setdefault(name, deque(maxlen=self.ENOUGH * self._cap)).append(now)

    def penalty(self, name: str, now: float) -> int:
        """Return by how much its shortest suspicion is multiplied: doubled by every third return."""
        times = self._returns.get(name)
        if times is None:
            return 1
        while times and times[0] <= now - self._within_s:
            times.popleft()
        if not times:
            del self._returns[name]
        return int(min(self._cap, 2 ** (len(times) // self.ENOUGH)))

    def forget(self, name: str) -> None:
        """Drop what is held of a name."""
        self._returns.pop(name, None)
