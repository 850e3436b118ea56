"""A full mesh of control links, as TCP behaves: streams in order, resets, refused dials, and black holes.

A *hole* swallows the packets of one direction. What is sent into it waits, and since acknowledgements go the other way
the opposite direction comes to a stand soon after; who has waited for long gives the link up. A loss is a pause that
doubles, not a missing frame. A *cut* pair is what a proxy does that was switched off: links are closed, and dials are
accepted and closed. A crashed process resets its links and refuses; a stopped one accepts in its kernel, and is silent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random

from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.swim import (
    LAN,
    Admit,
    CloseLink,
    Departed,
    DialAddress,
    LinkLoss,
    Refuse,
    SendTo,
    Superseded,
    Swim,
    SwimEffect,
    SwimOptions,
)
from liminal_mesh.cluster.swim.evidence import DialOutcome
from liminal_mesh.cluster.swim_frames import MemberRecord, SwimFrame

from .clock import Clock, Node
from .ends import End, MeshNode
from .network import Network

__all__ = ["Mesh", "MeshNode"]

LATENCY_S = (0.0002, 0.001)
USER_TIMEOUT_S = 5.0
RETRANSMIT_S = 0.2


class Mesh:
    """All nodes, and the network between them."""

    def __init__(self, seed: int, options: SwimOptions = LAN, *, loss: float = 0.0) -> None:
        self.clock = Clock(seed)
        self.options = options
        self.loss = loss
        self.nodes: dict[str, MeshNode] = {}
        """The living, by address."""
        self.sent: Counter[type[SwimFrame]] = Counter()
        self.sent_bytes = 0
        self.on_change: Callable[[MeshNode, MemberChanged], None] = lambda *_: None
        self.on_effect: Callable[[MeshNode, SwimEffect], None] = lambda *_: None
        self.network = Network()
        self._stuck: dict[End, float] = {}

    # --- nodes --------------------------------------------------------------------------------------

    def add(self, name: str, seeds: str = "", epoch: int = 1, address: str = "") -> MeshNode:
        """Start a node; ``seeds`` are addresses, which are names unless they were given."""
        me, now = NodeId(name, epoch), self.clock.now
        swim = Swim(me, address or name, self.options, Random(f"{self.clock.seed} {me}"), now)
        node = MeshNode(self.clock, swim, me, address or name, self._carry_out)
        self.nodes[node.address] = node
        node.do(swim.seeds(seeds.split(), now))
        return node

    def form(self, count: int) -> list[MeshNode]:
        """Start ``count`` nodes that know the first two, and wait until each sees all."""
        nodes = [self.add(f"n{number}", "n0 n1") for number in range(count)]
        assert self.clock.run_until(self.whole, self.clock.now + 60, 0.05), f"seed {self.clock.seed}: no mesh"
        self.run(5)
        return nodes

    def whole(self) -> bool:
        """Whether each living node holds exactly the living for alive, and has a link to each."""
        names = {node.name for node in self.nodes.values()}
        for node in self.nodes.values():
            seen = {one.name for one in node.swim.members() if one.state == "alive" and one.reachable}
            if seen != names:
                return False
        return True

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.run(self.clock.now + seconds)

    def crash(self, node: MeshNode) -> None:
        """Kill a node: its kernel resets its links and refuses."""
        node.alive = False
        if self.nodes.get(node.address) is node:
            del self.nodes[node.address]
        for end in tuple(node.ends.values()):
            self._close(end, "reset")
        for end, _, _ in tuple(node.held_back.values()):
            self._close(end, "reset")

    # --- faults -------------------------------------------------------------------------------------

    def hole(self, source: str, target: str) -> None:
        """Swallow what goes from one node to another, named by address."""
        self.network.hole(source, target, self.clock.now)

    def unplug(self, node: MeshNode) -> None:
        """Take its way to the network from a node: its own kernel says so when it dials."""
        for other in self.nodes:
            if other != node.address:
                self.part([node.address], [other])
        self.network.unplugged.add(node.address)

    def part(self, side: list[str], other: list[str], *, cut: bool = False) -> None:
        """Part the mesh in two, by black holes or like a proxy that was switched off."""
        for one in side:
            for two in other:
                if cut:
                    self.cut(one, two)
                else:
                    self.hole(one, two)
                    self.hole(two, one)

    def cut(self, one: str, two: str) -> None:
        """Close what links two nodes, and everything that comes after."""
        self.network.cut(one, two)
        node = self.nodes.get(one)
        for end in tuple(node.ends.values()) if node else ():
            if end.peer.node.address == two:
                self._lose(end, "reset")
                self._lose(end.peer, "reset")

    def heal(self) -> None:
        """Let everything through again; what waited is sent again when its timer says so."""
        begun = self.network.heal(self.clock.now)
        for end in self._stuck:
            pause = self.clock.rng.uniform(0, min(USER_TIMEOUT_S, self.clock.now - begun))
            self.clock.at(self.clock.now + pause, self._unstick, end)

    # --- effects ------------------------------------------------------------------------------------

    def _carry_out(self, node: Node, effect: SwimEffect) -> None:
        assert isinstance(node, MeshNode)
        self.on_effect(node, effect)
        if node.outbox is not None and isinstance(effect, SendTo | DialAddress):
            node.outbox.append(effect)
            return
        match effect:
            case SendTo(name, frame):
                data = CONTROL_CODEC.encode(frame)
                self.sent[type(frame)] += 1
                self.sent_bytes += len(data)
                if name in node.ends:
                    self._transmit(node.ends[name], frame)
            case DialAddress():
                self.clock.at(self.clock.now + self._latency(), self._dialled, node, effect)
            case CloseLink(name, _):
                if name in node.ends:
                    self._close(node.ends[name], "reset")
            case Refuse(newcomer, bearer):
                if newcomer in node.held_back:
                    self._close(node.held_back.pop(newcomer)[0], "local")
                self._refused(newcomer, bearer)
            case Admit(newcomer):
                if newcomer in node.held_back:
                    self.clock.at(self.clock.now, self._greeted, *node.held_back.pop(newcomer))
            case Superseded():
                self.clock.at(self.clock.now, self.crash, node)
            case Departed():
                node.departed = True
            case MemberChanged():
                self.on_change(node, effect)

    # --- links --------------------------------------------------------------------------------------

    def _dialled(self, node: MeshNode, dial: DialAddress) -> None:
        target = self.nodes.get(dial.address)
        network, now = self.network, self.clock.now
        if target is node:
            self._dial_failed(node, dial, "other", 0.0)
        elif node.address in network.unplugged:
            self._dial_failed(node, dial, "unreachable", 0.0)
        elif network.is_cut(node.address, dial.address):
            self._dial_failed(node, dial, "closed", self._latency())
        elif network.swallows(node.address, dial.address, now) or network.swallows(dial.address, node.address, now):
            self._dial_failed(node, dial, "timeout", dial.timeout_s)
        elif target is None:
            self._dial_failed(node, dial, "refused", self._latency())
        elif target.waits:
            self._dial_failed(node, dial, "timeout", dial.timeout_s)
        elif dial.name and target.name != dial.name:
            self._dial_failed(node, dial, "other", self._latency())
        elif node.alive and not node.stopped:
            known = node.ends.get(target.name)
            if known is not None and known.peer.node is target and not known.stuck and not known.peer.stuck:
                self._dial_failed(node, dial, "other", self._latency())  # the link stands: this one is redundant
                return
            near, far = End(node), End(target)
            near.other, far.other = far, near
            near.arrival = far.arrival = self.clock.now
            self._greeted(far, node.swim.record, node.swim.digest)

    def _greeted(self, far: End, record: MemberRecord, digest: int) -> None:
        """A node takes the greeting of one that has dialled it, and answers; if it holds back, it does that later."""
        target, near = far.node, far.peer
        if not target.alive or not near.node.alive or near.node.swim.record.epoch != record.epoch:
            return
        newcomer = NodeId(record.name, record.epoch)
        target.held_back[newcomer] = (far, record, digest)
        self._take_over(target, record.name, newcomer)
        target.do(target.swim.linked(record, digest, self.clock.now))
        if newcomer not in target.held_back:
            return
        board = target.swim._board
        known = board.roster.get(record.name)
        if record.name not in board.linked or known is None or known.epoch != record.epoch:
            return  # the bearer of the name is asked first
        del target.held_back[newcomer]
        self._install(target, record.name, far)
        arrival = max(self.clock.now + self._latency(), far.arrival)
        far.arrival = arrival
        self.clock.at(arrival, self._answered, near, target.swim.record, target.swim.digest)

    def _refused(self, newcomer: NodeId, bearer: MemberRecord | None) -> None:
        """Whoever hears that it is an earlier run than another gives up."""
        for node in tuple(self.nodes.values()):
            if node.me == newcomer and bearer is not None and bearer.epoch > newcomer.epoch:
                self.clock.at(self.clock.now, self.crash, node)

    def _take_over(self, target: MeshNode, name: str, newcomer: NodeId) -> None:
        """What is linked already of the very same run is replaced without a word."""
        known = target.ends.get(name)
        if known is not None and known.peer.node.me == newcomer:
            known.open = False
            known.peer.open = False
            self._stuck.pop(known, None)
            self._stuck.pop(known.peer, None)

    def _answered(self, near: End, record: MemberRecord, digest: int) -> None:
        node = near.node
        if not near.open or not node.alive:
            return
        if node.waits:
            node.waiting.append((self._answered, (near, record, digest)))
            return
        self._take_over(node, record.name, NodeId(record.name, record.epoch))
        self._install(node, record.name, near)
        node.do(node.swim.linked(record, digest, self.clock.now))

    def _install(self, node: MeshNode, name: str, end: End) -> None:
        node.ends[name] = end
        end.up = True

    def _dial_failed(self, node: MeshNode, dial: DialAddress, outcome: DialOutcome, after_s: float) -> None:
        self.clock.at(self.clock.now + after_s, self._tell_failed, node, dial.name, outcome)

    def _tell_failed(self, node: MeshNode, name: str, outcome: DialOutcome) -> None:
        if node.waits:
            node.waiting.append((self._tell_failed, (node, name, outcome)))
        elif node.alive:
            node.do(node.swim.dial_failed(name, outcome, self.clock.now))

    def _transmit(self, end: End, item: SwimFrame | LinkLoss) -> None:
        if not end.open and not isinstance(item, str):
            return
        if end.stuck or self.network.swallows(end.node.address, end.peer.node.address, self.clock.now):
            if len(end.stuck) < 1000:
                end.stuck.append(item)
            if end not in self._stuck:
                self._stuck[end] = self.clock.now
                self.clock.at(self.clock.now + USER_TIMEOUT_S, self._give_up, end, self.clock.now)
            return
        delay, pause = self._latency(), RETRANSMIT_S
        while self.loss and self.clock.rng.random() < self.loss and pause < USER_TIMEOUT_S:
            delay, pause = delay + pause, pause * 2
        end.arrival = max(end.arrival, self.clock.now + delay)
        self.clock.at(end.arrival, self._arrive, end.peer, item)

    def _arrive(self, end: End, item: SwimFrame | LinkLoss) -> None:
        node = end.node
        if node.waits and node.alive:
            node.waiting.append((self._arrive, (end, item)))
        elif isinstance(item, str):
            self._lose(end, item)
        elif end.open and node.alive and end.up and node.ends.get(end.peer.node.name) is end:
            node.do(node.swim.received(end.peer.node.me, item, self.clock.now))

    def _close(self, end: End, loss: LinkLoss) -> None:
        """Close a link from one end: the other hears of it in order, or when it can."""
        was_open, end.open = end.open, False
        self._stuck.pop(end, None)
        end.stuck.clear()
        name = end.peer.node.name
        if end.node.ends.get(name) is end:
            del end.node.ends[name]
        if was_open:
            self._transmit(end, "reset" if loss != "local" else "local")

    def _lose(self, end: End, loss: LinkLoss) -> None:
        """One end learns that the link is over."""
        if not end.open:
            return
        node, name = end.node, end.peer.node.name
        end.open = False
        self._stuck.pop(end, None)
        if not node.alive:
            return
        if node.waits:
            end.open = True
            node.waiting.append((self._lose, (end, loss)))
        elif node.ends.get(name) is end:
            del node.ends[name]
            node.do(node.swim.unlinked(name, loss, self.clock.now))
        elif not end.up:
            node.do(node.swim.dial_failed(name, "rejected" if loss == "local" else "closed", self.clock.now))

    def _give_up(self, end: End, since: float) -> None:
        if self._stuck.get(end) == since:
            self._lose(end, "silent")
            self._lose(end.peer, "silent")

    def _unstick(self, end: End) -> None:
        if self._stuck.pop(end, None) is not None and (end.open or "reset" in end.stuck or "local" in end.stuck):
            stuck, end.stuck = end.stuck, deque()
            for item in stuck:
                self._transmit(end, item)

    def _latency(self) -> float:
        return self.clock.rng.uniform(*LATENCY_S)
