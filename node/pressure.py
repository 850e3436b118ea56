"""The pressure of a channel: a score from 0 to 1 over its consumers, and what is done about it.

Each policy of a channel has a threshold. All whose threshold is reached apply: publishers are slowed by the largest
factor, what has a priority below the highest bound is shed, and each is told when it is reached and when it is over. It
is over when the score has fallen a tenth below the threshold, and not within a second, so that a score that wavers is
told at most once in that time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from liminal_mesh.cluster import Envelope, Pid, ProtocolError

from .inbox import Inbox
from .options import headers_of
from .values import Consumption

__all__ = [
    "PRIORITY_DEFAULT",
    "PRIORITY_HEADER",
    "PRIORITY_MAX",
    "ChannelPressure",
    "Pace",
    "PressureChange",
    "PressurePolicy",
    "Score",
    "Severity",
    "consumption_of",
    "priority_of",
    "utilisation",
]

PRIORITY_HEADER: Final = "liminal-priority"
"""The header that says how important a publish is."""

PRIORITY_DEFAULT: Final = 5
PRIORITY_MAX: Final = 9

FALL: Final = 0.9
"""A policy is over below this part of its threshold."""

STAY_S: Final = 1.0
"""How long a policy applies at least, once it is reached."""

Severity = Literal["info", "warning", "error", "critical"]

Score: TypeAlias = Callable[[Sequence[Consumption]], float]
"""Makes a score from 0 to 1 out of how full the consumers of a channel are."""


@dataclass(frozen=True, slots=True)
class PressurePolicy:
    """What is done when the score reaches ``at``; see the configuration of a channel."""

    at: float
    slow: float | None = None
    shed_below: int | None = None
    signal: str | None = None
    alert: Severity | None = None


class PressureChange(NamedTuple):
    """A policy that was reached, or is over."""

    policy: PressurePolicy
    reached: bool
    score: float


def consumption_of(inbox: Inbox, pid: Pid) -> Consumption:
    """Return how full the inbox of a consumer is."""
    held = len(inbox)
    in_flight = min(held, inbox.credit)
    return Consumption(pid, utilisation(inbox), in_flight, inbox.credit, held - in_flight, inbox.messages)


def utilisation(inbox: Inbox) -> float:
    """Return how full an inbox is, from 0 to 1: in messages or in bytes, whichever is nearer to its bound."""
    return 1.0 if inbox.overflowed else min(1.0, max(len(inbox) / inbox.limit, inbox.bytes / inbox.size))


def priority_of(envelope: Envelope) -> int:
    """Return the priority that a publish bears, from 0 to 9; 5 when it bears none, or one that is none."""
    try:
        said = headers_of(envelope).get(PRIORITY_HEADER, "")
    except ProtocolError:  # another program's; whoever reads the headers hears of that
        return PRIORITY_DEFAULT
    return int(said) if len(said) == 1 and said in "0123456789" else PRIORITY_DEFAULT


class ChannelPressure:
    """The policies that the score of one channel has reached.

    Args:
        policies: in any order.

    Attributes:
        reached: the policies that apply, by ascending threshold.
        slow: the factor by which publishers are slowed, 1 when they are not.
        shed_below: what has a lower priority is shed; 0 sheds nothing.
    """

    __slots__ = ("_policies", "_since", "reached", "shed_below", "slow")

    def __init__(self, policies: Sequence[PressurePolicy]) -> None:
        self._policies = tuple(sorted(policies, key=lambda policy: policy.at))
        self._since: dict[PressurePolicy, float] = {}
        """The policies that apply, and since when."""
        self.reached: tuple[PressurePolicy, ...] = ()
        self.slow = 1.0
        self.shed_below = 0

    def look(self, score: float, now: float) -> list[PressureChange]:
        """Take a score at a time in seconds; return what has changed by it, by ascending threshold."""
        changes = []
        for policy in self._policies:
            since = self._since.get(policy)
            if since is None and score >= policy.at:
                self._since[policy] = now
                changes.append(PressureChange(policy, True, score))
            elif since is not None and score < policy.at * FALL and now - since >= STAY_S:
                del self._since[policy]
                changes.append(PressureChange(policy, False, score))
        if changes:
            self.reached = tuple(policy for policy in self._policies if policy in self._since)
            self.slow = max((policy.slow for policy in self.reached if policy.slow is not None), default=1.0)
            bounds = [policy.shed_below for policy in self.reached if policy.shed_below is not None]
            self.shed_below = max(bounds, default=0)
        return changes

    def sheds(self, envelope: Envelope) -> bool:
        """Whether a publish is not important enough for the pressure there is."""
        return self.shed_below > 0 and priority_of(envelope) < self.shed_below


METER_S: Final = 1.0
"""Over how long the rate of a channel is measured."""

METER_PARTS: Final = 10


class Pace:
    """Publishes on a channel, held to a part of the rate that they had before.

    The rate of the last second is what ``slow`` begins with; each publish then takes its share of the time, and while
    that is ahead of the clock, publishers wait. If there was none, the first second in which there are any tells it.
    """

    __slots__ = ("_allowed", "_begun", "_counted", "_due", "_factor", "_parts", "_rate")

    def __init__(self) -> None:
        self._parts: deque[tuple[float, int]] = deque()
        """Beginnings of tenths of a second, and what was counted in each."""
        self._counted = 0
        self._factor = 1.0
        self._rate = 0.0
        self._allowed = 0.0
        """How many a second, once that is known."""
        self._begun: float | None = None
        """When the first came of those by which it will be known."""
        self._due = 0.0

    def slow(self, factor: float, now: float) -> None:
        """Hold publishes to one ``factor``-th of their rate; 1 lets them go."""
        if factor <= 1.0:
            self._factor, self._allowed, self._due = 1.0, 0.0, 0.0
            return
        if self._factor == 1.0:  # else the rate is that of publishers who are slowed already
            self._rate, self._begun = self._measured(now), None
        elif factor < self._factor:  # what was published needs less time now
            self._due = now + self.wait(now) * factor / self._factor
        self._factor = factor
        self._allowed = self._rate / factor

    def count(self, count: int, now: float) -> None:
        """Count publishes."""
        if self._allowed > 0:
            self._due = max(self._due, now) + count / self._allowed
        elif count:
            self._meter(count, now)
            if self._factor > 1.0:
                self._begun = now if self._begun is None else self._begun
                if now - self._begun >= METER_S:
                    self._rate = self._measured(now)
                    self._allowed = self._rate / self._factor

    def _meter(self, count: int, now: float) -> None:
        if not self._parts or now - self._parts[-1][0] >= METER_S / METER_PARTS:
            self._parts.append((now, 0))
            self._forget(now)
        begun, counted = self._parts[-1]
        self._parts[-1] = (begun, counted + count)
        self._counted += count

    def wait(self, now: float) -> float:
        """Return for how many seconds publishers should wait."""
        return max(0.0, self._due - now)

    def _measured(self, now: float) -> float:
        """Return publishes a second, and begin anew; what has only begun is not taken for more than it is."""
        self._forget(now)
        if not self._parts:
            return 0.0
        rate = self._counted / max(now - self._parts[0][0], METER_S / METER_PARTS)
        self._parts.clear()
        self._counted = 0
        return rate

    def _forget(self, now: float) -> None:
        while self._parts and now - self._parts[0][0] > METER_S:
            self._counted -= self._parts.popleft()[1]
