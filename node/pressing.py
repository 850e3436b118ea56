"""What the pressure of a channel brings about at its node: publishers that wait, publishes that are shed, and news.

The score is looked at whenever something was published on the channel, and now and then as long as a policy applies,
since consumers go on while nobody publishes. A channel without policies has none of this, but while the consumers of a
peer want its publishers slowed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from liminal_mesh.cluster import Envelope, Notices

from .errors import Rejected
from .pressure import ChannelPressure, PressureChange, Score, consumption_of, utilisation
from .throttle import Throttle

if TYPE_CHECKING:
    from .channel import Channel
    from .hub import Hub
    from .logs import Level

__all__ = ["Pressing"]

LOOK_S: Final = 0.1
"""How often a channel is looked at on which a policy applies."""

LOOKS: Final = 16
"""How many consumers one publish may cost a look, on the average."""


class Pressing:
    """The pressure of one channel.

    Args:
        hub: the node's middle.
        channel: it has policies, or its publishers are slowed for the consumers of peers.
    """

    def __init__(self, hub: Hub, channel: Channel) -> None:
        self.pressure = ChannelPressure(channel.settings.pressure)
        self.throttle = Throttle(hub.loop, channel)
        self.score_of: Score | None = None
        """The user's, instead of the average."""
        self._hub = hub
        self._channel = channel
        self._elsewhere = 1.0
        """The factor for the consumers of peers."""
        self._told = 1.0
        """The one that peers were told, for the consumers here."""
        self._notices = Notices()
        self._unseen = 0
        """Publishes since the last look."""
        self._look_timer: asyncio.TimerHandle | None = None

    def published(self, count: int) -> None:
        """So many were published at this node, or, with 0, some came from another one."""
        now = self._hub.loop.time()
        self.throttle.count(count, now)
        if not self._channel.settings.pressure:
            return
        self._unseen += 1
        sharing = sum([len(queue.members) for queue in self._channel.queues])
        if self._unseen * LOOKS >= len(self._channel.subscribers) + sharing:
            self._look(now)
        elif self._look_timer is None:
            self._look_timer = self._hub.loop.call_later(LOOK_S, self._look_again)

    def ask(self, items: Sequence[Envelope]) -> None:
        """Refuse publishes of which one is not important enough for the pressure there is.

        Raises:
            Rejected: nothing was done.
        """
        if any(map(self.pressure.sheds, items)):
            self._hub.shared.statistics.rejected += len(items)
            reason = f"channel {self._channel.name!r} sheds what has a priority below {self.pressure.shed_below}"
            raise Rejected(reason, replace(self._channel.pressure(items[0]), decision="reject"))

    def sheds(self, envelope: Envelope) -> bool:
        """Whether a publish is not important enough for the pressure there is."""
        return self.pressure.sheds(envelope)

    @property
    def shedding(self) -> bool:
        """Whether each publish is to be asked about."""
        return self.pressure.shed_below > 0

    def close(self) -> None:
        """The channel is not in use any more: nobody waits for it, and what applied is over."""
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        self._act(self.pressure.look(0.0, math.inf))
        self.slow_too(1.0)

    def slow_too(self, factor: float) -> None:
        """Slow publishers by this factor at least, for the consumers of peers."""
        self._elsewhere = factor
        self._slow()

    # --- looks ---

    def score(self) -> float:
        """Return how full the consumers are now, from 0 to 1."""
        self._hub.exchange.current(self._channel)  # consumers that are gone do not count
        consumers = self._channel.consumers
        if not consumers:
            return 0.0
        if self.score_of is not None:
            try:
                score = float(self.score_of([consumption_of(one.inbox, one.pid) for one in consumers]))
                if not math.isnan(score):
                    return max(0.0, min(1.0, score))
                raise ValueError("the score is not a number")
            except Exception as error:  # noqa: BLE001 - it is the user's; the average stands in
                self._broken(error)
        return sum([utilisation(one.inbox) for one in consumers]) / len(consumers)

    def _look(self, now: float) -> None:
        self._unseen = 0
        self._act(self.pressure.look(self.score(), now))
        if self.pressure.reached and self._look_timer is None:
            self._look_timer = self._hub.loop.call_later(LOOK_S, self._look_again)

    def _look_again(self) -> None:
        self._look_timer = None
        self._look(self._hub.loop.time())

    def _act(self, changes: Sequence[PressureChange]) -> None:
        if not changes:
            return
        for change in changes:
            self._tell(change)
        self._channel.stamp = -1  # whether it is choosy may be another matter now
        if self.pressure.slow != self._told:
            self._told = self.pressure.slow
            self._hub.throttles.tell(self._channel.name, self._told)
        self._slow()

    def _slow(self) -> None:
        factor = max(self.pressure.slow, self._elsewhere)
        if factor != self.throttle.factor:
            self.throttle.slow(factor)

    def _broken(self, error: Exception) -> None:
        """Tell of an error of the user's function, unless the like was told just now."""
        notice = self._notices.take("error", "pressure_score_failed", "", self._hub.loop.time())
        if notice is not None:
            self._hub.events.broke("pressure_score_failed", error, channel=self._channel.name, **notice.fields)

    def _tell(self, change: PressureChange) -> None:
        policy = change.policy
        facts: dict[str, object] = {
            "channel": self._channel.name,
            "threshold": policy.at,
            "score": round(change.score, 3),
        }
        facts |= {
            name: value
            for name in ("slow", "shed_below", "signal", "alert")
            if (value := getattr(policy, name)) is not None
        }
        if not change.reached:
            self._hub.note("pressure_over", "info", **facts)
            return
        level: Level = "info"
        if policy.alert is not None:
            level = "error" if policy.alert == "critical" else policy.alert
        self._hub.note("pressure_reached", level, **facts)
