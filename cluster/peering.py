"""The session core of a node: events of its connections in, effects out.

This class composes what the neighbouring modules decide, each about its own matter: :mod:`.handshake` (is this a
node of ours?), :mod:`.admission` (may it have a session, and on which connection?), :mod:`.sessions` (is it alive,
and what groups are there?), :mod:`.dialing` (whom to call, and when?), :mod:`.membership` (who is there?). A
connection goes through

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

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .admission import Admission
from .contact import Contact, Session
from .dialing import Attempt
from .discovery import SeedState
from .effects import Effect, SeedChanged
from .errors import ProtocolError, StaleEpoch
from .following import Following
from .frames import (
    LINK_PROTO,
    Ack,
    Adopt,
    AdoptAck,
    Drain,
    Heartbeat,
    Hello,
    LinkFrame,
    Ping,
    Pong,
    Range,
    Redundant,
    Refusal,
    Serves,
    SnapBegin,
    SnapChunk,
    SnapEnd,
    Sync,
)
from .handshake import Handshake
from .identity import NodeId
from .ledger import Ledger, TurnedAway, safe_words
from .membership import Member, MemberChanged, Membership
from .options import PeeringOptions
from .registry import Registry
from .sessions import Sessions

if TYPE_CHECKING:
    from random import Random

__all__ = ["Peering"]


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
        self._keys = tuple(keys)
        self._nonce = nonce
        self._ledger = Ledger(me, run, options, rng)
        self.address = options.address
        self.membership: Membership = self._ledger.membership
        """Who is in the mesh as far as we know, and its changes."""
        self._sessions = Sessions(self._ledger, registry)
        self._admission = Admission(self._ledger, self._sessions)
        self._following = Following(self._ledger, self._sessions, self._admission)

    def start(self, now: float) -> list[Effect]:
        """Begin: dial the seeds, and look up those that are names."""
        self._ledger.dial(now)
        return self._ledger.take()

    def dialed(self, conn: int, target: str, now: float) -> list[Effect]:
        """Note that a dial made connection ``conn``, a number that was never used before."""
        contact = self._open(conn, target, now)
        self._ledger.send(contact, *contact.handshake.open())
        return self._ledger.take()

    def accepted(self, conn: int, now: float) -> list[Effect]:
        """Note that somebody connected."""
        self._open(conn, "", now)
        return self._ledger.take()

    def dial_failed(self, target: str, code: str, reason: str, now: float) -> list[Effect]:
        """Note that a dial failed, and why (:class:`.dialing.Attempt`)."""
        ledger = self._ledger
        ledger.dialer.failed(target, now, code, reason)
        ledger.wake = None
        ledger.notice("debug", "dial_failed", target, now, target=target, reason=reason)
        return ledger.take()

    def resolved(self, seed: str, addresses: Sequence[str], failure: str, now: float) -> list[Effect]:
        """Note what came of a lookup: the addresses that a seed stands for, or why there are none."""
        ledger = self._ledger
        news = ledger.discovery.answered(seed, addresses, failure, now)
        ledger.wake = None
        if news is not None:
            ledger.dialer.stand_for(seed, news.addresses, now)
            ledger.out.append(SeedChanged(seed, news.addresses, failure))
            self._ledger.dial(now)
        return ledger.take()

    def closed(self, conn: int, reason: str, now: float) -> list[Effect]:
        """Note that a connection ended by itself."""
        if (contact := self._ledger.contacts.get(conn)) is not None:
            self._admission.gone(contact, reason, now)
        return self._ledger.take()

    def broken(self, conn: int, error: ProtocolError, now: float) -> list[Effect]:
        """Note that the caller could not read what came: the connection closes."""
        if (contact := self._ledger.contacts.get(conn)) is not None:
            self._break(contact, error, now)
        return self._ledger.take()

    def crowded_out(self, conn: int, now: float) -> list[Effect]:
        """Note that a connection which has not proved itself is to make room for others."""
        if (contact := self._ledger.contacts.get(conn)) is not None:
            self._admission.cut(contact, "crowded", "others wait for its place", now)
        return self._ledger.take()

    def heard(self, conn: int, now: float) -> None:
        """Note that bytes came, of whatever kind."""
        contact = self._ledger.contacts.get(conn)
        if contact is None:
            return
        if contact.pulse is not None:
            contact.pulse.hear(now)
        if contact.check is not None:
            contact.check.heard = True

    def received(self, conn: int, kind: int, frame: LinkFrame, now: float) -> list[Effect]:
        """Take a decoded frame of type ``kind``. One of a connection that was closed already is only counted."""
        self.heard(conn, now)
        contact = self._ledger.contacts.get(conn)
        if contact is None:
            self.late(conn, 1)
            return []
        try:
            contact.admit(kind, self._ledger.me.name)
            self._dispatch(contact, frame, now)
        except ProtocolError as error:
            self._break(contact, error, now)
        return self._ledger.take()

    def late(self, conn: int, frames: int) -> None:
        """Note that so many frames came that were not looked at, because their connection had been closed."""
        if conn not in self._ledger.contacts:
            self._ledger.fenced += frames

    def pump(self, conn: int, now: float) -> list[Effect]:
        """Note that what was sent on this session is written, and there is room for more of the registry."""
        contact = self._ledger.contacts.get(conn)
        if contact is not None and contact.pulse is not None:
            self._sessions.pump(contact, now)
        return self._ledger.take()

    def wrote(self, conn: int, now: float) -> bool:
        """Note that data was written on a session; returns whether that changes when :meth:`tick` is wanted."""
        contact, ledger = self._ledger.contacts.get(conn), self._ledger
        if contact is None or contact.pulse is None or not contact.pulse.wait(now, ledger.options.ask_s):
            return False
        ledger.wake = None
        return True

    def changed(self, now: float) -> list[Effect]:
        """Note that our own members changed."""
        self._sessions.changed(now)
        return self._ledger.take()

    def gossiped(self, change: MemberChanged, now: float) -> list[Effect]:
        """Note what the nodes say of a member among themselves: who is dead or gone is dialled no more, and freed."""
        self._following.gossiped(change, now)
        self._ledger.dial(now)
        return self._ledger.take()

    def doubted(self, name: str, now: float) -> list[Effect]:
        """Note that a member did not answer over another way: see whether its session lives."""
        self._following.doubted(name, now)
        return self._ledger.take()

    def reseed(self, seeds: Sequence[str], now: float) -> list[Effect]:
        """Take other seeds. Sessions stand, whatever led to them."""
        self._ledger.reseed(seeds, now)
        return self._ledger.take()

    def drain(self, reason: str, now: float) -> list[Effect]:
        """Say goodbye: every peer is told, our members leave, and nobody is dialled or let in any more."""
        self._ledger.draining = True
        self._ledger.dialer.stop()
        self._ledger.discovery.stop()
        self._sessions.drain(reason, now)
        self._ledger.wake = None
        return self._ledger.take()

    def tick(self, now: float) -> list[Effect]:
        """Do what has come due."""
        ledger = self._ledger
        late = now - ledger.promised()
        if late > ledger.options.late_s:
            ledger.excuse(late)
        ledger.wake = None
        for contact in tuple(ledger.contacts.values()):
            if contact.conn in ledger.contacts:
                self._admission.tick(contact, now)
        for pair in tuple(ledger.pairs.values()):
            if pair.check is not None and pair.check.deadline <= now:
                self._admission.judge(pair, now)
        self._ledger.dial(now)
        return ledger.take()

    # --- reads --------------------------------------------------------------------------------------

    def next_tick(self) -> float:
        """Return when :meth:`tick` is wanted; asking often costs nothing."""
        return self._ledger.next_due()

    def state(self, conn: int) -> str:
        """Return where a connection stands: a state of the table of frames, or ``closed``."""
        contact = self._ledger.contacts.get(conn)
        return contact.state if contact is not None else "closed"

    def sessions(self) -> dict[str, Session]:
        """Return the sessions that stand, by the peer's name."""
        return {contact.name: contact.view() for contact in self._ledger.linked()}

    @property
    def fenced(self) -> int:
        """How many frames came on a connection that was closed or replaced before: none of them had any effect."""
        return self._ledger.fenced

    @property
    def refusals(self) -> Mapping[str, int]:
        """Connections that this node refused or cut off, by reason."""
        return self._ledger.refusals

    def ends_with(self, error: Exception) -> bool:
        """Whether what the control links fail with ends us: that we leave may come back to them before they say so."""
        return not (self._ledger.draining and isinstance(error, StaleEpoch))

    def members(self) -> tuple[Member, ...]:
        """Return who is in the mesh as far as we know, this node included."""
        return self._ledger.membership.members()

    def seeds(self) -> tuple[SeedState, ...]:
        """Return what is known of each seed."""
        return self._ledger.discovery.states()

    def attempts(self) -> tuple[Attempt, ...]:
        """Return whom this node dials, and how the last dial of each ended."""
        return self._ledger.dialer.attempts()

    def turned_away(self) -> tuple[TurnedAway, ...]:
        """Return the last nodes that called this one and got no session, the latest last."""
        return self._ledger.callers()

    def missing(self) -> tuple[tuple[str, str], ...]:
        """Return the links that should be there and are not, as far as we and our peers see: (from, to)."""
        return self._sessions.missing()

    def seeded(self) -> tuple[str, ...]:
        """Return all addresses that seeds stand for."""
        return tuple(address for seed in self.seeds() for address in seed.addresses)

    def _open(self, conn: int, target: str, now: float) -> Contact:
        ledger = self._ledger
        assert conn not in ledger.contacts
        options, me = ledger.options, ledger.me
        hello = Hello(*LINK_PROTO, options.cluster, me.name, me.epoch, ledger.run, self._nonce(), options.address)
        handshake = Handshake(hello, self._keys, "dialler" if target else "listener", ledger.facts)
        contact = ledger.contacts[conn] = Contact(conn, handshake, target, now + options.handshake_s)
        ledger.wake = None
        return contact

    def _dispatch(self, contact: Contact, frame: LinkFrame, now: float) -> None:
        match frame:
            case _ if not contact.adopting:
                self._shake_hands(contact, frame, now)
            case Refusal():
                self._admission.refused(contact, frame, now)
            case Adopt():
                contact.offer = frame
                self._admission.meet(contact, now)
            case AdoptAck():
                self._ledger.pairs[contact.name].acknowledge(contact.conn, frame)
                self._sessions.up(contact, frame.g, now)
            case Redundant():
                self._admission.drop(contact, "redundant", now)
            case Ping():
                self._ledger.send(contact, Pong(frame.id))
            case Pong():
                self._admission.answered(contact, frame, now)
            case Heartbeat():
                self._sessions.beaten(contact, frame, now)
            case Drain():
                self._sessions.drained(contact, frame, now)
            case Serves():
                self._sessions.serves(contact, frame)
            case Sync() | SnapBegin() | SnapChunk() | SnapEnd() | Range() | Ack():
                self._sessions.replicate(contact, frame, now)

    def _shake_hands(self, contact: Contact, frame: LinkFrame, now: float) -> None:
        handshake, options = contact.handshake, self._ledger.options
        self._ledger.send(contact, *handshake.received(frame))
        if handshake.state == "refused":
            assert handshake.refusal is not None
            self._admission.turned_away(contact, handshake.refusal, handshake.refused_by_us, now)
        elif handshake.state == "done":
            contact.adopting = True
            contact.deadline = now + options.adopt_s + options.name_check_s
            self._ledger.dialer.reached(contact.target, contact.name)
            self._admission.meet(contact, now)

    def _break(self, contact: Contact, error: ProtocolError, now: float) -> None:
        fields = {"conn": contact.conn, "peer": contact.who, "state": contact.state, "reason": error.reason}
        self._ledger.notice("warning", "protocol_error", contact.key, now, **fields)
        self._admission.cut(contact, "protocol", f"protocol error: {safe_words(error.reason)}", now)
