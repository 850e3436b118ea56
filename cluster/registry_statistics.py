"""Counts of what happened to a registry."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RegistryCounters", "RegistryStatistics"]


@dataclass(slots=True)
class RegistryCounters:
    """What happened so far; only grows."""

    ranges_applied: int = 0
    snapshots_applied: int = 0
    snapshots_rejected: int = 0
    """Snapshots that came incomplete and were asked for again."""
    snapshots_sent: int = 0
    digest_resyncs: int = 0
    """Replicas that were started over because they disagreed with their owner; none, unless something is broken."""
    ignored: int = 0
    """Frames that did not continue what was held: repeated, overtaken, or for a scope that we do not know."""
    late: int = 0
    """Frames of a peer that had no session."""


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """What a registry holds, and the counts of :class:`RegistryCounters`."""

    entries: int
    """Members of our own and in replicas, visible or not."""
    ranges_applied: int
    snapshots_applied: int
    snapshots_rejected: int
    snapshots_sent: int
    digest_resyncs: int
    ignored: int
    late: int
