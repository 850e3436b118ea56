"""One run of a node: its parts, put together for one epoch, and the one task group that owns their tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Annotated, Final

import msgspec

from liminal_mesh.cluster import (
    LAN,
    OTHERS_MAX,
    SCOPES,
    TEST,
    WAN,
    Control,
    ControlPlane,
    ControlThread,
    Listener,
    Member,
    MemberEntry,
    Mesh,
    MeshLimits,
    Messenger,
    NodeId,
    Outbound,
    Peering,
    PeeringOptions,
    Pid,
    Registry,
    derive_key,
)

from .advertising import advertised, advertised_to_clients
from .channel_registry import ChannelRegistry
from .config import ClusterConfig, NodeConfig
from .config_checks import read_cookies
from .declaring import channel_table, group_table
from .dedup import Dedup
from .drain import hand_on, part
from .embedded_processes import EmbeddedProcesses
from .environment import Environment
from .hub import Hub
from .in_force import InForce
from .interests import wait_s
from .keyed import Keys
from .listening import PATIENCE
from .options import read
from .permission import Permit
from .server import Server
from .sizes import Sizes
from .waits import FOREVER_S

__all__ = ["Runtime"]

log = logging.getLogger("liminal.node")

FIRST_ROUND_S: Final = 1.0
"""How long a start waits for the first answers of its seeds: as long as one dial may take."""

_GROUP: Final = msgspec.msgpack.Decoder(tuple[Annotated[int, msgspec.Meta(ge=0, lt=len(SCOPES))], str])
_TIMEOUT: Final = msgspec.msgpack.Decoder(Annotated[float, msgspec.Meta(ge=0, le=FOREVER_S)])
"""The arguments of requests."""

_PROFILES: Final = {"lan": LAN, "wan": WAN, "local": TEST}
_USER_TIMEOUT_S: Final = {"lan": 5.0, "wan": 15.0, "local": 1.0}
"""How long the kernel waits for peers to acknowledge bytes, by profile."""

GOODBYE_S: Final = 1.0
"""How long peers have to take our goodbye."""


class Runtime:
    """The parts of a running node.

    Args:
        me: the node, with the epoch of this run.
        in_force: what it runs with.
        listeners: open listeners by name: ``client``, ``http`` (None: not wanted) and, in a mesh, ``mesh``.
        permit: the one permission check.
        version: of this program.
        environment: the world around the node.
    """

    def __init__(
        self,
        me: NodeId,
        in_force: InForce,
        listeners: Mapping[str, Listener],
        permit: Permit,
        version: str,
        environment: Environment,
    ) -> None:
        self.in_force = in_force
        config = self.config
        self.listeners = listeners
        self.environment = environment
        limits = config.limits
        self.registry = Registry(me, entries_max=limits.registry_entries)
        self.hub = Hub(
            me,
            self.registry,
            channel_table(config),
            group_table(limits),
            permit,
            environment,
            Sizes(limits.max_frame, limits.envelope),
            partial(Keys, Dedup(limits.dedup_keys, limits.dedup_keys_node), environment.monotonic, limits.key),
            inbox_bytes=limits.inbox_bytes_node,
            entries_max=limits.registry_entries,
            links_max=limits.process_links,
        )
        hub = self.hub
        self.channels = ChannelRegistry(hub.exchange.channels, hub.interests.end, hub.note, hub.declarations.changed)
        """What changes the channels while the node runs."""
        self.programs = EmbeddedProcesses(self.hub, limits.processes)
        """The processes of this node's own program."""
        self.peering: Peering | None = None
        self.control: Control | None = None
        if config.cluster is not None:
            self.hub.mesh = self._make_mesh(me, config.cluster)
        self.server = Server(self.hub, listeners["client"], limits, self._verbs(), version)
        self.version = version
        self._http: ModuleType | None = None
        self._task: asyncio.Task[None] | None = None

    def _make_mesh(self, me: NodeId, cluster: ClusterConfig) -> Mesh:
        self.peering, self.control = self._make_cores(me, cluster)
        self.hub.follow(self.peering.membership)
        limits, environment = self.config.limits, self.environment
        outbound = Outbound(environment.network, cluster.dial_overrides)
        mesh_limits = MeshLimits(
            frame=limits.max_frame,
            preauth=limits.preauth_frame,
            lane_bytes=limits.channel_lane_bytes,
            lane_age_s=limits.lane_age,
            user_timeout_s=_USER_TIMEOUT_S[cluster.profile],
        )
        plane = partial(ControlPlane, self.control, outbound, mesh_limits)
        loop = asyncio.get_running_loop()
        return Mesh(
            self.peering,
            partial(ControlThread, plane) if environment.threads else lambda mesh: plane(Messenger(loop, mesh)),
            self.registry,
            self.hub,
            me,
            self.listeners["mesh"],
            outbound,
            mesh_limits,
            environment.resolver(cluster.dns_servers),
        )

    def _make_cores(self, me: NodeId, cluster: ClusterConfig) -> tuple[Peering, Control]:
        cookies = read_cookies(self.config) or (b"",)
        told = advertised(cluster, self.listeners["mesh"].address, self.environment)
        options = PeeringOptions(
            cluster=cluster.name,
            address=told,
            seeds=tuple(cluster.seeds),
            expected=cluster.expected or 2,
            clients=advertised_to_clients(self.config.client, self.listeners["client"].address, told, self.environment),
            handshake_s=self.config.limits.handshake_timeout,
            patience_s=self.config.limits.handshake_timeout * PATIENCE,
            peers_max=self.config.limits.peers,
        )
        keys = [derive_key(cookie, cluster.name) for cookie in cookies]
        run, jitter = self.environment.token_bytes(8), self.environment.jitter
        nonce = partial(self.environment.token_bytes, 32)
        peering = Peering(me, run, keys, self.registry, options, jitter(), nonce)
        swim = replace(_PROFILES[cluster.profile], fast_death=cluster.fast_death)
        now = asyncio.get_running_loop().time()
        return peering, Control(
            me, run, keys, options, swim, jitter(), nonce, lambda: self.environment.wall_ns() // 1_000_000, now
        )

    @property
    def config(self) -> NodeConfig:
        """What is in force."""
        return self.in_force.loaded.config

    async def start(self) -> None:
        """Start everything; returns when the node serves and its seeds were tried once.

        Raises:
            NameInUse: a seed knows a live node of this name.
            StaleEpoch: a seed knows a later run of this name.
        """
        try:
            await self._begin()
        except BaseException:
            await self.stop(0.0, "it was not started")
            raise
        if self.hub.failure is not None:
            await self.stop(0.0, "it could not join the mesh")
            raise self.hub.failure

    async def _begin(self) -> None:
        if "http" in self.listeners:  # imported late, since aiohttp costs a quarter of a second, and not on the loop
            self._http = await asyncio.to_thread(import_module, ".http", __package__)
        self._task = asyncio.create_task(self._run(), name=f"node-{self.hub.me.name}")
        self._task.add_done_callback(self._ended)
        mesh = self.hub.mesh
        if mesh is not None:
            deadline = asyncio.get_running_loop().time() + FIRST_ROUND_S
            await self.hub.until(lambda: mesh.tried or bool(mesh.links) or self.hub.failure is not None, deadline)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.server.run(), name="clients")
            if self.hub.mesh is not None:
                tasks.create_task(self.hub.mesh.run(), name="mesh")
            if self._http is not None:
                server = self._http.HttpServer(self, self.listeners["http"])
                tasks.create_task(server.run(), name="http")

    async def stop(self, budget_s: float, reason: str) -> bool:
        """Drain within the budget, then end everything; return whether nothing was left behind.

        Nobody new is taken; each client gets what was accepted for it, and then is told; what is left goes out to the
        peers; the mesh is left last, so that what was accepted still fans out.
        """
        if budget_s:
            self.hub.note("draining", reason=reason, within_s=budget_s)
        try:
            return await self._drain(asyncio.get_running_loop().time() + budget_s, reason)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            for listener in self.listeners.values():
                listener.close()
            self.hub.close()

    async def _drain(self, deadline: float, reason: str) -> bool:
        hub, mesh = self.hub, self.hub.mesh
        hub.draining, hub.others = True, self.others
        hub.pressings.let_go()
        drained = await part(self.server, hub, reason, deadline)
        # Functions that were spawned get what is left of the time to clean up, and a bit in any case.
        left = max(GOODBYE_S, deadline - asyncio.get_running_loop().time())
        drained = await self.programs.close(left) and drained
        hub.end_processes("subscription", "channel", "node")
        if mesh is not None:
            drained = await hub.until(lambda: not hub.exchange.offers.unanswered, deadline) and drained
            # What is offered to members that have left is sent elsewhere, as long as we are there to say so.
            await hub.until(lambda: not hub.exchange.offers.wanted, asyncio.get_running_loop().time() + GOODBYE_S)
            drained = await hand_on(hub, deadline) and drained
            mesh.drain(reason)
            await hub.until(lambda: not mesh.links and mesh.departed, asyncio.get_running_loop().time() + GOODBYE_S)
        return drained

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part of the node broke: that is a defect, and the node must not look alive."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if error is not None:
            for listener in self.listeners.values():
                listener.close()
            self.hub.mesh_failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def reseed(self, seeds: Sequence[str]) -> None:
        """Look for other nodes at other places from now on; without a mesh there is nobody to look for."""
        if self.hub.mesh is not None:
            self.hub.mesh.reseed(seeds)

    def others(self) -> tuple[str, ...]:
        """Return where clients of this node can go: where those of some peers connect that are well, in any order."""
        if self.peering is None:
            return ()
        well = {member.name for member in self.members() if member.state == "alive" and member.reachable}
        found = [one.clients for name, one in sorted(self.peering.sessions().items()) if name in well and one.clients]
        self.environment.jitter().shuffle(found)
        return tuple(found[:OTHERS_MAX])

    def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as this one sees them."""
        return self.hub.members()

    def _verbs(self) -> dict[str, Callable[[Pid, bytes], object]]:
        """Return what a client may ask for by name; each asks for permission before it does anything."""
        hub = self.hub

        def members(who: Pid, _: bytes) -> object:
            hub.permit(who, "members", "")
            return [MemberEntry.of(member) for member in self.members()]

        def group_members(who: Pid, arguments: bytes) -> object:
            scope, group = read(_GROUP, arguments, "arguments of a request")
            hub.permit(who, "group_members", group)
            return self.registry.members(scope, group)

        def ready(who: Pid, arguments: bytes) -> object:
            timeout_s = read(_TIMEOUT, arguments, "arguments of a request")
            hub.permit(who, "ready", "")
            return hub.interests.ready(wait_s(timeout_s))

        return {"members": members, "group_members": group_members, "ready": ready}
