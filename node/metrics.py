"""A node's metrics for Prometheus, made from its counters at the moment they are asked for.

Nothing is counted twice: whoever does the work keeps the number, and a scrape reads it. Each node has a registry of
its own, so that two in one process do not share. Names are stable; a test holds the list.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from liminal_mesh.cluster import MemberState, SwimStatistics

from .channel_metrics import channel_series
from .readiness import state

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = ["Metrics"]

LAG_EVERY_S: Final = 0.5
"""How often the loop's lateness is measured."""

PEERS_MAX: Final = 1000
"""So many peers have series of their own: those that left have none, and of the dead some may lack."""

LAG_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """The metrics of one node."""

    def __init__(self, run: Runtime) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._lag = Histogram(
            "liminal_event_loop_lag_seconds",
            "How late the event loop wakes, measured twice a second.",
            buckets=LAG_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_NodeCollector(run))
        ProcessCollector(registry=self.registry)
        self._run = run

    async def run(self) -> None:
        """Measure the lateness of the loop until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._lag.observe(max(0.0, loop.time() - due))

    async def node(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page of the node, in the format that ``accept`` prefers, and its content type."""
        return await _render(self.registry.collect(), accept)

    async def channels(self, names: Collection[str] = (), accept: str = "") -> tuple[bytes, str]:
        """Return the page of the channels in use, or of those named."""
        return await _render(channel_series(self._run.hub.exchange, names), accept)


class _Read(Collector):
    """What was read on the loop, to be written as text elsewhere."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _render(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """Write families as text; in a thread, since a thousand series take 40 ms."""
    try:
        encode, kind = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is none
        encode, kind = choose_encoder("")
    return await asyncio.to_thread(encode, _Read(families)), kind


class _NodeCollector(Collector):
    """Reads a node's counters."""

    def __init__(self, run: Runtime) -> None:
        self._run = run
        self._since = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        run = self._run
        name = run.hub.me.name
        yield InfoMetricFamily("liminal_node", "The node.", value={"node": name, "version": run.version})
        yield _gauge("uptime_seconds", "Seconds since the start.", time.monotonic() - self._since)
        yield _gauge("ready", "Whether the node is ready.", state(run) == "ready")
        yield from _publishes(run)
        yield from _keys(run)
        yield from _subscriptions(run)
        yield from _mesh(run)
        yield from _membership(run)
        yield from _registry(run)
        yield from _clients(run)
        yield from _processes(run)


def _publishes(run: Runtime) -> Iterator[Metric]:
    counts = run.hub.exchange.statistics
    results = [("accepted", counts.published), ("rejected", counts.rejected)]
    yield _counter("publish", "Publishes on this node.", results, "result")
    yield _counter("schema_rejects", "Publishes that a schema refused.", counts.schema_rejected)
    yield _counter("received", "Publishes that came from peers.", counts.received)
    dropped = counts.traces_dropped
    yield _counter("trace_contexts_dropped", "Malformed trace contexts of publishes on this node.", dropped)
    yield _counter("delivered", "Messages that local subscriptions accepted.", counts.delivered)
    lost = [
        ("lane", counts.lane_dropped),
        ("link", counts.link_lost),
        ("overflow", counts.overflowed + sum(one.inbox.dropped for one in run.hub.exchange.channels.everyone())),
        ("duplicate", counts.duplicates),
        ("no-subscriber", counts.stale_forward),
        ("shed", counts.shed),
    ]
    yield _counter("dropped", "Messages that were let go, by reason.", lost, "reason")
    yield _counter("unmatched_completions", "Times that a client finished more than it was sent.", counts.unmatched)
    offers = [("passed-on", counts.passed_on), ("untaken", counts.untaken), ("unknown", counts.offers_unknown)]
    text = "Messages for groups that the first node did not take: asked elsewhere, given up, or perhaps taken."
    yield _counter("offers", text, offers, "result")


def _keys(run: Runtime) -> Iterator[Metric]:
    dedup = run.hub.shared.keys.dedup
    counts = dedup.statistics
    results = [
        ("claimed", counts.fresh),
        ("duplicate", counts.duplicates),
        ("in-flight", counts.in_flight),
        ("reused", counts.reused),
        ("no-room", counts.refused),
        ("suppressed", counts.suppressed),
    ]
    yield _counter(
        "keyed_publish", "Publishes with keys, by result; of peers' those that were let go.", results, "result"
    )
    yield _gauges("keys", "Keys, by state.", [("in-flight", dedup.claimed), ("remembered", dedup.remembered)], "state")
    releases = [("released", counts.released), ("failed", counts.failed_releases)]
    yield _counter("key_releases", "Keys that were given back, since nobody took what bore them.", releases, "result")
    yield _counter("key_sweeps", "Times that old keys were looked for.", counts.sweeps)
    swept = [("scanned", counts.scanned), ("expired", counts.expired)]
    yield _counter("keys_swept", "Keys that sweeps have looked at, and forgotten.", swept, "result")


def _subscriptions(run: Runtime) -> Iterator[Metric]:
    table = run.hub.exchange.channels
    inboxes = [subscriber.inbox for subscriber in table.everyone()]
    yield _gauge("channels", "Channels in use.", len(table.channels))
    differ = len(run.hub.declarations.disagreements())
    yield _gauge("channel_disagreements", "Channels that a linked peer has declared otherwise, by peer.", differ)
    yield _gauge("subscriptions", "Subscriptions on this node.", len(inboxes))
    yield _gauge("inbox_messages", "Messages that wait in subscriptions.", sum(inbox.queued for inbox in inboxes))
    yield _gauge("inbox_bytes", "Bytes that wait in subscriptions.", sum(inbox.bytes for inbox in inboxes))
    evicted = run.hub.exchange.statistics.evicted
    yield _counter("inbox_evictions", "Inboxes that were emptied, since all together held too much.", evicted)


def _mesh(run: Runtime) -> Iterator[Metric]:
    members, mesh = run.members(), run.hub.mesh
    links = mesh.links if mesh is not None else {}
    states = [member.state for member in members]
    yield _gauges("members", "Nodes, by state.", [(one, states.count(one)) for one in get_args(MemberState)], "state")
    others = [one for one in members if one.name != run.hub.me.name and one.state != "left"]
    others.sort(key=lambda one: one.state == "dead")
    ups = [(one.name, one.name in links) for one in others[:PEERS_MAX]]
    yield _gauges("peer_link_up", "Whether the link stands.", ups, "peer")
    missing = len(run.peering.missing()) if run.peering is not None else 0
    yield _gauge("missing_links", "Links that this node or a peer of it should have and has not.", missing)
    sessions = run.peering.sessions() if run.peering is not None else {}
    times = [(peer, session.rtt_s) for peer, session in sessions.items() if session.rtt_s is not None]
    yield _gauges("peer_rtt_seconds", "The last measured round trip.", times, "peer")
    queued = [(peer, link.lane.bytes + link.wire.queued_bytes) for peer, link in links.items()]
    yield _gauges("peer_send_queue_bytes", "Bytes that wait for a peer.", queued, "peer")
    traffic = CounterMetricFamily("liminal_peer_bytes", "Bytes of the link that stands.", labels=("peer", "direction"))
    for peer, link in links.items():
        traffic.add_metric((peer, "in"), link.wire.bytes_in)
        traffic.add_metric((peer, "out"), link.wire.bytes_out)
    yield traffic
    again = run.hub.member_news.reconnects
    yield _counter("peer_link_reconnects", "Links with peers that had one before, and made another.", again)
    fenced = run.peering.fenced if run.peering is not None else 0
    yield _counter("frames_fenced", "Frames of links that were closed or replaced before they came.", fenced)


def _membership(run: Runtime) -> Iterator[Metric]:
    """Read the membership's counters, which another thread keeps: each is one number, so none is half written."""
    changes = CounterMetricFamily(
        "liminal_membership_changes", "Members that went from one state to another.", labels=("from", "to")
    )
    for (before, after), count in run.hub.member_news.changes.items():
        changes.add_metric((before, after), count)
    yield changes
    swim = run.control.swim if run.control is not None else None
    counts = swim.statistics if swim is not None else SwimStatistics()
    ended = list(counts.suspicions.items())
    yield _counter("suspicions", "Suspicions of members that ended, by how.", ended, "outcome")
    yield _counter("refutations", "Accusations of this node that it contradicted.", counts.refutations)
    yield _counter("probes", "Probes of members, by what came of them.", list(counts.probes.items()), "result")
    trips = SummaryMetricFamily("liminal_probe_seconds", "Round trips of probes that were answered directly.")
    trips.add_metric((), counts.round_trips, counts.round_trip_s)
    yield trips
    doubt = swim.health if swim is not None else 0
    yield _gauge("local_health_score", "How much this node doubts itself: 0 is well.", doubt)
    yield _counter("control_frames_fenced", "Frames of control links that had ended before they came.", counts.fenced)


def _registry(run: Runtime) -> Iterator[Metric]:
    counts = run.registry.statistics()
    yield _gauge("registry_entries", "Members of groups, own and of peers.", counts.entries)
    yield _counter("registry_ranges_applied", "Changes that were taken over from peers.", counts.ranges_applied)
    snapshots = [
        ("sent", counts.snapshots_sent),
        ("applied", counts.snapshots_applied),
        ("rejected", counts.snapshots_rejected),
    ]
    yield _counter("registry_snapshots", "Snapshots, by what became of them.", snapshots, "result")
    yield _counter("registry_digest_resyncs", "Replicas that disagreed with their owner.", counts.digest_resyncs)
    ignored = [("discontinuous", counts.ignored), ("late", counts.late)]
    yield _counter("registry_frames_ignored", "Frames that changed nothing.", ignored, "reason")


def _processes(run: Runtime) -> Iterator[Metric]:
    there = run.hub.processes.statistics()
    yield _gauges("processes", "Processes that live on this node.", list(there.processes.items()), "kind")
    yield _gauge("process_links", "Ends of links that processes of this node have.", there.links)
    yield _gauge("process_monitors", "Monitors that this node has, for itself and for its clients.", there.monitors)
    yield _counter("channel_restarts", "Crashes of channels that ended in a restart.", run.hub.supervisor.restarts)
    failed = sum(1 for channel in run.hub.exchange.channels.channels.values() if channel.failed)
    yield _gauge("channels_failed", "Channels that crashed too often, and are refused.", failed)


def _clients(run: Runtime) -> Iterator[Metric]:
    server, mesh, control = run.server, run.hub.mesh, run.control
    yield _gauges("client_connections", "Clients that are connected.", [("tcp", len(server.connections))], "kind")
    refusals = list(server.refusals.items())
    yield _counter("client_refusals", "Clients that were refused or cut off.", refusals, "reason")
    peers = (mesh.unknown_frames if mesh is not None else 0) + (control.unknown_frames if control is not None else 0)
    unknown = [("client", server.unknown_frames), ("peer", peers)]
    # Copied as a whole: those of the control links are counted on another thread.
    cut = Counter({**run.peering.refusals} if run.peering is not None else {})
    cut += Counter({**control.refusals} if control is not None else {})
    yield _counter("peer_refusals", "Connections of peers that were refused or cut off.", list(cut.items()), "reason")
    rests = [(name, listener.exhausted) for name, listener in run.listeners.items()]
    text = "Times that a listener rested, since the machine had no descriptor or no memory for one more connection."
    yield _counter("accept_exhausted", text, rests, "listener")
    yield _counter("unknown_frames", "Frames of types that this version does not know.", unknown, "sender")


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"liminal_{name}", text, value=value)


def _gauges(name: str, text: str, values: Iterable[tuple[str, float]], label: str) -> Metric:
    family = GaugeMetricFamily(f"liminal_{name}", text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), value)
    return family


def _counter(name: str, text: str, values: float | Sequence[tuple[str, float]], label: str = "") -> Metric:
    if not isinstance(values, Sequence):
        return CounterMetricFamily(f"liminal_{name}", text, value=values)
    family = CounterMetricFamily(f"liminal_{name}", text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), value)
    return family
