"""Who may have a session: what happens between a proven identity and a session, and when either ends.

Three questions are asked of a peer, in this order. Is its name ours, or does it belong to another node that is
alive? Is it the latest run of its name? And which of our connections with it shall be the session (:mod:`.session`)?

A name belongs to whoever bears it and is alive. A newcomer that claims the name of a linked node waits while that
node is pinged: an answer, or any byte within the time, refuses the newcomer; its end, or silence, lets it in. So a
node that was restarted gets in at once when the end of its former run was seen, and after half a second when not.
"""

from __future__ import annotations

from .contact import Contact
from .effects import Close, Failed, Level
from .errors import NameInUse, StaleEpoch
from .frames import Adopt, AdoptAck, Hello, Ping, Pong, Redundant, Refusal
from .ledger import Ledger, safe_words
from .session import NameCheck, Pair
from .sessions import Sessions

__all__ = ["Admission"]

_NAME_CHECK = 0
"""The number of the ping that asks the bearer of a name for a sign of life; other pings have other numbers."""


class Admission:
    """Lets proven connections become sessions, and takes connections out of everything again."""

    def __init__(self, ledger: Ledger, sessions: Sessions) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._failed = False

    # --- ends ---------------------------------------------------------------------------------------

    def drop(self, contact: Contact, reason: str, now: float, detail: str = "") -> None:
        """Close a connection; ``detail`` says more of the reason."""
        self._ledger.out.append(Close(contact.conn, reason))
        self.gone(contact, reason, now, detail)

    def cut(self, contact: Contact, code: str, reason: str, now: float) -> None:
        """Cut off a peer, or a stranger, that is at fault."""
        self._ledger.refusals[code] += 1
        self.drop(contact, reason, now)

    def tick(self, contact: Contact, now: float) -> None:
        """See whether a connection gets on, and if it is a session, whether it lives."""
        if contact.pulse is None:
            if contact.deadline <= now:
                self.cut(contact, "handshake", f"no progress in state {contact.state!r}", now)
            return
        verdict = contact.pulse.verdict(now)
        if verdict is not None:
            self.drop(contact, verdict, now)
        else:
            self._sessions.tick(contact, now)

    def gone(self, contact: Contact, reason: str, now: float, detail: str = "") -> None:
        """Take a connection that is closed, or will be, out of everything."""
        ledger = self._ledger
        del ledger.contacts[contact.conn]
        ledger.wake = None
        if contact.target and contact.pulse is None:
            ledger.dialer.failed(contact.target, now, reason, detail)
        pair = ledger.pairs.get(contact.name) if contact.adopting else None
        if pair is None:
            return
        pair.release(contact.conn)
        if contact.pulse is not None:
            self._sessions.down(contact, pair, reason, now)
        if pair.check is not None and pair.check.incumbent == contact.conn:
            self.judge(pair, now)
        elif pair.node is None:
            del ledger.pairs[contact.name]

    def turned_away(self, contact: Contact, refusal: Refusal, by_us: bool, now: float) -> None:
        """End a connection that was refused, by us or by the other."""
        if refusal.code != "self":
            event = "peer_refused" if by_us else "refused_by_peer"
            if by_us:
                self._ledger.refusals[refusal.code] += 1
            fields = {"peer": contact.who, "code": refusal.code, "reason": refusal.reason}
            level: Level = "debug" if refusal.code == "leaving" else "warning"  # whoever leaves is not at fault
            self._ledger.notice(level, event, f"{refusal.code} {contact.key}", now, **fields)
            if not contact.target:
                address = contact.hello.address if contact.handshake.peer is not None else ""
                self._ledger.turned_away(contact.who, address, refusal.code, refusal.reason, now)
        self.drop(contact, safe_words(refusal.code), now, safe_words(refusal.reason))
        if refusal.code == "self":
            self._ledger.dialer.itself(contact.target, now)

    # --- names --------------------------------------------------------------------------------------

    def meet(self, contact: Contact, now: float) -> None:
        """Go on with a proven peer, as far as it can be done now."""
        ledger, hello = self._ledger, contact.hello
        if hello.name == ledger.me.name:
            self._meet_namesake(contact, hello, now)
            return
        if ledger.draining:
            self._refuse(contact, Refusal("leaving", "this node is leaving the mesh"), now)
            return
        pair = ledger.pairs.setdefault(hello.name, Pair(ledger.me, hello.name))
        if pair.check is not None and contact.conn in pair.check.waiting:
            return
        if pair.conn is not None and not pair.knows(hello):
            self._challenge(contact, pair, now)
        else:
            self._settle(contact, pair, now)

    def answered(self, contact: Contact, pong: Pong, now: float) -> None:
        """Take a peer's answer to a ping."""
        contact.live.answered(pong.id, now)
        if pong.id == _NAME_CHECK and contact.check is not None:
            self.judge(self._ledger.pairs[contact.name], now)

    def judge(self, pair: Pair, now: float) -> None:
        """End a newcomer's wait: the incumbent answered, or it is gone, or it was silent and ends now."""
        check, pair.check = pair.check, None
        assert check is not None
        incumbent = self._ledger.contacts.get(check.incumbent)
        if incumbent is not None:
            incumbent.check = None
            if not check.heard:
                self.drop(incumbent, "silence", now)
        for conn in check.waiting:
            contact = self._ledger.contacts.get(conn)
            if contact is None:
                continue
            if pair.conn is None or pair.knows(contact.hello):
                self._settle(contact, pair, now)
            else:
                self._refuse_name(contact, pair, now)

    def _meet_namesake(self, contact: Contact, hello: Hello, now: float) -> None:
        """Judge between us and another live node of our name.

        Whoever is linked was here first; if nobody is, whoever started first. It tells the other, and both wait
        for what the other has to say (:meth:`refused`): each knows only of itself whether it is linked.
        """
        ledger = self._ledger
        ours = ledger.options.address
        ledger.notice("error", "name_in_use", hello.address, now, name=hello.name, address=hello.address, ours=ours)
        if ledger.linked() or (ledger.me.epoch, ledger.run) < (hello.epoch, hello.run):
            reason = f"a live node of that name is at {ours}"
            ledger.send(contact, Refusal("name-in-use", reason, ledger.me.epoch, ours))

    def _challenge(self, contact: Contact, pair: Pair, now: float) -> None:
        """Let a newcomer wait, and ask the live bearer of its name for a sign of life."""
        assert pair.conn is not None
        if pair.check is None:
            incumbent = self._ledger.contacts[pair.conn]
            pair.check = incumbent.check = NameCheck(pair.conn, now + self._ledger.options.name_check_s)
            if incumbent.pulse is not None:
                self._ledger.send(incumbent, Ping(_NAME_CHECK))
        pair.check.waiting.append(contact.conn)
        self._ledger.wake = None

    def _refuse_name(self, contact: Contact, pair: Pair, now: float) -> None:
        assert pair.node is not None
        fields = {"name": contact.name, "address": contact.hello.address, "incumbent": pair.address}
        self._ledger.notice("error", "name_in_use", contact.name, now, **fields)
        reason = f"a live node of that name is at {pair.address}"
        self._refuse(contact, Refusal("name-in-use", reason, pair.node.epoch, pair.address), now)

    # --- sessions -----------------------------------------------------------------------------------

    def _settle(self, contact: Contact, pair: Pair, now: float) -> None:
        """Offer the session, or accept it, or refuse it."""
        ledger, hello = self._ledger, contact.hello
        ledger.wake = None
        member = ledger.membership.get(hello.name)
        known = max(pair.node.epoch if pair.node is not None else 0, member.epoch if member is not None else 0)
        if hello.epoch < known:
            reason = f"epoch {known} of that name is known here, and {hello.epoch} is over"
            self._refuse(contact, Refusal("stale-epoch", reason, known), now)
            return
        peers_max = ledger.options.peers_max
        if pair.conn is None and sum(other.conn is not None for other in ledger.pairs.values()) >= peers_max:
            self._refuse(contact, Refusal("full", f"{peers_max} peers are the most (limits.peers)"), now)
            return
        if not pair.knows(hello):
            pair.become(hello)
        if pair.decides:
            self._offer(contact, pair, now)
        elif contact.offer is not None:
            self._accept(contact, pair, contact.offer, now)

    def _offer(self, contact: Contact, pair: Pair, now: float) -> None:
        ledger = self._ledger
        answer, replaced = pair.decide(contact.conn, contact.handshake.facts)
        if replaced is not None:
            self.drop(ledger.contacts[replaced], "replaced", now)
        ledger.send(contact, answer)
        if isinstance(answer, Redundant):
            self.drop(contact, "redundant", now)
        else:
            contact.deadline = now + ledger.options.adopt_s

    def _accept(self, contact: Contact, pair: Pair, offer: Adopt, now: float) -> None:
        if pair.passed(offer):
            self.drop(contact, "passed", now)
            return
        replaced = pair.accept(contact.conn, offer)
        if replaced is not None:
            self.drop(self._ledger.contacts[replaced], "replaced", now)
        self._ledger.send(contact, AdoptAck(offer.g))
        self._sessions.up(contact, offer.g, now)

    # --- refusals -----------------------------------------------------------------------------------

    def refused(self, contact: Contact, refusal: Refusal, now: float) -> None:
        """Take a proven peer's refusal, and see whether this node can stay.

        A name that is taken ends a node that has no session. One that has some stays, unless the other is the
        later run: that one will be believed wherever both are seen.
        """
        me, known = self._ledger.me, refusal.known_epoch
        if refusal.code == "stale-epoch" and known > me.epoch:
            self._fail(StaleEpoch(me.name, me.epoch, known))
        elif refusal.code == "name-in-use" and (known > me.epoch or not self._ledger.linked()):
            self._fail(NameInUse(me.name, ascii(refusal.address)[1:-1]))
        self.turned_away(contact, refusal, False, now)

    def _refuse(self, contact: Contact, refusal: Refusal, now: float) -> None:
        self._ledger.send(contact, refusal)
        self.turned_away(contact, refusal, True, now)

    def _fail(self, error: NameInUse | StaleEpoch) -> None:
        if not self._failed:
            self._failed = True
            self._ledger.out.append(Failed(error))
