"""The metrics of channels: a series for each of those that were used first, and one for all others."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from .channel import Channel
    from .exchange import Exchange
    from .subscribers import Group

__all__ = ["CHANNELS_MAX", "OTHER", "channel_series"]

CHANNELS_MAX: Final = 1000
"""So many channels have series of their own; all others share one."""

OTHER: Final = "(other)"
"""What the channels without own series are called: no channel can have this name."""


def channel_series(exchange: Exchange, names: Collection[str] = ()) -> Iterator[Metric]:
    """Yield the metrics of the channels in use, or of those named.

    Those that were used first have series of their own, so that no channel ever loses its series.
    """
    used = exchange.channels.channels
    asked = dict.fromkeys(names)  # each once, or the page would be none
    chosen = [used[name] for name in asked if name in used] if asked else list(islice(used.values(), CHANNELS_MAX))
    rest: list[Channel] = [] if asked else list(islice(used.values(), CHANNELS_MAX, None))
    series = [(channel.name, [channel]) for channel in chosen] + ([(OTHER, rest)] if rest else [])
    published = CounterMetricFamily("liminal_channel_published", "Publishes on this node.", labels=("channel",))
    crashes = CounterMetricFamily("liminal_channel_crashes", "Deliveries that crashed.", labels=("channel",))
    subscribers = _family("channel_subscribers", "Local subscriptions.")
    in_flight = _family("channel_in_flight", "Messages that subscriptions to it were handed, and have not done.")
    buffered = _family("channel_buffered", "Messages that wait behind those, since no credit is left.")
    pressure = _family("channel_pressure_score", "How full consumers are.")
    held = _Held(exchange)
    for name, channels in series:
        published.add_metric((name,), sum(channel.sequence for channel in channels))
        crashes.add_metric((name,), sum(channel.crashes for channel in channels))
        of = [held.by(channel) for channel in channels]
        for family, value in zip((subscribers, in_flight, buffered), map(sum, zip(*of, strict=True)), strict=True):
            family.add_metric((name,), value)
        scores = [one.press.score() for one in channels if one.press is not None and one.settings.pressure]
        if scores:
            pressure.add_metric((name,), max(scores))
    yield from (published, crashes, subscribers, in_flight, buffered, pressure)


class _Held:
    """What local subscriptions hold, by channel; each is looked at once, however many channels it gets."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._groups: dict[tuple[str, str], tuple[int, int, int]] = {}

    def by(self, channel: Channel) -> tuple[int, int, int]:
        """Return how many subscriptions get a channel, and how many messages they have in flight, and buffered."""
        if channel.ended:
            return 0, 0, 0
        resolved = self._exchange.resolve(channel.name)
        groups = [self._of(group) for group in (*resolved.groups, *resolved.teams)]
        subscribers, in_flight, buffered = (sum(numbers) for numbers in zip((0, 0, 0), *groups, strict=True))
        return subscribers, in_flight, buffered

    def _of(self, group: Group) -> tuple[int, int, int]:
        key = group.pattern, group.queue
        found = self._groups.get(key)
        if found is None:
            inboxes = [subscriber.inbox for subscriber in group.subscribers.values()]
            in_flight = sum(min(len(inbox), inbox.credit) for inbox in inboxes)
            found = (len(inboxes), in_flight, sum(map(len, inboxes)) - in_flight)
            self._groups[key] = found
        return found


def _family(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"liminal_{name}", text, labels=("channel",))
