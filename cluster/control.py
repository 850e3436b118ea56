"""The control links of one node, and the membership machine that speaks over them: events in, effects out.

A control connection proves itself as every link does (:mod:`.handshake`); then both sides greet, and the membership
machine (:mod:`.swim`) is told. Of two nodes the one with the lower name decides which connection is their link: the
other greets first, and says whether it has a good one already. The decider numbers what it accepts, always upwards,
so that two nodes which dial each other in one moment end with the same link. One that was accepted just now, and
over which nothing came yet, is not replaced: the other may not have heard of it when it greeted.

The inputs below are the only way to change the state. Each returns the effects that the caller must carry out, in
order and before the next input; a :class:`.membership.MemberChanged` among them says what became true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .control_choice import ControlChoice
from .control_frames import Greeting
from .control_link import NEWCOMERS_MAX, REDUNDANT, ControlLink, refusal_of
from .effects import Close, Failed, Level, Notice, Send
from .errors import ProtocolError, StaleEpoch
from .frames import LINK_PROTO, Hello, LinkFrame, Refusal
from .handshake import CONTROL, NO_FACTS, Handshake
from .identity import NodeId
from .membership import MemberChanged
from .newcomers import Newcomers
from .notices import Notices
from .options import PeeringOptions
from .swim import (
    Admit,
    CloseLink,
    Departed,
    DialAddress,
    DialOutcome,
    Doubt,
    LinkLoss,
    Refuse,
    SendTo,
    Superseded,
    Swim,
    SwimEffect,
    SwimOptions,
)
from .swim_frames import RecordState, SwimFrame

if TYPE_CHECKING:
    from random import Random

__all__ = ["Control", "ControlEffect"]

ControlEffect = Send | Close | DialAddress | Doubt | Departed | Failed | Notice | MemberChanged
"""What the shell has to carry out, or to pass on."""


class Control:
    """The control links of one node.

    Args:
        me: this node.
        run: 8 random bytes of this run.
        keys: the ring of derived keys (:func:`.auth.derive_key`).
        options: of the mesh: cluster, address and times of handshakes.
        swim: times and bounds of membership.
        rng: for the choice of members, and for jitter.
        nonce: returns 32 random bytes that were never returned before.
        wall_ms: returns the time of day, in milliseconds since 1970; only to compare it with others'.
        now: the time.
    """

    def __init__(
        self,
        me: NodeId,
        run: bytes,
        keys: Sequence[bytes],
        options: PeeringOptions,
        swim: SwimOptions,
        rng: Random,
        nonce: Callable[[], bytes],
        wall_ms: Callable[[], int],
        now: float,
    ) -> None:
        self._me = me
        self._run = run
        self._keys = tuple(keys)
        self._options = options
        self._nonce = nonce
        self._wall_ms = wall_ms
        self.clocks: dict[str, float] = {}
        """How many seconds the time of day of each peer is ahead of ours, for sure; replaced, and never changed."""
        self.unknown_frames = 0
        """Frames of types that this version does not know, from peers that have proved themselves."""
        self.swim = Swim(me, options.address, swim, rng, now)
        self.refusals: Counter[str] = Counter()
        """Connections that this node refused or cut off, by reason."""
        self._conns: dict[int, ControlLink] = {}
        self._choice = ControlChoice(me.name)
        self._links = self._choice.links
        self._newcomers = Newcomers(options.patience_s)
        """Connections of others that are not links yet."""
        self._out: list[ControlEffect] = []
        self._notices = Notices()

    def accepted(self, conn: int, source: str, now: float) -> list[ControlEffect]:
        """Note that somebody connected, from the machine ``source``."""
        if len(self._newcomers) >= NEWCOMERS_MAX:
            self.refusals["crowded"] += 1
            first = self._newcomers.next()
            if first is None or first.since > now:
                self._out.append(Close(conn, "too many newcomers"))
                return self._take()
            self._drop(self._conns[first.key], "others wait", "rejected", now)
        self._open(conn, None, now)
        self._newcomers.came(conn, source, now)
        return self._take()

    def dialed(self, conn: int, dial: DialAddress, now: float) -> list[ControlEffect]:
        """Note that a dial made connection ``conn``, a number that was never used before."""
        link = self._open(conn, dial, now)
        self._send(link, *link.handshake.open())
        return self._take()

    def dial_failed(self, dial: DialAddress, outcome: DialOutcome, now: float) -> list[ControlEffect]:
        """Note that a dial failed."""
        self._do(self.swim.dial_failed(dial.name, outcome, now), now)
        return self._take()

    def heard(self, conn: int, now: float) -> None:
        """Note that bytes came, of whatever kind."""
        if (link := self._conns.get(conn)) is not None and link.g:
            self.swim.heard(link.node.name, now)

    def received(self, conn: int, kind: int, frame: LinkFrame, now: float) -> list[ControlEffect]:
        """Take a decoded frame of type ``kind``; one of a connection that was closed already has no effect."""
        link = self._conns.get(conn)
        if link is not None:
            try:
                link.admit(kind)
                self._take_frame(link, frame, now)
            except ProtocolError as error:
                self._break(link, error, now)
        return self._take()

    def unknown(self, conn: int, kind: int) -> None:
        """Count a frame of a type that this version does not know: a later one does.

        Raises:
            ProtocolError: the peer has not proved itself.
        """
        if self.state(conn) not in {"greeting", "session"}:
            raise ProtocolError(f"frame type {kind:#04x} before the control link stood")
        self.unknown_frames += 1

    def broken(self, conn: int, error: ProtocolError, now: float) -> list[ControlEffect]:
        """Note that the caller could not read what came: the connection closes."""
        if conn in self._conns:
            self._break(self._conns[conn], error, now)
        return self._take()

    def closed(self, conn: int, loss: LinkLoss, now: float) -> list[ControlEffect]:
        """Note that a connection ended by itself."""
        if conn in self._conns:
            self._gone(self._conns[conn], loss, "closed" if loss == "reset" else "timeout", now)
        return self._take()

    def state(self, conn: int) -> str:
        """Return where a connection stands: a state of the table of frames, or ``closed``."""
        return self._conns[conn].state if conn in self._conns else "closed"

    def who(self, conn: int) -> str:
        """Return whom a connection is with, as far as that is known; "" of one that is closed."""
        return self._conns[conn].who if conn in self._conns else ""

    def carry_out(self, effects: list[SwimEffect], now: float) -> list[ControlEffect]:
        """Take what an input of the membership machine gave that is not about a connection, such as seeds."""
        self._do(effects, now)
        return self._take()

    def tick(self, now: float) -> list[ControlEffect]:
        """Do what is due."""
        waiting = [link for link in self._conns.values() if not link.g]
        late = now - min((link.deadline for link in waiting), default=now)
        for link in waiting:
            if late > self._options.late_s:  # we were stopped, and what they sent meanwhile is still to be read
                link.deadline += late
            elif link.deadline <= now:
                self.refusals["handshake"] += 1
                self._drop(link, f"no progress in state {link.state!r}", "timeout", now)
        self._do(self.swim.tick(now), now)
        return self._take()

    def next_tick(self) -> float:
        """Return when :meth:`tick` is wanted."""
        return min((self.swim.next_tick(), *(link.deadline for link in self._conns.values() if not link.g)))

    # --- the way to a link --------------------------------------------------------------------------

    def _open(self, conn: int, dial: DialAddress | None, now: float) -> ControlLink:
        me, options = self._me, self._options
        hello = Hello(
            *LINK_PROTO, options.cluster, me.name, me.epoch, self._run, self._nonce(), options.address, [CONTROL]
        )
        handshake = Handshake(hello, self._keys, "listener" if dial is None else "dialler", lambda _: NO_FACTS)
        patience = options.handshake_s if dial is None else dial.timeout_s
        return self._conns.setdefault(conn, ControlLink(conn, handshake, dial, now + patience, self._wall_ms()))

    def _take_frame(self, link: ControlLink, frame: LinkFrame, now: float) -> None:
        match frame:
            case Refusal() if link.handshake.state == "done":
                self._turned_away(link, frame, False, now)
            case Greeting():
                link.greet(frame, self._wall_ms())
                self._greeted(link, now)
            case SwimFrame():
                link.proved = True
                self._do(self.swim.received(link.node, frame, now), now)
            case _:
                self._shake_hands(link, frame, now)

    def _shake_hands(self, link: ControlLink, frame: LinkFrame, now: float) -> None:
        handshake = link.handshake
        self._send(link, *handshake.received(frame))
        if handshake.state == "refused":
            assert handshake.refusal is not None
            self._turned_away(link, handshake.refusal, handshake.refused_by_us, now)
        elif handshake.state == "done":
            if link.dial is not None:
                self.swim.reached(link.dial.address, link.node.name)
            if self.swim.record.state is RecordState.LEFT:
                self._refuse(link, Refusal("leaving", "this node is leaving the mesh"), now)
            elif link.node.name == self._me.name:
                self._do(self.swim.linked(link.record, 0, now), now)  # it will be refused, and told by whom
            elif link.node.name < self._me.name:
                self._greet(link, self._choice.good(link))

    def _greeted(self, link: ControlLink, now: float) -> None:
        if self._me.name < link.node.name:
            if self._choice.redundant(link, now):
                self._refuse(link, REDUNDANT, now)
                return
        elif self._choice.outdated(link):
            self._drop(link, "a later link stands", "other", now)
            return
        self._meet(link, now)

    def _meet(self, link: ControlLink, now: float) -> None:
        """Tell the membership machine of a link that can stand, and install it unless it must wait."""
        greeting = link.greeting
        assert greeting is not None
        effects = self.swim.linked(greeting.record, greeting.digest, now)
        link.held = not self.swim.linked_to(link.node)
        if link.held:
            link.deadline = max(link.deadline, now + 2 * self._options.name_check_s)
        else:
            former = self._install(link, now)
            if former is not None:
                self._refuse(former, REDUNDANT, now)
            # What leads to an earlier run was replaced just now.
            effects = [one for one in effects if not (isinstance(one, CloseLink) and one.name == link.node.name)]
        self._do(effects, now)

    def _install(self, link: ControlLink, now: float) -> ControlLink | None:
        """Make a connection the link; returns what it replaces."""
        name, former = link.node.name, self._choice.install(link)
        if self._me.name < name:
            self._greet(link, link.g)
        link.deadline = now + self._options.adopt_s
        self._newcomers.gone(link.conn)
        kept = {one: ahead for one, ahead in self.clocks.items() if one in self._links}
        self.clocks = kept | {name: link.ahead_s}
        if link.dial is not None and link.dial.name not in {"", name}:
            self._do(self.swim.dial_failed(link.dial.name, "other", now), now)
        return former

    def _greet(self, link: ControlLink, g: int) -> None:
        self._send(link, Greeting(self.swim.record, self.swim.digest, g, self._wall_ms()))

    # --- ends ---------------------------------------------------------------------------------------

    def _break(self, link: ControlLink, error: ProtocolError, now: float) -> None:
        self._notice("warning", "protocol_error", link, now, state=link.state, reason=error.reason)
        self.refusals["protocol"] += 1
        self._drop(link, f"protocol error: {error.reason}", "rejected", now)

    def _turned_away(self, link: ControlLink, refusal: Refusal, by_us: bool, now: float) -> None:
        """End a connection that was refused, by us or by the other."""
        if refusal.code not in {"self", "redundant", "leaving"}:
            event = "control_refused" if by_us else "control_refused_by_peer"
            if by_us:
                self.refusals[refusal.code] += 1
            self._notice("warning", event, link, now, code=refusal.code, reason=refusal.reason)
        proved = link.handshake.state == "done"  # a stranger's word ends nobody's run
        if refusal.code == "stale-epoch" and proved and not by_us and refusal.known_epoch > self._me.epoch:
            self._out.append(Failed(StaleEpoch(*self._me, refusal.known_epoch)))
        outcome: DialOutcome = "other" if refusal.code in {"self", "redundant"} else "rejected"
        self._drop(link, refusal.code, outcome, now)

    def _refuse(self, link: ControlLink, refusal: Refusal, now: float) -> None:
        self._send(link, refusal)
        self._turned_away(link, refusal, True, now)

    def _drop(self, link: ControlLink, reason: str, outcome: DialOutcome, now: float) -> None:
        self._out.append(Close(link.conn, reason))
        self._gone(link, "local", outcome, now)

    def _gone(self, link: ControlLink, loss: LinkLoss, outcome: DialOutcome, now: float) -> None:
        """Take a connection that is closed, or will be, out of everything."""
        if self._conns.pop(link.conn, None) is None:
            return
        self._newcomers.gone(link.conn)
        if link.g and self._links.get(link.node.name) is link:
            del self._links[link.node.name]
            self._do(self.swim.unlinked(link.node.name, loss, now), now)
        elif not link.g and link.dial is not None:
            self._do(self.swim.dial_failed(link.dial.name, outcome, now), now)

    def _do(self, effects: list[SwimEffect], now: float) -> None:
        for effect in effects:
            match effect:
                case SendTo(name, frame):
                    if name in self._links:
                        self._send(self._links[name], frame)
                case CloseLink(name, reason):
                    if (link := self._links.pop(name, None)) is not None:
                        self._drop(link, reason, "other", now)
                case Refuse(newcomer, bearer):
                    for link in [one for one in self._conns.values() if not one.g and one.is_of(newcomer)]:
                        self._refuse(link, refusal_of(newcomer, bearer), now)
                case Admit(newcomer):
                    for link in [one for one in self._conns.values() if one.held and one.is_of(newcomer)]:
                        self._meet(link, now)
                case Superseded(record):
                    self._out.append(Failed(StaleEpoch(*self._me, record.epoch)))
                case _:
                    self._out.append(effect)

    def _send(self, link: ControlLink, *frames: LinkFrame) -> None:
        self._out.extend(Send(link.conn, frame) for frame in frames)

    def _notice(self, level: Level, event: str, link: ControlLink, now: float, **fields: object) -> None:
        key = link.who if link.handshake.state == "done" or link.dial is not None else ""
        notice = self._notices.take(level, event, f"{fields.get('code', '')} {key}", now, peer=link.who, **fields)
        if notice is not None:
            self._out.append(notice)

    def _take(self) -> list[ControlEffect]:
        out, self._out = self._out, []
        return out
