"""How often something may be restarted: at most so many times within a while, and then never again.

The measure is that of OTP's supervisors (``intensity`` and ``period``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["RestartBudget", "Restarts"]


@dataclass(frozen=True, slots=True)
class RestartBudget:
    """At most ``attempts`` restarts in any ``within_s`` seconds; with 0 attempts the first crash is the last."""

    attempts: int = 5
    within_s: float = 60.0


class Restarts:
    """What is left of one budget."""

    def __init__(self, budget: RestartBudget) -> None:
        self._budget = budget
        self._times: deque[float] = deque()
        self.count = 0
        """How many restarts there were in all."""

    def allow(self, now: float) -> bool:
        """Note a crash at ``now`` (seconds, monotonic); returns whether a restart is within the budget."""
        while self._times and self._times[0] <= now - self._budget.within_s:
            self._times.popleft()
        if len(self._times) >= self._budget.attempts:
            return False
        self._times.append(now)
        self.count += 1
        return True
