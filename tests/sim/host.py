"""A node of a simulated world: the shipped cores, and a shell that carries out their effects there.

It connects the two cores as ``mesh`` and ``control_plane`` do. A connection that somebody makes belongs to the
sessions until its first frame says that it is to be a control link.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.control import Control, ControlEffect
from liminal_mesh.cluster.control_frames import CONTROL_CODEC, CONTROL_FRAMES, CONTROL_HELLO
from liminal_mesh.cluster.effects import (
    Close,
    Dial,
    Effect,
    Failed,
    Notice,
    PeerLeaves,
    Resolve,
    SeedChanged,
    Send,
    SessionDown,
    SessionUp,
)
from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import LINK_FRAMES, LinkFrame
from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.mesh import HEARD_S
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.peering import Peering
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.swim import Departed, DialAddress, DialOutcome, Doubt, LinkLoss, SwimEffect, SwimOptions

from .network import End

if TYPE_CHECKING:
    from .world import World

__all__ = ["End", "Host"]

_OUTCOMES: dict[str, DialOutcome] = {"nothing-listens": "refused", "timeout": "timeout"}


class _Passage:
    """The way from one core to the other: in order, and with two threads it takes a while."""

    def __init__(self, host: Host) -> None:
        self.waiting = 0
        self._host = host
        self._arrival = 0.0

    def pass_on(self, call: Callable[..., None], *arguments: object) -> None:
        """Let the other core hear something."""
        world = self._host.world
        if not world.thread_lag_s:
            call(*arguments)
            return
        self.waiting += 1
        self._arrival = max(self._arrival, world.now + world.rng.uniform(0, world.thread_lag_s))
        world.at(self._arrival, self._host.when_running, self._hand_over, call, arguments)

    def _hand_over(self, call: Callable[..., None], arguments: tuple[object, ...]) -> None:
        self.waiting -= 1
        call(*arguments)


class Host:
    """One run of one node: its cores, and the shell that carries out their effects in this world."""

    def __init__(
        self, world: World, registry: Registry, run: bytes, key: bytes, options: PeeringOptions, swim: SwimOptions
    ) -> None:
        self.world = world
        self.me = registry.me
        self.alive = True
        self.stopped = False
        """Whether the process does nothing now (SIGSTOP): its kernel takes what comes, and connects."""
        self.departed = False
        self.address = options.address
        self.registry = registry
        self.core = Peering(self.me, run, [key], registry, options, Random(world.rng.random()), self._nonce)
        chance = Random(world.rng.random())
        self.control = Control(self.me, run, [key], options, swim, chance, self._nonce, self._wall_ms, world.now)
        self.ends: dict[int, End] = {}
        self.control_ends: dict[int, End] = {}
        self.effects: list[Effect] = []
        self.times: list[float] = []
        self.control_effects: list[ControlEffect] = []
        self.opened_at: dict[int, float] = {}
        """When the process, as far as it ran, took each connection."""
        self.stalled_until = 0.0
        self.watchers: list[Callable[[Effect | ControlEffect], None]] = []
        self._waiting: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._told_at: dict[int, float] = {}
        self._to_sessions, self._to_control = _Passage(self), _Passage(self)
        self._full: set[int] = set()
        """Connections that have been written to, and are still to report room."""
        self._stopped_at = 0.0
        self._to_do: deque[ControlEffect] = deque()
        self._busy = False
        self._ticket = self._control_ticket = 0

    def __repr__(self) -> str:
        members = {member.name: member.state for member in self.control.swim.members()}
        return f"<{self.me} {sorted(self.core.sessions())} {members}>"

    # --- the process --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the cores."""
        self.do(self.core.start(self.world.now))
        self._tell_control(lambda now: self.control.swim.seeds(self.core.seeded(), now))

    def reseed(self, seeds: Iterable[str]) -> None:
        """Tell the cores of other seeds."""
        self.do(self.core.reseed(tuple(seeds), self.world.now))
        self._tell_control(lambda now: self.control.swim.seeds(self.core.seeded(), now))

    def changed(self) -> None:
        """Tell the core that own members changed."""
        self.do(self.core.changed(self.world.now))

    def drain(self) -> None:
        """Say goodbye, over the sessions and over the control links."""
        self.do(self.core.drain("test", self.world.now))
        for end in [self.ends[session.conn] for session in self.core.sessions().values()]:
            # What was sent is written, then the connection ends.
            self.world.transmit(end, None)
            self.when_running(self.ended, end, "test")
        self._tell_control(self.control.swim.leave)

    def stop(self) -> None:
        """Stop the process where it is."""
        self.stopped, self._stopped_at = True, self.world.now

    def resume(self) -> None:
        """Let it go on: by chance it looks first at its clock, or at what has come."""
        self.stopped = False
        paused = self.world.now - self._stopped_at
        self.opened_at = {conn: at + paused for conn, at in self.opened_at.items()}
        waiting, self._waiting = self._waiting, []
        clock_first = self.world.rng.random() < 0.5
        if clock_first:
            self._wake()
        for call, arguments in waiting:
            self.when_running(call, *arguments)
        if not clock_first and self.alive:
            self._wake()

    def when_running(self, call: Callable[..., None], *arguments: object) -> None:
        """Let the process see something, as soon as it looks; never if it is dead."""
        if self.stopped:
            self._waiting.append((call, arguments))
        elif self.alive:
            call(*arguments)

    def _wake(self) -> None:
        self.do(self.core.tick(self.world.now))
        self.do_control(self.control.tick(self.world.now))

    # --- what comes from the network ----------------------------------------------------------------

    def opened(self, end: End, dial: Dial | DialAddress | None) -> None:
        """Take a new connection: one that we dialled, or (None) not."""
        if end.lost:
            end.open = False
            return
        now = self.opened_at[end.conn] = self.world.now
        if isinstance(dial, DialAddress):
            end.control = True
            self.control_ends[end.conn] = end
            self.do_control(self.control.dialed(end.conn, dial, now))
        else:
            self.ends[end.conn] = end
            effects = self.core.dialed(end.conn, dial.target, now) if dial else self.core.accepted(end.conn, now)
            self.do(effects)

    def unconnected(self, dial: Dial | DialAddress, code: str) -> None:
        """Note that a dial failed."""
        now = self.world.now
        if isinstance(dial, DialAddress):
            self.do_control(self.control.dial_failed(dial, _OUTCOMES.get(code, "unreachable"), now))
        else:
            self.do(self.core.dial_failed(dial.target, code, "", now))

    def resolved(self, seed: str, addresses: Sequence[str], failure: str) -> None:
        """Take the answer to a lookup."""
        self.do(self.core.resolved(seed, addresses, failure, self.world.now))

    def deliver(self, end: End, data: bytes) -> None:
        """Take bytes from a connection."""
        if not end.open:
            self.deliver_late(end, data)
            return
        self._hear(end)
        try:
            for kind, body in end.buffer.feed(data):
                self._frame(end, kind, body)
        except ProtocolError as error:
            now = self.world.now
            if end.control:
                self.do_control(self.control.broken(end.conn, error, now))
            else:
                self.do(self.core.broken(end.conn, error, now))

    def deliver_late(self, end: End, data: bytes) -> None:
        """Let the core see bytes of a connection that is closed: nothing may come of them."""
        now = self.world.now
        if end.conn not in self.opened_at:
            return  # the process never had it
        for kind, body in end.buffer.feed(data):
            if end.control:
                frame = CONTROL_CODEC.decode(kind, body)
                assert isinstance(frame, LinkFrame)
                assert self.control.received(end.conn, kind, frame, now) == []
            elif kind in LINK_FRAMES:
                frame = LINK_CODEC.decode(kind, body)
                assert isinstance(frame, LinkFrame)
                assert self.core.received(end.conn, kind, frame, now) == []

    def ended(self, end: End, reason: str) -> None:
        """Note the end of a connection that we did not end; ``silent``: our kernel has given it up."""
        end.open = False
        now = self.world.now
        if self.ends.pop(end.conn, None) is not None:
            self.do(self.core.closed(end.conn, reason, now))
        elif self.control_ends.pop(end.conn, None) is not None:
            loss: LinkLoss = "silent" if reason == "silent" else "reset"
            self.do_control(self.control.closed(end.conn, loss, now))

    def _hear(self, end: End) -> None:
        now = self.world.now
        if end.control:
            self.control.heard(end.conn, now)
            return
        self.core.heard(end.conn, now)
        if self.core.state(end.conn) == "session" and now >= self._told_at.get(end.conn, -math.inf) + HEARD_S:
            self._told_at[end.conn] = now
            self._to_control.pass_on(self._heard, end.peer.host.me.name)

    def _frame(self, end: End, kind: int, body: memoryview) -> None:
        now = self.world.now
        if kind == CONTROL_HELLO and not end.control and self.core.state(end.conn) == "hello":
            end.control = True
            self.control_ends[end.conn] = self.ends.pop(end.conn)
            self.do(self.core.closed(end.conn, "a control link", now))
            self.do_control(self.control.accepted(end.conn, "", now))
        if kind not in (CONTROL_FRAMES if end.control else LINK_FRAMES):
            raise ProtocolError("unknown")
        frame = (CONTROL_CODEC if end.control else LINK_CODEC).decode(kind, body)
        assert isinstance(frame, LinkFrame)
        if end.control:
            self.do_control(self.control.received(end.conn, kind, frame, now))
        else:
            self.do(self.core.received(end.conn, kind, frame, now))

    # --- effects of the sessions --------------------------------------------------------------------

    def do(self, effects: list[Effect]) -> None:
        """Carry out effects in order, and see to the next tick."""
        for effect in effects:
            self.effects.append(effect)
            self.times.append(self.world.now)
            self._carry_out(effect)
            self._show(effect)
        self._ticket += 1
        due = self.core.next_tick()
        if due < math.inf:
            self.world.at(max(due, self.world.now), self._tick, self._ticket)
        self.world.stepped(self)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(conn, frame):
                end = self.ends.get(conn)
                if end is not None:
                    self.world.transmit_frame(end, frame)
                    if conn not in self._full:
                        self._full.add(conn)
                        self.world.later(0.0005, self._room, conn)
            case Close(conn, _):
                self._close(self.ends.pop(conn, None))
            case Dial():
                self.world.dial(self, effect)
            case Resolve(seed, _):
                self.world.resolve(self, seed)
            case SeedChanged():
                self._tell_control(lambda now: self.control.swim.seeds(self.core.seeded(), now))
            case SessionUp(_, peer, address, _):
                self._tell_control(lambda now: self.control.swim.met(peer, address, now))
            case PeerLeaves(peer):
                self._tell_control(lambda now: self.control.swim.said_goodbye(peer, now))
            case SessionDown() | Failed() | Notice():
                pass

    def _room(self, conn: int) -> None:
        """Report room in a lane, once what is written has left the node."""
        end = self.ends.get(conn)
        if end is not None and self.alive and (end.stuck or self.stopped or self.stalled_until > self.world.now):
            self.world.later(0.05, self._room, conn)
            return
        self._full.discard(conn)
        if end is None or not self.alive:
            return
        if self.core.state(conn) == "session" and self.registry.lag(end.peer.host.me.name):
            self.do(self.core.pump(conn, self.world.now))

    def _tick(self, ticket: int) -> None:
        if self.alive and not self.stopped and ticket == self._ticket:
            self.do(self.core.tick(self.world.now))

    # --- effects of the membership ------------------------------------------------------------------

    def do_control(self, effects: list[ControlEffect]) -> None:
        """Carry out effects in order, and see to the next tick."""
        self._to_do.extend(effects)
        if self._busy:
            return
        self._busy = True
        while self._to_do:
            effect = self._to_do.popleft()
            self.control_effects.append(effect)
            self._carry_out_control(effect)
            if not isinstance(effect, Failed):
                self._show(effect)
        self._busy = False
        self._control_ticket += 1
        due = self.control.next_tick()
        if due < math.inf:
            self.world.at(max(due, self.world.now), self._control_tick, self._control_ticket)
        self.world.control_stepped(self)

    def _carry_out_control(self, effect: ControlEffect) -> None:
        match effect:
            case Send(conn, frame):
                end = self.control_ends.get(conn)
                if end is not None:
                    self.world.transmit(end, CONTROL_CODEC.encode(frame))
            case Close(conn, _):
                self._close(self.control_ends.pop(conn, None))
            case DialAddress():
                self.world.dial(self, effect)
            case MemberChanged():
                self._to_sessions.pass_on(self._gossiped, effect)
            case Doubt(name):
                self._to_sessions.pass_on(self._doubted, name)
            case Departed():
                self.departed = True
            case Failed():
                self._to_sessions.pass_on(self._failed, effect)
            case Notice():
                pass

    # --- from one core to the other -----------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Whether neither core has something to tell the other."""
        return not self._to_sessions.waiting and not self._to_control.waiting and not self._busy

    def _tell_control(self, told: Callable[[float], list[SwimEffect]]) -> None:
        self._to_control.pass_on(self._told, told)

    def _told(self, told: Callable[[float], list[SwimEffect]]) -> None:
        now = self.world.now
        self.do_control(self.control.carry_out(told(now), now))

    def _heard(self, name: str) -> None:
        self.control.swim.heard(name, self.world.now)

    def _gossiped(self, change: MemberChanged) -> None:
        self.do(self.core.gossiped(change, self.world.now))

    def _doubted(self, name: str) -> None:
        self.do(self.core.doubted(name, self.world.now))

    def _failed(self, effect: Failed) -> None:
        if self.core.ends_with(effect.error):
            self._show(effect)

    def _show(self, effect: Effect | ControlEffect) -> None:
        for watcher in self.watchers:
            watcher(effect)

    def _control_tick(self, ticket: int) -> None:
        if self.alive and not self.stopped and ticket == self._control_ticket:
            self.do_control(self.control.tick(self.world.now))

    def _close(self, end: End | None) -> None:
        if end is not None:
            end.open = False
            self.world.transmit(end, None)

    def _wall_ms(self) -> int:
        return int(self.world.now * 1000)

    def _nonce(self) -> bytes:
        return self.world.rng.randbytes(32)
