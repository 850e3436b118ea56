"""Nodes without sockets: shipped exchanges and registries, joined by the shipped lanes and codec, over bad links.

A link is one session of two ends, each with its stream of bytes to the other. A link that breaks delivers any part
of what is on its way, or nothing; its ends notice at different times, and go on sending into the void until then. All
choices are one seeded generator's, so that a run repeats exactly.
"""

from __future__ import annotations

from collections import defaultdict, deque
from random import Random
from typing import cast

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
    GROUP_SCOPE,
    Encoding,
    Envelope,
    Heads,
    Lost,
    NodeId,
    NoRoute,
    Offer,
    Pid,
    Publish,
    Receipt,
    Registry,
    Taken,
)
from liminal_mesh.cluster import Interest as InterestGained
from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.frames import Heartbeat, LinkFrame
from liminal_mesh.cluster.group_events import GroupEvent
from liminal_mesh.cluster.lanes import PeerLane
from liminal_mesh.cluster.replication import RegistryFrame
from liminal_mesh.node.channel import ChannelSettings
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.errors import Rejected
from liminal_mesh.node.exchange import Exchange
from liminal_mesh.node.inbox import Budget, Inbox, Overflow
from liminal_mesh.node.route import Pending, Route
from liminal_mesh.node.subscribers import Subscriber

from ..supervising import shared_alone
from .ledger import Recorder, Shares, SharingRecorder

__all__ = ["Host", "World"]

FRAME_BYTES_MAX = 1024 * 1024

ROUNDS_MAX = 20_000
"""How often everybody may write and read until nothing moves any more."""


class End:
    """One node's end of a link: its lane, and what is on its way from it to the other end."""

    def __init__(self, host: Host, lane: PeerLane) -> None:
        self.host = host
        self.lane = lane
        self.up = False
        self.control: list[LinkFrame] = []
        self.stream = bytearray()
        self.buffer = FrameBuffer(FRAME_BYTES_MAX)
        self.past: deque[Publish] = deque(maxlen=20)
        self.past_offers: deque[Offer] = deque(maxlen=20)
        self.route: Route | None = None
        self.peer: End

    def start(self) -> None:
        """Begin the session."""
        host, peer = self.host, self.peer.host.me
        self.up = True
        self.route = Route(peer, self.lane, lambda: None)
        for exchange in host.exchanges.values():
            exchange.link_up(self.route)
        self.control += host.registry.session_up(peer)
        host.mesh_changed()

    def stop(self) -> None:
        """End it."""
        if self.up:
            self.up = False
            assert self.route is not None
            self.host.registry.session_down(self.peer.host.me.name, "noconnection")
            for exchange in self.host.exchanges.values():
                exchange.link_down(self.route)
            self.host.mesh_changed()

    def write(self, bytes_max: int, entries_max: int) -> bool:
        """Put what waits into the stream, as a wire does: control before data."""
        if not self.up:
            return False
        frames, self.control = self.control, []
        frames += self.host.registry.pump(self.peer.host.me.name, entries_max)
        data = [LINK_CODEC.encode(frame) for frame in frames] + self.lane.take(bytes_max)
        self.stream += b"".join(data)
        return bool(data)

    def read(self, bytes_max: int) -> bool:
        """Take some of what the other end wrote."""
        stream = self.peer.stream
        if not self.up or not stream:
            return False
        data = bytes(stream[:bytes_max])
        del stream[:bytes_max]
        for kind, body in self.buffer.feed(data):
            self._frame(cast("LinkFrame", LINK_CODEC.decode(kind, body)))
        return True

    def repeat(self) -> None:
        """Hand over once more what has arrived before."""
        if self.past:
            frame = self.host.rng.choice(self.past)
            self.host.exchanges[frame.scope].arrivals.receive(self.peer.host.me, frame)
        if self.past_offers and self.route is not None and self.up:
            offer = self.host.rng.choice(self.past_offers)
            assert self.host.exchanges[CHANNEL_SCOPE].arrivals.receive_offer(self.route, offer) == []

    def beat(self) -> None:
        """Let the heartbeat say where our logs stand."""
        self.control.append(Heartbeat(1, 1, self.host.registry.positions(self.peer.host.me.name), []))

    def _frame(self, frame: LinkFrame) -> None:
        host, origin = self.host, self.peer.host.me
        match frame:
            case Publish():
                receipt = host.exchanges[frame.scope].arrivals.receive(origin, frame)
                self.control += [receipt] if receipt is not None else []
                self.past.append(frame)
            case Heads():
                host.exchanges[frame.scope].arrivals.receive_heads(origin, frame)
            case Lost():
                host.exchanges[frame.scope].arrivals.receive_lost(origin, frame)
            case Offer():
                assert self.route is not None
                host.shares.asked(host.me, origin, frame)
                self.control += host.exchanges[CHANNEL_SCOPE].arrivals.receive_offer(self.route, frame)
                self.past_offers.append(frame)
            case Taken() | NoRoute():
                assert self.route is not None
                host.exchanges[CHANNEL_SCOPE].offers.answered(self.route, frame)
            case Receipt():
                assert self.route is not None
                self.route.receipts(frame)
            case _:
                self.control += host.registry.receive(origin, cast("RegistryFrame", frame))
                host.mesh_changed()


class Host:
    """One run of a node."""

    def __init__(self, me: NodeId, rng: Random, shares: Shares) -> None:
        self.me = me
        self.shares = shares
        self.rng = rng
        self.registry = Registry(me, ring_records=16)
        self.budget = Budget(rng.choice((4000, 1 << 30)))
        shared = shared_alone(me, self.registry, self.budget)
        shared.supervisor.expel = self.expel
        self.exchanges = {
            CHANNEL_SCOPE: Exchange(shared, ChannelTable([ChannelSettings("a.>")], 100)),
            GROUP_SCOPE: Exchange(shared, ChannelTable([ChannelSettings(">")], 100, "group"), GROUP_SCOPE),
        }
        self.subscribers: list[Recorder] = []
        self.sharing: list[SharingRecorder] = []
        self.gone: list[Recorder] = []
        """Those who have left."""
        self.published: dict[int, dict[str, int]] = {scope: defaultdict(int) for scope in self.exchanges}
        self._numbers = 1
        self.registry.watch(self._told)

    def mesh_changed(self) -> None:
        """Do what the hub does when anything came from the mesh."""
        for exchange in self.exchanges.values():
            exchange.mesh_changed()

    def publish(
        self, channel: str, count: int, size: int, scope: int = CHANNEL_SCOPE, pending: Pending | None = None
    ) -> bool:
        """Publish on a channel, or in a group; with receipts, if they are waited for. Return False if it is refused."""
        items = [Envelope(0, 0, 0, 0, Encoding.RAW, b"x" * size) for _ in range(count)]
        exchange = self.exchanges[scope]
        resolved = exchange.resolve(channel)
        first = self.published[scope][channel] + 1
        wanted = {
            (queue.group, channel, self.me, number)
            for queue in resolved.queues
            for number in range(first, first + count)
        }
        self.shares.expected |= wanted
        try:
            exchange.accept(resolved, items, 1, pending, pending is not None)
        except Rejected:
            self.shares.expected -= wanted
            return False
        self.published[scope][channel] += count
        return True

    def subscribe(self, pattern: str, inbox: tuple[int, int, int, Overflow], scope: int = CHANNEL_SCOPE) -> Recorder:
        """Subscribe to a pattern, or join a group."""
        self._numbers += 1
        subscriber = Recorder(Pid(*self.me, self._numbers), pattern, Inbox(*inbox, (self.budget,)), scope)
        self.subscribers.append(subscriber)
        if scope == GROUP_SCOPE:
            self.exchanges[scope].resolve(pattern)
        self.exchanges[scope].subscribe(subscriber)
        return subscriber

    def share(
        self,
        pattern: str,
        group: str,
        inbox: tuple[int, int, int, Overflow],
        kind: type[SharingRecorder] = SharingRecorder,
    ) -> SharingRecorder:
        """Subscribe to a pattern as a member of a group."""
        self._numbers += 1
        pid = Pid(*self.me, self._numbers)
        subscriber = kind(pid, pattern, group, Inbox(*inbox, (self.budget,)), self.shares)
        self.sharing.append(subscriber)
        self.exchanges[CHANNEL_SCOPE].subscribe(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Recorder) -> None:
        """End a subscription."""
        if isinstance(subscriber, SharingRecorder):
            self.sharing.remove(subscriber)
        else:
            self.subscribers.remove(subscriber)
        self.gone.append(subscriber)
        self.exchanges[subscriber.scope].unsubscribe(subscriber)
        subscriber.present = False

    def expel(self, subscriber: Subscriber) -> None:
        """End what a delivery has crashed on."""
        assert isinstance(subscriber, Recorder)
        self.unsubscribe(subscriber)
        subscriber.inbox.release()

    def _told(self, event: GroupEvent) -> None:
        if isinstance(event, InterestGained) and event.scope in self.exchanges:
            self.exchanges[event.scope].interest_gained(event.node.name, event.groups, event.applied)


class World:
    """All nodes, and a link or none between each two of them."""

    def __init__(self, seed: int, nodes: int = 3) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.shares = Shares()
        self.hosts = [Host(NodeId(name, 1), self.rng, self.shares) for name in "abcd"[:nodes]]
        self.past: list[Host] = []
        self.links: dict[frozenset[str], tuple[End, End]] = {}

    def connect(self, one: Host, other: Host) -> None:
        """Make a link; its ends start one after the other, and what the first one sends waits for the second."""
        bytes_max = self.rng.choice((600, 3000, 100_000))
        ends = tuple(End(host, PeerLane(host.me.epoch, bytes_max, 5.0)) for host in (one, other))
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        self.links[frozenset((one.me.name, other.me.name))] = (ends[0], ends[1])

    def disconnect(self, key: frozenset[str]) -> None:
        """Break a link; a part of what is on its way may still arrive."""
        ends = self.links.pop(key)
        for end in self.rng.sample(ends, 2):
            if self.rng.random() < 0.5:
                end.read(self.rng.randint(0, 4000))
            end.stop()

    def restart(self, index: int) -> None:
        """Kill a node, and run another one under its name."""
        old = self.hosts[index]
        for key in [key for key in self.links if old.me.name in key]:
            self.disconnect(key)
        self.past.append(old)
        self.hosts[index] = Host(NodeId(old.me.name, old.me.epoch + 1), self.rng, self.shares)

    def settle(self) -> None:
        """Link everyone with everyone, and go on until nothing moves and everything is read."""
        for index, one in enumerate(self.hosts):
            for other in self.hosts[index + 1 :]:
                if frozenset((one.me.name, other.me.name)) not in self.links:
                    self.connect(one, other)
        ends = [end for link in self.links.values() for end in link]
        for end in ends:
            if not end.up:
                end.start()
        for _ in range(3):
            for end in ends:
                end.lane.age(self.now)
                end.beat()
            for _ in range(ROUNDS_MAX):
                if not any([end.write(5000, 64) for end in ends] + [end.read(1 << 20) for end in ends]):
                    break
            else:
                raise AssertionError("it does not come to rest")
        for host in self.hosts:
            for subscriber in (*host.subscribers, *host.sharing):
                while subscriber.read(self.rng, 50) or subscriber.inbox.lent:
                    subscriber.inbox.settle(subscriber.inbox.lent)
