"""What this node believes: records merged, suspicions begun, ended and carried out, accusations of itself refuted.

An accusation counts as a confirmation only if it is by somebody whose own probe or link failed. Two things stand
between a suspicion and a death, which only a mesh can do: whoever has a link to the member does not believe in its
death before it had time to object, and passes the accusation on to it; and the member refutes to everybody in one hop.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from ..swim_frames import INCARNATION_MAX, MemberRecord, RecordState, Rumour
from .board import Board
from .effects import Superseded
from .record import LIVE, in_state, weight
from .statistics import Outcome
from .suspicion import Suspicion, refutation_s, shortest

__all__ = ["Judge"]

_OUTCOMES: Final[dict[RecordState, Outcome]] = {
    RecordState.ALIVE: "refuted",
    RecordState.DEAD: "dead",
    RecordState.LEFT: "left",
}


class Judge:
    """The one place where records change."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._suspicions: dict[str, Suspicion] = {}
        self._refuted_at = -math.inf
        self._refute_at = math.inf
        """When the next refutation to everybody is due: those within a short while are one."""
        self._first: float | None = math.inf
        """The first deadline of all suspicions (None: to be found out again)."""

    # --- words of others ----------------------------------------------------------------------------

    def hear(self, rumour: Rumour, now: float, source: str = "") -> None:
        """Take a rumour that came from ``source``."""
        record, board = rumour.record, self._board
        held = board.roster.get(record.name)
        if record.name == board.name:
            self._about_us(record, source, now)
        elif held is None or (told := weight(record)) > (known := weight(held)):
            self._admit(rumour, held, now)
            if record.state is RecordState.SUSPECT and board.one_hop:
                # The accuser may be parted from it, and we not.
                board.tell(record.name, Rumour(record))
        elif told == known:
            self._confirm(rumour, now)
        elif source == record.name:
            # It tells of itself what was overtaken: it is to hear what we hold, and beats that if it lives.
            board.tell(source, Rumour(held))

    def merge(self, record: MemberRecord, age_s: float, now: float, source: str) -> None:
        """Take a record out of another's view: whom it holds for dead, we only suspect, so that partitions heal."""
        board = self._board
        held = board.roster.get(record.name)
        if record.state is RecordState.DEAD and held is not None and held.state in LIVE:
            record = in_state(record, RecordState.SUSPECT)
        if held is None and record.state not in LIVE and record.name != board.name:
            if age_s < board.options.forget_s:
                board.put(record, now, age_s)
            return
        self.hear(Rumour(record), now, source)

    def meet(self, record: MemberRecord, now: float) -> None:
        """Take a peer's word about itself, at first hand, when its link stands."""
        board, held = self._board, self._board.roster.get(record.name)
        if (held is None or weight(record) > weight(held)) and self._adopt(record, held, now):
            board.spread(Rumour(record), at_once=True)

    # --- our own findings ---------------------------------------------------------------------------

    def accuse(self, name: str, now: float) -> None:
        """Suspect a member whose probe, or link, failed from here."""
        board = self._board
        held = board.roster.get(name)
        if held is None or held.state not in LIVE or board.gone:
            return
        rumour = Rumour(in_state(held, RecordState.SUSPECT), board.name)
        if held.state is RecordState.SUSPECT:
            self._confirm(rumour, now)
            return
        if board.options.mesh:
            board.tell(name, rumour)
        self._admit(rumour, held, now)

    def confirm(self, name: str, silent_s: float, now: float) -> None:
        """Add our word to a suspicion, if there is one and nothing came from the member for so long."""
        if name in self._suspicions and not self._board.heard_since(name, now - silent_s):
            self.accuse(name, now)

    def convict(self, name: str, now: float) -> None:
        """Hold a member for dead, and tell everybody, itself included."""
        held = self._board.roster.get(name)
        if held is not None and held.state in LIVE:
            record = in_state(held, RecordState.DEAD)
            self._adopt(record, held, now)
            self._board.spread(Rumour(record), at_once=True)

    def suspects(self) -> list[str]:
        """Return who is under suspicion."""
        return list(self._suspicions)

    def unanswered(self, name: str) -> bool:
        """Whether a member was accused by us too, and nothing came from it since it is suspected."""
        suspicion, board = self._suspicions.get(name), self._board
        return (
            suspicion is not None
            and board.name in suspicion.accusers
            and not board.heard_since(name, suspicion.started)
        )

    def accusation(self, name: str) -> Rumour | None:
        """Return what a suspect is to be told of, in our own name only if we accused it ourselves."""
        suspicion = self._suspicions.get(name)
        if suspicion is None:
            return None
        by = self._board.name if self._board.name in suspicion.accusers else ""
        return Rumour(suspicion.record, by)

    # --- time ---------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Convict whose time is up, and send the refutation that had to wait."""
        if self.next_due() > now:
            return
        for name in [name for name, one in self._suspicions.items() if one.deadline <= now]:
            self._expire(name, self._suspicions[name], now)
        if now >= self._refute_at:
            self._broadcast_refutation(now)

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        if self._first is None:
            self._first = min((one.deadline for one in self._suspicions.values()), default=math.inf)
        return min(self._first, self._refute_at)

    def excuse(self, lateness: float) -> None:
        """Move all deadlines by the time for which we were stopped."""
        self._refute_at += lateness
        self._first = None
        for suspicion in self._suspicions.values():
            suspicion.extend(lateness)

    # --- parts --------------------------------------------------------------------------------------

    def _admit(self, rumour: Rumour, held: MemberRecord | None, now: float) -> None:
        """Take a record that beats what we hold."""
        record, board = rumour.record, self._board
        if record.state is RecordState.DEAD and held is not None and self._vetoed(record, held, now):
            self._doubt(record, held, now)
            return
        if self._adopt(record, held, now):
            board.spread(rumour)
            if record.state is RecordState.SUSPECT:
                self._suspect(rumour, now)

    def _adopt(self, record: MemberRecord, held: MemberRecord | None, now: float) -> bool:
        """Hold this record from now on."""
        if not self._board.put(record, now):
            return False
        if self._suspicions.pop(record.name, None) is not None:
            self._first = None
            if record.state is not RecordState.SUSPECT:
                run_ended = held is not None and held.epoch != record.epoch
                outcome: Outcome = "restarted" if run_ended else _OUTCOMES[record.state]
                self._board.statistics.suspicions[outcome] += 1
        if record.state is RecordState.ALIVE and held is not None and held.state is RecordState.DEAD:
            self._board.flaps.returned(record.name, now)
        return True

    def _suspect(self, rumour: Rumour, now: float) -> None:
        board, record = self._board, rumour.record
        penalty = board.flaps.penalty(record.name, now)
        suspicion = Suspicion(record, now, board.roster.live, penalty)
        suspicion.plan(board.options, now)
        if rumour.by:
            suspicion.confirm(rumour.by, board.options, now)
        self._suspicions[record.name] = suspicion
        self._first = None

    def _confirm(self, rumour: Rumour, now: float) -> None:
        suspicion = self._suspicions.get(rumour.record.name)
        if suspicion is not None and rumour.by and suspicion.confirm(rumour.by, self._board.options, now):
            self._first = None
            self._board.spread(rumour)

    def _vetoed(self, record: MemberRecord, held: MemberRecord, now: float) -> bool:
        """Whether a death notice is not believed: a link to the member stands, and it had no time to object.

        It is heard of right now, or was not suspected here for long enough to refute. A node that was cut off
        brings such notices about everybody when it comes back.
        """
        board = self._board
        if not board.options.mesh or held.epoch != record.epoch or record.name not in board.linked:
            return False
        suspicion = self._suspicions.get(record.name)
        if suspicion is None or board.heard_since(record.name, now - board.options.probe_s):
            return True
        return now < suspicion.started + refutation_s(board.options, suspicion.live)

    def _doubt(self, notice: MemberRecord, held: MemberRecord, now: float) -> None:
        """Take a death notice for a suspicion, and pass it on to its member: a short time will show."""
        board = self._board
        accused = in_state(notice, RecordState.SUSPECT)
        board.tell(notice.name, Rumour(accused))
        if weight(accused) > weight(held):
            self._admit(Rumour(accused), held, now)
        suspicion = self._suspicions.get(notice.name)
        if suspicion is not None:
            suspicion.noticed = True
            suspicion.plan(board.options, now)
            self._first = None

    def _expire(self, name: str, suspicion: Suspicion, now: float) -> None:
        board, options = self._board, self._board.options
        if options.mesh and name in board.linked and board.heard_since(name, now - options.probe_s):
            # It speaks, so it lives; it has yet to refute, and may not have heard that it must.
            board.tell(name, Rumour(suspicion.record))
            self._extend(suspicion, shortest(options, suspicion.live))
        elif self._isolated(suspicion, now):
            self._extend(suspicion, options.probe_s)
        else:
            self.convict(name, now)

    def _extend(self, suspicion: Suspicion, by_s: float) -> None:
        suspicion.extend(by_s)
        self._first = None

    def _isolated(self, suspicion: Suspicion, now: float) -> bool:
        """Whether it may well be us who are cut off: nobody is convicted then, for a while."""
        options = self._board.options
        silent_s = now - self._board.heard_at
        longest = options.beta * shortest(options, suspicion.live)
        return options.isolation_hold and 2 * options.probe_s < silent_s < longest

    def _about_us(self, record: MemberRecord, source: str, now: float) -> None:
        board, me = self._board, self._board.me
        final = record.state is RecordState.LEFT or record.incarnation == INCARNATION_MAX
        if record.epoch > me.epoch or (record.epoch == me.epoch and final):
            if not board.gone:
                board.out.append(Superseded(record))
        elif board.gone or (record.state is RecordState.ALIVE and weight(record) <= weight(me)):
            return
        elif weight(record) < weight(me):
            # They have not heard our last refutation: it is said again, and is no news about our health.
            board.tell(source, Rumour(me))
        else:
            board.put(replace(me, incarnation=record.incarnation + 1, state=RecordState.ALIVE), now)
            board.health.worse()
            board.statistics.refutations += 1
            board.rumours.add(Rumour(board.me))
            if board.options.mesh:
                self._refute_at = max(now, self._refuted_at + board.options.refute_s)
                if self._refute_at <= now:
                    self._broadcast_refutation(now)

    def _broadcast_refutation(self, now: float) -> None:
        self._refuted_at, self._refute_at = now, math.inf
        self._board.broadcast(Rumour(self._board.me))
