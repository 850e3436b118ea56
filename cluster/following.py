"""Sessions follow what the nodes say of each other: who is dead or gone has none, and is not dialled.

The other way round nothing is concluded: that a session ended is not a death.
"""

from __future__ import annotations

from .admission import Admission
from .ledger import Ledger
from .membership import GONE, Member, MemberChanged
from .sessions import Sessions

__all__ = ["Following"]


class Following:
    """Takes the words of gossip to the sessions, the dialer and the registry of one node."""

    def __init__(self, ledger: Ledger, sessions: Sessions, admission: Admission) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._admission = admission

    def gossiped(self, change: MemberChanged, now: float) -> None:
        """Take one change of the view."""
        ledger = self._ledger
        ledger.membership.gossiped(change)
        if change.after is None:
            assert change.before is not None, "something changed"
            name = change.before.name
            ledger.dialer.drop(name)
            self._sessions.free(name)
            if name in ledger.pairs and ledger.pairs[name].conn is None:
                del ledger.pairs[name]
        elif change.after.name != ledger.me.name:
            self._follow(change.after, now)
        ledger.wake = None

    def doubted(self, name: str, now: float) -> None:
        """Look at the session with a member that did not answer over another way."""
        contact = self._ledger.session_with(name)
        if contact is not None:
            contact.live.wait(now, 0.0)
            self._ledger.wake = None

    def _follow(self, member: Member, now: float) -> None:
        """Let the session with a member, and what is held of it, end as its run does."""
        ledger, contact = self._ledger, self._ledger.session_with(member.name)
        if contact is not None and contact.handshake.node.epoch > member.epoch:
            return  # news of a run that is over, by way of somebody slower: its successor has been met already
        if contact is not None and contact.handshake.node.epoch < member.epoch:
            self._admission.drop(contact, "a later run is known", now)
        elif contact is not None and member.state == "dead":
            self._admission.drop(contact, "dead", now)
        if member.state in GONE:
            ledger.dialer.rest(member.name, member.epoch, left=member.state == "left")
            self._sessions.free(member.name)
        else:
            ledger.dialer.back(member.name, member.epoch, member.address, now)
