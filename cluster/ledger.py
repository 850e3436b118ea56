"""What the parts of the session core share: its connections, its agreements, and the effects on their way out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .contact import Contact
from .dialing import Dialer
from .discovery import Discovery
from .effects import Dial, Effect, Level, Resolve, Send
from .frames import Hello, LinkFrame
from .handshake import NO_FACTS, Facts
from .identity import NodeId
from .membership import MeshMembership
from .notices import Notices
from .options import PeeringOptions
from .session import Pair

if TYPE_CHECKING:
    from random import Random

__all__ = ["Ledger", "TurnedAway", "safe_words"]

_REASON_MAX = 200
"""How much of a stranger's words goes into a log line."""

_TURNED_AWAY_MAX = 32
"""How many callers that got no session are remembered; whoever connects can bear any name."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A node that called us and got no session, by what it said of itself, and why: the refusal's code and reason."""

    peer: str
    address: str
    code: str
    reason: str
    at: float


class Ledger:
    """The state of one node's session core.

    ``contacts`` are the connections by number, ``pairs`` the agreements by the peer's name, ``out`` the effects
    of the input that is being worked on, and ``wake`` when a tick is wanted (None: to be found out again).
    ``fenced`` counts the frames that came on a connection which was closed or replaced before, and ``refusals`` the
    connections that this node refused or cut off, by reason.
    """

    def __init__(self, me: NodeId, run: bytes, options: PeeringOptions, rng: Random) -> None:
        self.me = me
        self.run = run
        self.options = options
        self.rng = rng
        self.membership = MeshMembership(me, options.address)
        self.dialer = Dialer(me.name, options, rng)
        self.discovery = Discovery(options, rng, self._wanted)
        for seed in self.discovery.states():
            self.dialer.stand_for(seed.seed, seed.addresses, -math.inf)
        self.contacts: dict[int, Contact] = {}
        self.pairs: dict[str, Pair] = {}
        self.out: list[Effect] = []
        self.wake: float | None = None
        self.draining = False
        self.fenced = 0
        self.refusals: Counter[str] = Counter()
        self._turned_away: dict[tuple[str, str], TurnedAway] = {}
        self._notices = Notices()

    def send(self, contact: Contact, *frames: LinkFrame) -> None:
        """Put frames at the end of a connection's control lane."""
        self.out.extend(Send(contact.conn, frame) for frame in frames)

    def notice(self, level: Level, event: str, key: str, now: float, **fields: object) -> None:
        """Tell the log, unless the same was told just now; strangers' words are made safe to print."""
        safe = {name: safe_words(value) if isinstance(value, str) else value for name, value in fields.items()}
        notice = self._notices.take(level, event, key[:_REASON_MAX], now, **safe)
        if notice is not None:
            self.out.append(notice)

    def turned_away(self, peer: str, address: str, code: str, reason: str, now: float) -> None:
        """Remember a caller that got no session."""
        caller = TurnedAway(safe_words(peer), safe_words(address), safe_words(code), safe_words(reason), now)
        self._turned_away.pop((caller.peer, caller.code), None)
        self._turned_away[caller.peer, caller.code] = caller
        if len(self._turned_away) > _TURNED_AWAY_MAX:
            del self._turned_away[next(iter(self._turned_away))]

    def callers(self) -> tuple[TurnedAway, ...]:
        """Return the callers that got no session, the latest last; of those linked now only namesakes of them."""
        linked = {contact.name for contact in self.linked()}
        callers = self._turned_away.values()
        return tuple(caller for caller in callers if caller.peer not in linked or caller.code == "name-in-use")

    def dial(self, now: float) -> None:
        """Look up and dial whatever has come due."""
        self.out.extend(Resolve(seed, self.options.resolve_s) for seed in self.discovery.due(now))
        for target in self.dialer.due(now):
            self.out.append(Dial(target.key, target.address, self.options.connect_s))
        self.wake = None

    def reseed(self, seeds: Iterable[str], now: float) -> None:
        """Look for nodes behind these seeds from now on; peers that others led to are kept."""
        if self.draining:
            return
        gone = self.discovery.reseed(seeds)
        for state in self.discovery.states():
            self.dialer.stand_for(state.seed, state.addresses, now)
        for seed in gone:
            self.dialer.stand_for(seed, (), now)
        self.dial(now)

    def take(self) -> list[Effect]:
        """Return the effects so far, once."""
        out, self.out = self.out, []
        return out

    def next_due(self) -> float:
        """Return when a tick is wanted."""
        if self.wake is None:
            self.wake = min(self.dialer.next_due(), self.discovery.next_due(), self.promised())
        return self.wake

    def promised(self) -> float:
        """Return the next deadline or heartbeat: they lie ahead when they are set, a dial that rested does not."""
        contacts = (contact.next_due() for contact in self.contacts.values())
        pairs = (pair.next_due() for pair in self.pairs.values())
        return min((*contacts, *pairs), default=math.inf)

    def excuse(self, lateness: float) -> None:
        """Blame nobody for the time for which this node was stopped: what was sent meanwhile waits to be read."""
        for contact in self.contacts.values():
            contact.excuse(lateness)
        for pair in self.pairs.values():
            if pair.check is not None:
                pair.check.deadline += lateness

    def _wanted(self, seed: str) -> bool:
        """Whether to look a seed up again: somebody is missing, or its last answer leads to nobody we know."""
        size = 1 + len(self.linked())
        return size < max(self.options.expected, 2) or not self.dialer.settled(seed)

    def facts(self, hello: Hello) -> Facts:
        """Return what is known of sessions with a peer, which has said this of itself."""
        pair = self.pairs.get(hello.name)
        return pair.facts(hello) if pair is not None else NO_FACTS

    def session_with(self, name: str) -> Contact | None:
        """Return the session with the peer of this name, if one stands."""
        pair = self.pairs.get(name)
        contact = self.contacts.get(pair.conn) if pair is not None and pair.conn is not None else None
        return contact if contact is not None and contact.pulse is not None else None

    def linked(self) -> list[Contact]:
        """Return the connections that are sessions."""
        return [contact for contact in self.contacts.values() if contact.pulse is not None]


def safe_words(words: str) -> str:
    """Return another's words as they can be printed and passed on, and not too many of them."""
    return ascii(words[:_REASON_MAX])[1:-1]
