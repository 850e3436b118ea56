"""What the publish path counts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ExchangeStatistics"]


@dataclass(slots=True)
class ExchangeStatistics:
    """Counters since the start, in messages.

    ``overflowed`` is of subscriptions that are over (others count their own); ``unmatched`` counts how often a client
    said that more was done than it had been sent; ``traces_dropped`` counts trace contexts that were malformed.
    """

    published: int = 0
    received: int = 0
    delivered: int = 0
    lane_dropped: int = 0
    link_lost: int = 0
    overflowed: int = 0
    duplicates: int = 0
    stale_forward: int = 0
    rejected: int = 0
    schema_rejected: int = 0
    evicted: int = 0
    unmatched: int = 0
    traces_dropped: int = 0
    passed_on: int = 0
    """For groups: asked of another node, since one could not take it."""
    untaken: int = 0
    """For groups: given up, since no member took it."""
    offers_unknown: int = 0
    """For groups: under way when a link ended, and perhaps taken."""
    shed: int = 0
