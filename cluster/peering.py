"""The session core of a node: events of its connections in, effects out.

This class composes what the neighbouring modules decide, each about its own matter: :mod:`.handshake` (is this a
node of ours?), :mod:`.session` (which connection is the session?), :mod:`.dialing` (whom to call, when?),
:mod:`.heartbeat` (does it live, does it hear us?), :mod:`.registry` (who is where?), :mod:`.membership` (who is
there?). A connection goes through

::

    hello ──> auth ──┐
                     ├──> adopting ──> session
          welcome ───┘

and in each state only what :data:`.frames.LINK_FRAMES` lists may arrive, from the side that it lists; anything else
closes the connection. A peer speaks only for itself.

The inputs below are the only way to change the state. Each returns the effects that the caller must carry out, in
order and before the next input. The core knows no time but the ``now`` it is given (monotonic seconds), and
``next_tick`` says when it wants :meth:`Peering.tick`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

from .contact import Contact, Session
from .dialing import Dialer
from .effects import Close, Dial, Effect, Failed, Level, Send, SessionDown, SessionUp
from .errors import NameInUse, ProtocolError, StaleEpoch
from .exchange import RegistryFrame
from .frames import (
    LINK_PROTO,
    Ack,
    Adopt,
    AdoptAck,
    Drain,
    Heartbeat,
    Hello,
    LinkFrame,
    Peer,
    Ping,
    Pong,
    Range,
    Redundant,
    Refusal,
    SnapBegin,
    SnapChunk,
    SnapEnd,
    Sync,
)
from .handshake import NO_FACTS, Facts, Handshake
from .heartbeat import Pulse
from .identity import NodeId
from .membership import LinkMembership, Member
from .notices import Notices
from .options import PeeringOptions
from .registry import Registry
from .session import NameCheck, Pair

__all__ = ["Peering"]

_REASON_MAX = 200
"""How much of a stranger's words goes into a log line."""

_NAME_CHECK = 0
"""The number of the ping that asks the bearer of a name for a sign of life; other pings have other numbers."""


class Peering:
    """The sessions of one node.

    Args:
        me: this node.
        run: 8 random bytes of this run.
        keys: the ring of derived keys (:func:`.auth.derive_key`), see :mod:`.handshake`.
        registry: the node's groups; sessions of it are opened and closed here.
        options: times and bounds.
        rng: for jitter.
        nonce: returns 32 random bytes that were never returned before.
    """

    def __init__(
        self,
        me: NodeId,
        run: bytes,
        keys: Sequence[bytes],
        registry: Registry,
        options: PeeringOptions,
        rng: Random,
        nonce: Callable[[], bytes],
    ) -> None:
        self.me = me
        self.membership = LinkMembership(me, options.address)
        self._run = run
        self._keys = tuple(keys)
        self._registry = registry
        self._options = options
        self._nonce = nonce
        self._dialer = Dialer(me.name, options, rng)
        self._notices = Notices()
        self._contacts: dict[int, Contact] = {}
        self._pairs: dict[str, Pair] = {}
        self._out: list[Effect] = []
        self._wake: float | None = None
        self._draining = False
        self._failed = False

    # --- inputs -------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin: dial the seeds."""
        self._dial(now)
        return self._take()

    def dialed(self, conn: int, target: str, now: float) -> list[Effect]:
        """Note that a dial made connection ``conn``, a number that was never used before."""
        for frame in self._open(conn, target, now).handshake.open():
            self._send(conn, frame)
        return self._take()

    def accepted(self, conn: int, now: float) -> list[Effect]:
        """Note that somebody connected."""
        self._open(conn, "", now)
        return self._take()

    def dial_failed(self, target: str, reason: str, now: float) -> list[Effect]:
        """Note that a dial failed."""
        self._dialer.failed(target, now)
        self._notice("debug", "dial_failed", target, now, target=target, reason=reason)
        return self._take()

    def closed(self, conn: int, reason: str, now: float) -> list[Effect]:
        """Note that a connection ended by itself."""
        if conn in self._contacts:
            self._gone(self._contacts[conn], reason, now)
        return self._take()

    def broken(self, conn: int, error: ProtocolError, now: float) -> list[Effect]:
        """Note that the caller could not read what came: the connection closes."""
        if conn in self._contacts:
            self._break(self._contacts[conn], error, now)
        return self._take()

    def heard(self, conn: int, now: float) -> None:
        """Note that bytes came, of whatever kind."""
        contact = self._contacts.get(conn)
        if contact is None:
            return
        if contact.pulse is not None:
            contact.pulse.hear(now)
        if contact.check is not None:
            contact.check.heard = True

    def received(self, conn: int, kind: int, frame: LinkFrame, now: float) -> list[Effect]:
        """Take a decoded frame. A frame of a connection that is closed already changes nothing."""
        self.heard(conn, now)
        contact = self._contacts.get(conn)
        if contact is not None:
            try:
                contact.admit(kind, self.me.name)
                self._dispatch(contact, frame, now)
            except ProtocolError as error:
                self._break(contact, error, now)
        return self._take()

    def pump(self, conn: int, now: float) -> list[Effect]:
        """Note that what was sent on this session is written, and there is room for more of the registry."""
        contact = self._contacts.get(conn)
        if contact is not None and contact.pulse is not None:
            self._pump(contact)
        return self._take()

    def changed(self, now: float) -> list[Effect]:
        """Note that our own members changed."""
        for contact in self._sessions():
            if not contact.flowing:
                self._pump(contact)
        return self._take()

    def drain(self, reason: str, now: float) -> list[Effect]:
        """Say goodbye: every peer is told, our members leave, and nobody is dialled or let in any more."""
        self._draining = True
        self._dialer.stop()
        self._registry.leave_all()
        for contact in self._sessions():
            self._send(contact.conn, Drain(reason))
            while self._pump(contact):
                pass  # what is left must be in the lane before the connection ends
        return self._take()

    def tick(self, now: float) -> list[Effect]:
        """Do what has come due."""
        late = now - self.next_tick()
        if self._options.late_s < late < math.inf:
            for contact in self._sessions():
                contact.pulse.excuse(late)  # type: ignore[union-attr]
        for contact in tuple(self._contacts.values()):
            if contact.conn in self._contacts:
                self._tick_contact(contact, now)
        for name, pair in tuple(self._pairs.items()):
            self._tick_pair(name, pair, now)
        for name in self._dialer.forget(now):
            self._forget(name)
        self._dial(now)
        return self._take()

    # --- reads --------------------------------------------------------------------------------------

    def next_tick(self) -> float:
        """Return when :meth:`tick` is wanted; asking often costs nothing."""
        if self._wake is None:
            contacts = (contact.next_due() for contact in self._contacts.values())
            pairs = (pair.next_due() for pair in self._pairs.values())
            self._wake = min(self._dialer.next_due(), *contacts, *pairs, math.inf)
        return self._wake

    def state(self, conn: int) -> str:
        """Return where a connection stands: a state of the table of frames, ``refused`` or ``closed``."""
        contact = self._contacts.get(conn)
        return contact.state if contact is not None else "closed"

    def sessions(self) -> dict[str, Session]:
        """Return the sessions that stand, by the peer's name."""
        return {contact.name: contact.view() for contact in self._sessions()}

    def members(self) -> tuple[Member, ...]:
        """Return who is in the mesh as far as we know, this node included."""
        return self.membership.members()

    def missing(self) -> tuple[tuple[str, str], ...]:
        """Return the links that should be there and are not, as far as we and our peers see: (from, to)."""
        seen = {self.me.name: {contact.name for contact in self._sessions()}}
        for contact in self._sessions():
            seen[contact.name] = {peer.name for peer in contact.pulse.peers}  # type: ignore[union-attr]
        everyone = set(seen).union(*seen.values())
        return tuple((name, other) for name in sorted(seen) for other in sorted(everyone - seen[name] - {name}))

    # --- connections --------------------------------------------------------------------------------

    def _open(self, conn: int, target: str, now: float) -> Contact:
        assert conn not in self._contacts
        options, me = self._options, self.me
        hello = Hello(*LINK_PROTO, options.cluster, me.name, me.epoch, self._run, self._nonce(), options.address)
        handshake = Handshake(hello, self._keys, "dialler" if target else "listener", self._facts)
        contact = self._contacts[conn] = Contact(conn, handshake, target, now + options.handshake_s)
        return contact

    def _facts(self, hello: Hello) -> Facts:
        pair = self._pairs.get(hello.name)
        return pair.facts(hello) if pair is not None else NO_FACTS

    def _dispatch(self, contact: Contact, frame: LinkFrame, now: float) -> None:
        if contact.state in {"hello", "welcome", "auth"}:
            self._shake_hands(contact, frame, now)
            return
        match frame:
            case Refusal():
                self._refused(contact, frame, now)
            case Adopt():
                contact.offer = frame
                self._meet(contact, now)
            case AdoptAck():
                self._pairs[contact.name].acknowledge(contact.conn, frame)
                self._up(contact, frame.g, now)
            case Redundant():
                self._drop(contact, "redundant", now)
            case Ping():
                self._send(contact.conn, Pong(frame.id))
            case Pong():
                self._answered(contact, frame, now)
            case Heartbeat():
                self._beaten(contact, frame, now)
            case Drain():
                self.membership.drained(contact.name)
                self._dialer.departed(contact.name)
                self._notice("info", "peer_drains", contact.name, now, peer=contact.name, reason=_words(frame.reason))
            case Sync() | SnapBegin() | SnapChunk() | SnapEnd() | Range() | Ack():
                self._replicate(contact, frame)

    def _shake_hands(self, contact: Contact, frame: LinkFrame, now: float) -> None:
        handshake = contact.handshake
        for answer in handshake.received(frame):
            self._send(contact.conn, answer)
        if handshake.state == "refused":
            assert handshake.refusal is not None
            self._turned_away(contact, handshake.refusal, handshake.refused_by_us, now)
        elif handshake.state == "done":
            contact.adopting = True
            contact.deadline = now + self._options.adopt_s + self._options.name_check_s
            self._dialer.reached(contact.target, contact.name)
            self._meet(contact, now)

    def _turned_away(self, contact: Contact, refusal: Refusal, by_us: bool, now: float) -> None:
        """End a connection that was refused, by either side; only proven peers can do more than that."""
        if refusal.code == "self":
            self._dialer.itself(contact.target)
        else:
            hello = contact.handshake.peer
            who = _words(hello.name) if hello is not None else contact.target
            event = "peer_refused" if by_us else "refused_by_peer"
            key = f"{who} {refusal.code}"
            self._notice("warning", event, key, now, peer=who, code=refusal.code, reason=_words(refusal.reason))
        self._drop(contact, refusal.code, now)

    def _break(self, contact: Contact, error: ProtocolError, now: float) -> None:
        hello = contact.handshake.peer
        who = _words(hello.name) if hello is not None else contact.target
        fields = {"conn": contact.conn, "peer": who, "state": contact.state, "reason": _words(error.reason)}
        self._notice("warning", "protocol_error", who, now, **fields)
        self._drop(contact, f"protocol error: {error.reason}", now)

    def _drop(self, contact: Contact, reason: str, now: float) -> None:
        self._out.append(Close(contact.conn, reason))
        self._gone(contact, reason, now)

    def _gone(self, contact: Contact, reason: str, now: float) -> None:
        """Take a connection out of everything."""
        del self._contacts[contact.conn]
        self._wake = None
        if contact.target and contact.pulse is None:
            self._dialer.failed(contact.target, now)
        pair = self._pairs.get(contact.name) if contact.adopting else None
        if pair is None:
            return
        pair.release(contact.conn)
        if contact.pulse is not None:
            self._down(contact, pair, reason, now)
        if pair.check is not None and pair.check.incumbent == contact.conn:
            self._judge(pair, now)
        elif pair.node is None:
            del self._pairs[contact.name]

    # --- who may have a session ---------------------------------------------------------------------

    def _meet(self, contact: Contact, now: float) -> None:
        """Go on with a proven peer, as far as it can be done now."""
        hello = contact.handshake.peer
        assert hello is not None
        if hello.name == self.me.name:
            self._meet_namesake(contact, hello, now)
            return
        if self._draining:
            self._refuse(contact, Refusal("leaving", "this node is leaving the mesh"), now)
            return
        pair = self._pairs.setdefault(hello.name, Pair(self.me, hello.name))
        if pair.check is not None and contact.conn in pair.check.waiting:
            return
        if pair.conn is not None and not pair.knows(hello):
            self._challenge(contact, pair, now)
        else:
            self._settle(contact, pair, hello, now)

    def _meet_namesake(self, contact: Contact, hello: Hello, now: float) -> None:
        """Judge between us and another live node of our name.

        Whoever is linked was here first; if nobody is, whoever started first. The other waits to be told, and
        takes it from there (:meth:`_refused`).
        """
        self._notice("error", "name_in_use", hello.address, now, address=hello.address, ours=self._options.address)
        if self.sessions() or (self.me.epoch, self._run) < (hello.epoch, hello.run):
            reason = "this is a live node of that name"
            self._refuse(contact, Refusal("name-in-use", reason, self.me.epoch, self._options.address), now)

    def _challenge(self, contact: Contact, pair: Pair, now: float) -> None:
        """Let a newcomer wait, and ask the live bearer of its name for a sign of life."""
        assert pair.conn is not None
        if pair.check is None:
            incumbent = self._contacts[pair.conn]
            pair.check = incumbent.check = NameCheck(pair.conn, now + self._options.name_check_s)
            if incumbent.pulse is not None:
                self._send(incumbent.conn, Ping(_NAME_CHECK))
        pair.check.waiting.append(contact.conn)
        self._wake = None

    def _judge(self, pair: Pair, now: float) -> None:
        """End the wait: the incumbent answered, or it is gone, or it was silent and ends now."""
        check, pair.check = pair.check, None
        assert check is not None
        incumbent = self._contacts.get(check.incumbent)
        if incumbent is not None:
            incumbent.check = None
            if not check.heard:
                self._drop(incumbent, "silence", now)
        for conn in check.waiting:
            contact = self._contacts.get(conn)
            if contact is None:
                continue
            hello = contact.handshake.peer
            assert hello is not None
            if pair.conn is None or pair.knows(hello):
                self._settle(contact, pair, hello, now)
            else:
                self._refuse_name(contact, pair, now)

    def _refuse_name(self, contact: Contact, pair: Pair, now: float) -> None:
        assert pair.node is not None
        fields = {"name": contact.name, "address": contact.handshake.peer.address, "incumbent": pair.address}  # type: ignore[union-attr]
        self._notice("error", "name_in_use", contact.name, now, **fields)
        reason = f"a live node of that name is at {pair.address}"
        self._refuse(contact, Refusal("name-in-use", reason, pair.node.epoch, pair.address), now)

    def _settle(self, contact: Contact, pair: Pair, hello: Hello, now: float) -> None:
        """Offer the session, or accept it, or refuse it."""
        self._wake = None
        if pair.outdates(hello):
            assert pair.node is not None
            known = pair.node.epoch
            reason = f"epoch {known} of that name is known here, and {hello.epoch} is over"
            self._refuse(contact, Refusal("stale-epoch", reason, known), now)
            return
        if pair.conn is None and sum(p.conn is not None for p in self._pairs.values()) >= self._options.peers_max:
            self._refuse(contact, Refusal("full", f"{self._options.peers_max} peers are the most"), now)
            return
        if not pair.knows(hello):
            pair.become(hello)
        if pair.decides:
            self._offer(contact, pair, now)
        elif contact.offer is not None:
            self._accept(contact, pair, contact.offer, now)

    def _offer(self, contact: Contact, pair: Pair, now: float) -> None:
        answer, replaced = pair.decide(contact.conn, contact.handshake.facts)
        if replaced is not None:
            self._drop(self._contacts[replaced], "replaced", now)
        self._send(contact.conn, answer)
        if isinstance(answer, Redundant):
            self._drop(contact, "redundant", now)
        else:
            contact.deadline = now + self._options.adopt_s

    def _accept(self, contact: Contact, pair: Pair, offer: Adopt, now: float) -> None:
        if pair.passed(offer):
            self._drop(contact, "passed", now)
            return
        replaced = pair.accept(contact.conn, offer)
        if replaced is not None:
            self._drop(self._contacts[replaced], "replaced", now)
        self._send(contact.conn, AdoptAck(offer.g))
        self._up(contact, offer.g, now)

    def _refuse(self, contact: Contact, refusal: Refusal, now: float) -> None:
        self._send(contact.conn, refusal)
        self._turned_away(contact, refusal, True, now)

    def _refused(self, contact: Contact, refusal: Refusal, now: float) -> None:
        """Take a proven peer's refusal, and see whether this node can stay.

        A name that is taken ends a node that has no session. One that has some stays, unless the other is the
        later run: that one will be believed wherever both are seen.
        """
        known = refusal.known_epoch
        if refusal.code == "stale-epoch" and known > self.me.epoch:
            self._fail(StaleEpoch(self.me.name, self.me.epoch, known))
        elif refusal.code == "name-in-use" and (known > self.me.epoch or not self.sessions()):
            self._fail(NameInUse(self.me.name, _words(refusal.address)))
        self._turned_away(contact, refusal, False, now)

    def _fail(self, error: NameInUse | StaleEpoch) -> None:
        if not self._failed:
            self._failed = True
            self._out.append(Failed(error))

    # --- sessions -----------------------------------------------------------------------------------

    def _up(self, contact: Contact, g: int, now: float) -> None:
        node, hello = contact.handshake.node, contact.handshake.peer
        assert hello is not None
        contact.establish(Pulse(self._options, now), g, now)
        pair = self._pairs[node.name]
        pair.address, pair.free_at = hello.address, math.inf
        self.membership.linked(node, hello.address)
        self._dialer.linked(node.name, node.epoch, hello.address, now)
        self._out.append(SessionUp(contact.conn, node, hello.address, g))
        for frame in self._registry.session_up(node, hello.run):
            self._send(contact.conn, frame)
        self._news()

    def _down(self, contact: Contact, pair: Pair, reason: str, now: float) -> None:
        removed = self._registry.session_down(contact.name, reason)
        pair.free_at = now + self._options.replica_keep_s
        self.membership.unlinked(contact.name)
        self._dialer.unlinked(contact.name, now)
        self._out.append(SessionDown(contact.conn, contact.handshake.node, reason, removed))
        self._news()

    def _news(self) -> None:
        """Let the next heartbeats, which tell whom we are linked with, go out early."""
        self._wake = None
        for contact in self._sessions():
            contact.pulse.hasten()  # type: ignore[union-attr]

    def _answered(self, contact: Contact, pong: Pong, now: float) -> None:
        assert contact.pulse is not None
        contact.pulse.answered(pong.id, now)
        if pong.id == _NAME_CHECK and contact.check is not None:
            self._judge(self._pairs[contact.name], now)

    def _beat(self, contact: Contact, pulse: Pulse, now: float) -> None:
        ident, echo = pulse.beat(now)
        peers = [Peer(view.peer.name, view.peer.epoch, view.address) for view in self.sessions().values()]
        peers.sort(key=lambda peer: peer.name)
        positions = self._registry.positions(contact.name)
        self._send(contact.conn, Heartbeat(ident, echo, contact.g, positions, peers))
        probe = pulse.probe(now)
        if probe is not None:
            self._send(contact.conn, Ping(probe))

    def _beaten(self, contact: Contact, beat: Heartbeat, now: float) -> None:
        assert contact.pulse is not None
        if beat.g != contact.g:
            raise ProtocolError("a heartbeat of another session")
        if not contact.pulse.received(beat, now):
            return
        for peer in beat.peers:
            if peer.name != self.me.name:
                self._dialer.learn(peer.name, peer.epoch, peer.address, now)
        self._wake = None
        self._replicate(contact, beat)

    def _replicate(self, contact: Contact, frame: RegistryFrame) -> None:
        node = contact.handshake.node
        if isinstance(frame, SnapBegin | SnapChunk | SnapEnd | Range) and frame.epoch != node.epoch:
            raise ProtocolError("a frame in the name of another node")
        answers = self._registry.receive(node, frame)
        last = {answer.scope: answer for answer in answers if isinstance(answer, Ack)}
        for answer in answers:
            # Of several acknowledgements of one log only the last says anything.
            if not isinstance(answer, Ack) or last[answer.scope] is answer:
                self._send(contact.conn, answer)
        if isinstance(frame, Sync):
            self._pump(contact)

    def _pump(self, contact: Contact) -> bool:
        """Put the next registry frames for a peer into its lane; returns whether there were any."""
        frames = self._registry.pump(contact.name, self._options.pump_entries)
        for frame in frames:
            self._send(contact.conn, frame)
        contact.flowing = bool(frames) and self._registry.lag(contact.name) > 0
        return bool(frames)

    # --- time ---------------------------------------------------------------------------------------

    def _tick_contact(self, contact: Contact, now: float) -> None:
        pulse = contact.pulse
        if pulse is None:
            if contact.deadline <= now:
                self._drop(contact, f"no progress in state {contact.state!r}", now)
            return
        verdict = pulse.verdict(now)
        if verdict is not None:
            self._drop(contact, verdict, now)
        elif pulse.beat_at <= now:
            self._beat(contact, pulse, now)
            self._wake = None

    def _tick_pair(self, name: str, pair: Pair, now: float) -> None:
        if pair.check is not None and pair.check.deadline <= now:
            self._judge(pair, now)
        if pair.free_at <= now:
            pair.free_at, self._wake = math.inf, None
            self._registry.free(name)

    def _dial(self, now: float) -> None:
        for target in self._dialer.due(now):
            self._out.append(Dial(target.key, target.address, self._options.connect_s))
        self._wake = None

    def _forget(self, name: str) -> None:
        self.membership.forget(name)
        pair = self._pairs.get(name)
        if pair is not None and pair.conn is None:
            del self._pairs[name]

    # --- effects ------------------------------------------------------------------------------------

    def _sessions(self) -> list[Contact]:
        return [contact for contact in self._contacts.values() if contact.pulse is not None]

    def _send(self, conn: int, frame: LinkFrame) -> None:
        self._out.append(Send(conn, frame))

    def _notice(self, level: Level, event: str, key: str, now: float, **fields: object) -> None:
        notice = self._notices.take(level, event, key, now, **fields)
        if notice is not None:
            self._out.append(notice)

    def _take(self) -> list[Effect]:
        out, self._out = self._out, []
        return out


def _words(text: str) -> str:
    """Return a stranger's words in a form that is safe to log."""
    return ascii(text[:_REASON_MAX])[1:-1]
