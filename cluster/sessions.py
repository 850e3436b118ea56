"""The sessions that stand: signs of life, and the registry that travels on them.

Everything here happens on a connection that both sides agreed on; how they came to agree is :mod:`.admission`.
"""

from __future__ import annotations

from .contact import Contact
from .effects import PeerLeaves, SessionDown, SessionUp
from .errors import ProtocolError
from .frames import Ack, Drain, Heartbeat, Peer, Ping, Range, Serves, SnapBegin, SnapChunk, SnapEnd, Sync
from .handshake import check_form
from .heartbeat import Pulse
from .ledger import Ledger
from .membership import GONE
from .registry import Registry
from .replication import RegistryFrame
from .session import Pair

__all__ = ["Sessions"]


class Sessions:
    """Opens, feeds and ends the sessions of one node."""

    def __init__(self, ledger: Ledger, registry: Registry) -> None:
        self._ledger = ledger
        self._registry = registry
        self._peers: list[Peer] | None = None
        """What heartbeats say of whom we are linked with, until that changes."""

    def up(self, contact: Contact, g: int, now: float) -> None:
        """Make a connection a session: from here on its peer's members can be seen."""
        ledger, node, hello = self._ledger, contact.handshake.node, contact.hello
        contact.establish(Pulse(ledger.options, ledger.rng, now), g, now)
        contact.live.wait(now, 0.0)
        pair = ledger.pairs[node.name]
        pair.address = hello.address
        ledger.membership.linked(node, hello.address)
        ledger.dialer.linked(node.name, node.epoch, hello.address, now)
        ledger.out.append(SessionUp(contact.conn, node, hello.address, g))
        ledger.send(contact, *self._registry.session_up(node, hello.run))
        if ledger.options.clients:
            ledger.send(contact, Serves(ledger.options.clients))
        self._news(now)

    def down(self, contact: Contact, pair: Pair, reason: str, now: float) -> None:
        """End a session: its peer's members are out of sight from here on."""
        ledger = self._ledger
        removed = self._registry.session_down(contact.name, reason)
        ledger.membership.unlinked(contact.name)
        ledger.dialer.unlinked(contact.name, now)
        ledger.discovery.lost(now)
        ledger.out.append(SessionDown(contact.conn, contact.handshake.node, reason, removed))
        member = ledger.membership.get(contact.name)
        if member is None or member.state in GONE or member.epoch != contact.handshake.node.epoch:
            self.free(contact.name)
        if member is not None and member.state in GONE:  # gossip has said so before, and does not say it again
            ledger.dialer.rest(member.name, member.epoch, left=member.state == "left")
        self._news(now)

    def free(self, name: str) -> None:
        """Drop what is held of a peer that is gone, and has no session any more."""
        self._registry.free(name)

    def tick(self, contact: Contact, now: float) -> None:
        """Send the heartbeat and the ping that are due."""
        pulse = contact.live
        if pulse.beat_at <= now:
            pulse.wait(now, 0.0)
            self._beat(contact, now)
        if pulse.ask_at <= now:
            self._ask(contact, now)
        self._ledger.wake = None

    def _ask(self, contact: Contact, now: float) -> None:
        """Ask a peer for a sign of life, and tell it again how far it was fed if it has not confirmed that."""
        ident = contact.live.ask(now)
        if ident is not None:
            self._ledger.send(contact, Ping(ident))
        if self._registry.waits(contact.name):
            self._beat(contact, now)
            contact.live.wait(now, self._ledger.options.ask_s)

    def _beat(self, contact: Contact, now: float) -> None:
        ledger = self._ledger
        ident = contact.live.beat(now)
        if self._peers is None:
            views = sorted(other.view() for other in ledger.linked())
            self._peers = [Peer(view.peer.name, view.peer.epoch, view.address) for view in views]
        positions = self._registry.positions(contact.name)
        ledger.send(contact, Heartbeat(ident, contact.g, positions, self._peers))

    def beaten(self, contact: Contact, beat: Heartbeat, now: float) -> None:
        """Take a peer's heartbeat: it is linked with these, and it has sent us so much.

        Raises:
            ProtocolError: it is of another session, or names a node that cannot be.
        """
        if beat.g != contact.g:
            raise ProtocolError("a heartbeat of another session")
        known = contact.live.peers
        if not contact.live.received(beat):
            return
        for peer in beat.peers if contact.live.peers != known else ():
            check_form(peer.name, peer.address)
        self.replicate(contact, beat, now)

    def replicate(self, contact: Contact, frame: RegistryFrame, now: float) -> None:
        """Hand a frame to the registry and send what it answers.

        Raises:
            ProtocolError: the peer does not speak for itself, or the registry refuses it.
        """
        node = contact.handshake.node
        if isinstance(frame, SnapBegin | SnapChunk | SnapEnd | Range) and frame.epoch != node.epoch:
            raise ProtocolError("a frame in the name of another node")
        answers = self._registry.receive(node, frame)
        last = {answer.scope: answer for answer in answers if isinstance(answer, Ack)}
        for answer in answers:
            # Of several acknowledgements of one log only the last says anything.
            if not isinstance(answer, Ack) or last[answer.scope] is answer:
                self._ledger.send(contact, answer)
        if isinstance(frame, Sync):
            self.pump(contact, now)

    def pump(self, contact: Contact, now: float) -> bool:
        """Put the next registry frames for a peer into its lane; returns whether there is more."""
        registry, entries = self._registry, self._ledger.options.pump_entries
        while frames := registry.pump(contact.name, entries):
            self._ledger.send(contact, *frames)
            contact.live.wait(now, self._ledger.options.ask_s)
            self._ledger.wake = None
            if registry.lag(contact.name):
                break
            # What may still follow has no entries: the end of a snapshot, or the word that this was all.
        contact.flowing = registry.lag(contact.name) > 0
        return contact.flowing

    def changed(self, now: float) -> None:
        """Tell our own changes to the peers whose lanes have room; the others will ask."""
        for contact in self._ledger.linked():
            if not contact.flowing:
                self.pump(contact, now)

    def drain(self, reason: str, now: float) -> None:
        """Tell every peer that we leave, and that our members are gone."""
        self._registry.leave_all()
        for contact in self._ledger.linked():
            self._ledger.send(contact, Drain(reason))
            while self.pump(contact, now):
                pass  # all of it must be in the lane before the connection ends

    def drained(self, contact: Contact, drain: Drain, now: float) -> None:
        """Take a peer's goodbye."""
        self._ledger.dialer.rest(*contact.handshake.node, left=True)
        self._ledger.out.append(PeerLeaves(contact.handshake.node))
        self._ledger.notice("info", "peer_drains", contact.name, now, peer=contact.name, reason=drain.reason)

    def serves(self, contact: Contact, frame: Serves) -> None:
        """Take where a peer's clients connect.

        Raises:
            ProtocolError: that is no address.
        """
        check_form(contact.name, frame.clients)
        contact.clients = frame.clients

    def missing(self) -> tuple[tuple[str, str], ...]:
        """Return the links that should be there and are not: (from, to)."""
        linked = self._ledger.linked()
        told = {contact.name: contact.live.peers for contact in linked}
        seen = {name: {peer.name for peer in peers} for name, peers in told.items() if peers is not None}
        seen[self._ledger.me.name] = {contact.name for contact in linked}
        everyone = set(seen).union(*seen.values())
        return tuple((name, other) for name in sorted(seen) for other in sorted(everyone - seen[name] - {name}))

    def _news(self, now: float) -> None:
        """Let the next heartbeats, which tell whom we are linked with, go out early."""
        self._peers = self._ledger.wake = None
        for contact in self._ledger.linked():
            contact.live.hasten(now)
