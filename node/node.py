"""A node: the whole bus in one process, as an object that a program holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from liminal_mesh.cluster import CHANNEL_SCOPE, GROUP_SCOPE, Address, Envelope, Member, NodeId, Pid, StaleEpoch

from .acks import check_ack, check_timeout
from .bus import Ack, Wait
from .causal import CausalBounds
from .config import NodeConfig
from .config_sources import LoadedConfig, load_config
from .embedded import FuturePending, NodePublisher, NodeSubscription, busy, posted
from .embedded_processes import NodeMonitor
from .embedded_watches import NodeGroupWatch, NodeMemberWatch
from .environment import REAL, Environment
from .identity_store import choose_epoch, choose_name, store_identity
from .in_force import InForce
from .inbox import MESSAGE_OVERHEAD_BYTES
from .listening import open_listeners
from .mailbox import Mailbox
from .membership import GroupMembership
from .message import Message, encode_headers, give_key, give_parent
from .monitor import Monitor
from .names import check_name
from .node_only import NodeOnly
from .passage import let_pass, writable
from .payload import RAW, encode_payload
from .permission import PUBLISH_VERBS, allow_all
from .predicate import Where
from .process import Process, ProcessFunction
from .publisher import Publisher
from .reference import Reference
from .runtime import Runtime
from .subscription import Subscription
from .values import PublishOutcome
from .version import VERSION
from .waits import TURN_PUBLISHES
from .watch import GroupWatch, MemberWatch

__all__ = ["Node"]


class Node(NodeOnly):
    """A node of the mesh, embedded in this program: ``async with Node(config) as bus``.

    It installs no signal handler, configures no logging, and takes the running loop.

    Args:
        config: everything it is told, in code or loaded from wherever; by default a lone node on loopback.
        environment: the world around it, for :mod:`liminal_mesh.testing`; by default the real one.
    """

    def __init__(self, config: NodeConfig | LoadedConfig | None = None, *, environment: Environment = REAL) -> None:
        loaded = config if isinstance(config, LoadedConfig) else LoadedConfig.in_code(config)
        self.in_force = InForce(loaded)
        """What it runs with, which changes with each reload."""
        self.name = choose_name(self.config.name, self.config.data_dir)
        self._environment = environment
        self._run: Runtime | None = None
        self._stopping: asyncio.Future[bool] | None = None

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Return a node as ``liminal serve`` would run it: the file, and the environment above it.

        Raises:
            ConfigError: with every problem, and its place.
        """
        return cls(load_config(Path(path), os.environ, {}))

    async def start(self) -> None:
        """Open the listeners, start, and try each seed once. Nodes that cannot be reached are tried again for ever.

        Raises:
            AddressInUse: a listener's address is taken.
            ConfigError: a file that it needs cannot be used, or its process may have too few file descriptors.
            NameInUse: the mesh has a live node of this name.
            StaleEpoch: the mesh knows a later run of this name (after this node took the next epoch, and it still did).
        """
        if self._run is not None:
            raise RuntimeError(f"node {self.name!r} runs already")
        epoch = choose_epoch(self.config.data_dir, self._environment.wall_ns() // 1_000_000)
        try:
            await self._start(epoch)
        except StaleEpoch as error:
            # No pid of this run has been issued to anyone yet, so the run may still take another epoch.
            await self._start(error.known + 1)

    async def _start(self, epoch: int) -> None:
        store_identity(self.config.data_dir, self.name, epoch)
        listeners = open_listeners(self.config, self._environment)
        try:
            run = Runtime(NodeId(self.name, epoch), self.in_force, listeners, allow_all, VERSION, self._environment)
        except BaseException:
            for listener in listeners.values():
                listener.close()
            raise
        self._run = run
        try:
            await run.start()
        except BaseException:
            self._run = None
            raise

    async def stop(self, reason: str = "shutdown") -> bool:
        """Drain within ``drain_timeout`` and stop; return whether everything that was accepted was handed on."""
        if self._run is None:
            return True
        if self._stopping is None:  # whoever asks again waits for the same end
            self._stopping = asyncio.ensure_future(self._stop(self._run, reason))
        return await asyncio.shield(self._stopping)

    async def _stop(self, run: Runtime, reason: str) -> bool:
        try:
            return await run.stop(self.config.drain_timeout, reason)
        finally:
            self._run = self._stopping = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return f"<Node {self.name!r} {'stopped' if self._run is None else 'running'}>"

    @property
    def config(self) -> NodeConfig:
        """Everything it was told."""
        return self.in_force.loaded.config

    @property
    def running(self) -> Runtime:
        """The parts of the running node, for what is built around it (HTTP, the command line)."""
        if self._run is None:
            raise RuntimeError(f"node {self.name!r} is not running: use it within 'async with'")
        return self._run

    @property
    def pid(self) -> Pid:
        """The node's own process."""
        return self.running.hub.pid

    @property
    def epoch(self) -> int:
        """This run of the node."""
        return self.running.hub.me.epoch

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where it really listens: ``client``, ``mesh``, ``http``, as far as they are open."""
        return MappingProxyType({name: listener.address for name, listener in self.running.listeners.items()})

    # --- the Bus ---

    async def publish(
        self,
        channel: str,
        payload: object,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        parent: Message | Reference | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Publish, and return how it fared; see :meth:`.Bus.publish`."""
        envelope = self._envelope(payload, headers, parent)
        if key is not None:
            give_key(envelope, key)
        return await self._publish(CHANNEL_SCOPE, channel, envelope, ack, timeout, key is not None)

    async def send_group(
        self,
        group: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Send to the mailbox of every member of a process group; see :meth:`.Bus.send_group`."""
        return await self._publish(GROUP_SCOPE, group, self._envelope(payload, headers), ack, timeout)

    async def _publish(
        self, scope: int, name: str, envelope: Envelope, ack: Ack | None, timeout: float, keyed: bool = False
    ) -> PublishOutcome:
        hub = self.running.hub
        hub.admit(hub.pid, PUBLISH_VERBS[scope], name)
        exchange = hub.in_scope(scope)
        # Looked at before the name takes a place in the table, which a group that was sent to keeps.
        hub.check(envelope)
        asked = check_ack(name, ack)
        if type(timeout) is not float:  # without a call, where it is the default
            check_timeout(timeout)
        resolved = exchange.resolve(name)
        if resolved.held:
            timeout = await let_pass(hub, resolved, timeout)
            hub.admit(hub.pid, PUBLISH_VERBS[scope], name)
            resolved = exchange.resolve(name)
        pending = FuturePending(asyncio.get_running_loop().create_future())
        receipts = (asked or resolved.settings.ack) == "nodes"
        pressure = resolved.pressure(envelope)
        if keyed:
            exchange.accept_once(resolved, envelope, hub.pid.number, pending)
        else:
            exchange.accept(resolved, [envelope], hub.pid.number, pending, receipts)
        if pending.left:
            hub.expect(pending, timeout)
            await pending.future
        elif pressure.decision == "defer" or pending.message_id % TURN_PUBLISHES == 0:
            # So that a tight loop of publishes lets those take them who are in the same loop, and others do anything.
            await asyncio.sleep(0)
        elif resolved.crowded or pressure.decision == "reject":
            # So that it lets the lanes be written, and whoever takes nothing costs others no turn for each.
            await hub.turn.give_way(len(envelope.body) + MESSAGE_OVERHEAD_BYTES)
        if pending.failure is not None:
            raise pending.failure
        nodes = MappingProxyType(pending.nodes)
        return PublishOutcome(
            pending.message_id, pending.delivered, pending.local, pending.duplicate, None, nodes, pressure
        )

    def publish_nowait(
        self,
        channel: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        parent: Message | Reference | None = None,
    ) -> None:
        """Publish without waiting; see :meth:`.Bus.publish_nowait`."""
        hub = (self._run or self.running).hub
        hub.admit(hub.pid, "publish", channel)
        resolved = hub.exchange.resolve(channel)
        batch = resolved.posted or posted(hub, resolved)
        # Looked at once a batch: until it is handed over, no lane gets fuller.
        if not batch.items and (resolved.crowded or resolved.held):
            raise busy(resolved)
        if type(payload) is bytes and not headers and parent is None:  # without a call more: this is where it counts
            envelope = Envelope(0, 0, 0, 0, RAW, payload)
        else:
            envelope = self._envelope(payload, headers, parent)
        if len(envelope.body) > hub.sizes.small_bytes or envelope.options:
            hub.check(envelope)
        if resolved.choosy:
            hub.exchange.accept(resolved, [envelope], hub.pid.number)
        else:
            batch.add(envelope)

    async def writable(self, channel: str) -> None:
        """Wait until :meth:`publish_nowait` has room."""
        hub = self.running.hub
        await writable(hub, hub.exchange.resolve(channel))

    def publisher(self, channel: str, *, window: int = 4096, ack: Ack | None = None, timeout: float = 5.0) -> Publisher:
        """Return a windowed publisher; see :meth:`.Bus.publisher`."""
        return NodePublisher(self.running.hub, channel, window, ack, timeout)

    def subscribe(
        self,
        channel: str,
        *,
        group: str | None = None,
        where: Where | None = None,
        max_in_flight: int = 256,
        causal: bool = False,
        schemas: Sequence[str] = (),
        wait: Wait | None = None,
        timeout: float = 5.0,
    ) -> Subscription:
        """Return a subscription; see :meth:`.Bus.subscribe`."""
        limits = self.config.limits
        bounds = CausalBounds(limits.causal_wait, limits.causal_messages, limits.causal_bytes) if causal else None
        return NodeSubscription(self.running.hub, channel, group, where, max_in_flight, bounds, schemas, wait, timeout)

    async def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as this one sees them, itself included."""
        self.running.hub.permit(self.pid, "members", "")
        return self.running.members()

    def watch_members(self) -> MemberWatch:
        """Watch the nodes of the mesh; see :meth:`.Bus.watch_members`."""
        return NodeMemberWatch(self.running.hub)

    # --- processes and groups ---

    @property
    def mailbox(self) -> Mailbox:
        """What is sent to groups that the node itself has joined."""
        return self.running.programs.mailbox

    async def spawn(self, function: ProcessFunction) -> Process:
        """Run an async function as a process; see :meth:`.Bus.spawn`."""
        hub = self.running.hub
        hub.admit(hub.pid, "spawn", "")
        return self.running.programs.spawn(function)

    def monitor(self, pid: Pid) -> Monitor:
        """Watch a process, in ``async with``; see :meth:`.Bus.monitor`."""
        return NodeMonitor(self.running.hub, pid)

    async def join(
        self, group: str, pid: Pid | None = None, *, wait: Wait | None = None, timeout: float = 5.0
    ) -> GroupMembership:
        """Join a process group; see :meth:`.Bus.join`."""
        hub = self.running.hub
        hub.admit(hub.pid, "join", group)
        return await self.running.programs.join(group, pid, wait, timeout)

    async def group_members(self, group: str) -> tuple[Pid, ...]:
        """Return the members of a process group; see :meth:`.Bus.group_members`."""
        hub = self.running.hub
        hub.permit(hub.pid, "group_members", group)
        return hub.registry.members(GROUP_SCOPE, check_name(group, "group"))

    def watch_group(self, group: str, scope: str = "group") -> GroupWatch:
        """Watch the members of a group; see :meth:`.Bus.watch_group`."""
        return NodeGroupWatch(self.running.hub, group, scope)

    async def ready(self, timeout: float = 5.0) -> None:
        """Wait until every linked peer knows of all that is registered here; see :meth:`.Bus.ready`."""
        hub = self.running.hub
        hub.permit(hub.pid, "ready", "")
        await hub.interests.ready(timeout)

    # --- helpers ---

    @staticmethod
    def _envelope(
        payload: object, headers: Mapping[str, str] | None, parent: Message | Reference | None = None
    ) -> Envelope:
        encoding, body = encode_payload(payload)
        envelope = Envelope(0, 0, 0, 0, encoding, body, encode_headers(headers) if headers else None)
        if parent is not None:
            give_parent(envelope, parent)
        return envelope
