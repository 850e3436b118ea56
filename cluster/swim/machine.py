"""The membership machine of one node: events of its control links in, effects out.

This class composes what the neighbouring modules decide, each about its own matter. The inputs below are the only way
to change the state. Each returns the effects that the caller must carry out, in order and before the next input. The
machine knows no time but the ``now`` it is given (monotonic seconds), and ``next_tick`` says when it wants
:meth:`Swim.tick`. A driver reads what has arrived before it ticks: an answer that is there must not come too late.

A link is between two runs of nodes. There is at most one for each name, and while it stands its run is the one in
the roster.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSet
from typing import TYPE_CHECKING

from ..identity import NodeId
from ..membership import Member, MemberChanged
from ..swim_frames import (
    MemberRecord,
    RecordState,
    Rumour,
    SwimAck,
    SwimFrame,
    SwimGossip,
    SwimLinkDown,
    SwimLinkState,
    SwimNack,
    SwimPing,
    SwimPingRequest,
    SwimRecords,
    SwimView,
)
from .board import Board
from .effects import CloseLink, Refuse, SwimEffect
from .evidence import DialOutcome, Evidence, LinkLoss
from .exchange import Exchange
from .farewell import Farewell
from .gossip import Gossip
from .judge import Judge
from .options import SwimOptions
from .probe import Prober
from .record import in_state
from .redial import Redial
from .relay import Relays
from .roster import Roster
from .statistics import SwimStatistics
from .stops import Stops
from .succession import Succession
from .zombies import Zombies

if TYPE_CHECKING:
    from random import Random

__all__ = ["Swim"]

_SWEEP_SHARE = 0.01
"""Tombstones are looked through every so much of the time for which they are kept."""


class Swim:
    """The membership of one node.

    Args:
        me: this run of this node.
        address: what others shall dial.
        options: times and bounds.
        rng: for the choice of members, and for jitter.
        now: the time.
        roster: what is known at the start; nothing, unless thousands are simulated who share what they know.
        linked: the names with a link; none, unless thousands are simulated who have one to everybody.
    """

    def __init__(
        self,
        me: NodeId,
        address: str,
        options: SwimOptions,
        rng: Random,
        now: float,
        *,
        roster: Roster | None = None,
        linked: MutableSet[str] | None = None,
    ) -> None:
        record = MemberRecord(me.name, me.epoch, 0, RecordState.ALIVE, address)
        # A container without members is still the one that was handed in.
        board = Board(record, options, rng, Roster() if roster is None else roster, set() if linked is None else linked)
        self._board = board
        self._judge = Judge(board)
        self._prober = Prober(board, self._judge, now)
        self._relays = Relays(board)
        self._gossip = Gossip(board, self._judge)
        self._exchange = Exchange(board, self._judge, now)
        self._evidence = Evidence(board, self._judge)
        self._redial = Redial(board)
        self._zombies = Zombies(board)
        self._succession = Succession(board)
        self._farewell = Farewell(board)
        deadlines = (self._prober, self._judge, self._relays, self._evidence, self._succession)
        self._stops = Stops(board, deadlines, now)
        self._sweep_at = now + _SWEEP_SHARE * options.forget_s
        if record.name not in board.roster:
            board.put(record, now)
            board.take()  # that we are here is no news to us

    # --- the links ----------------------------------------------------------------------------------

    def seeds(self, addresses: Iterable[str], now: float) -> list[SwimEffect]:
        """Set the addresses of the seeds, each time when they were resolved anew."""
        self._redial.seeds(addresses, now)
        return self._done(now)

    def linked(self, record: MemberRecord, digest: int, now: float) -> list[SwimEffect]:
        """Note that a control link stands, whoever dialled; a later link to the same run replaces the earlier.

        Args:
            record: the peer's own record, out of its handshake.
            digest: the digest of its view, from there too.
            now: the time.
        """
        board, name = self._board, record.name
        self._stops.notice(now)
        if name == board.name:
            # Two runs of one name have met, and we live: whichever of them is the later, the other has to go.
            board.out.append(Refuse(NodeId(name, record.epoch), board.me))
            return self._done(now)
        if self._succession.holds_back(record, now):
            return self._done(now)
        self._judge.meet(record, now)
        held = board.roster.get(name)
        if held is None or held.epoch != record.epoch:
            # An earlier run than the one we know, or one name too many.
            board.out.append(Refuse(NodeId(name, record.epoch), held))
            return self._done(now)
        self._close_outdated()
        board.link(name, True)
        board.hear(name, now)
        self._evidence.linked(name)
        self._redial.linked(name, now)
        if held.state is not RecordState.ALIVE:
            board.tell(name, Rumour(held))
        if digest != board.roster.digest and board.name < name:
            self._exchange.begin(name)
        return self._done(now)

    def met(self, node: NodeId, address: str, now: float) -> list[SwimEffect]:
        """Note that a member was met by another way than a control link: it is there, and a link can be made."""
        board, held = self._board, self._board.roster.get(node.name)
        self._stops.notice(now)
        if node.name != board.name and not board.gone:
            if held is None or held.epoch < node.epoch:
                self._judge.meet(MemberRecord(node.name, node.epoch, 0, RecordState.ALIVE, address), now)
            elif held.epoch == node.epoch:
                board.hear(node.name, now)
                self._redial.hasten(node.name, now)
        return self._done(now)

    def said_goodbye(self, node: NodeId, now: float) -> list[SwimEffect]:
        """Note that a member itself said, by another way than a control link, that it leaves."""
        held = self._board.roster.get(node.name)
        if held is not None and held.epoch == node.epoch and node.name != self._board.name:
            self._judge.hear(Rumour(in_state(held, RecordState.LEFT)), now, node.name)
        return self._done(now)

    def reached(self, address: str, name: str) -> None:
        """Note who answered at an address that was dialled."""
        self._redial.reached(address, name)

    def linked_to(self, node: NodeId) -> bool:
        """Whether a link to this very run stands."""
        held = self._board.roster.get(node.name)
        return node.name in self._board.linked and held is not None and held.epoch == node.epoch

    def unlinked(self, name: str, loss: LinkLoss, now: float) -> list[SwimEffect]:
        """Note that the link to a member ended."""
        self._stops.notice(now)
        if name in self._board.linked:
            self._board.link(name, False)
            self._evidence.lost(name, loss, now)
            self._succession.lost(name)
        return self._done(now)

    def dial_failed(self, name: str, outcome: DialOutcome, now: float) -> list[SwimEffect]:
        """Note how a dial failed; ``name`` is that of the effect (empty: a seed)."""
        self._stops.notice(now)
        self._redial.failed(name, now)
        self._evidence.dial_failed(name, outcome, now)
        if outcome not in {"rejected", "other"}:
            self._judge.confirm(name, self._board.options.connect_s, now)
        return self._done(now)

    def heard(self, name: str, now: float) -> None:
        """Note that bytes came from a member, over whichever connection."""
        if name in self._board.roster:
            self._board.hear(name, now)

    def received(self, peer: NodeId, frame: SwimFrame, now: float) -> list[SwimEffect]:
        """Take a frame that came over the link to ``peer``.

        Raises:
            ProtocolError: it tells of a member that cannot be; the link is to be closed.
        """
        held = self._board.roster.get(peer.name)
        if held is None or held.epoch != peer.epoch or peer.name not in self._board.linked:
            self._board.statistics.fenced += 1
            return []
        self._stops.notice(now)
        self._board.hear(peer.name, now)
        if held.state is RecordState.DEAD:
            self._zombies.spoke(peer.name, now)
        self._take(peer.name, frame, now)
        return self._done(now)

    # --- this node ----------------------------------------------------------------------------------

    def lagging(self, lag_s: float) -> None:
        """Note how far this node's main loop is behind; others hear it with each ack."""
        self._board.lag_ms = int(lag_s * 1000)

    def leave(self, now: float) -> list[SwimEffect]:
        """Say goodbye; :class:`.effects.Departed` says when it is told."""
        self._farewell.begin(now)
        return self._done(now)

    def tick(self, now: float) -> list[SwimEffect]:
        """Do what is due."""
        if self._stops.notice(now):
            return self._done(now)
        self._farewell.tick(now)
        if not self._board.gone:
            self._relays.tick(now)
            self._prober.tick(now)
            self._judge.tick(now)
            self._evidence.tick(now)
            self._succession.tick(now)
            self._exchange.tick(now)
            self._redial.tick(now)
            self._zombies.tick(now)
            self._sweep(now)
        self._gossip.tick(now)
        return self._done(now)

    def next_tick(self) -> float:
        """Return when :meth:`tick` is wanted."""
        if self._board.gone:
            return min(self._farewell.next_due(), self._gossip.next_due())
        return min(
            self._stops.next_due(), self._gossip.next_due(), self._exchange.next_due(), self._redial.next_due(),
            self._zombies.next_due(), self._sweep_at,
        )  # fmt: skip

    # --- what is to be seen -------------------------------------------------------------------------

    @property
    def record(self) -> MemberRecord:
        """Our own record, for handshakes."""
        return self._board.me

    @property
    def digest(self) -> int:
        """The digest of our view, for handshakes."""
        return self._board.roster.digest

    @property
    def health(self) -> int:
        """The local health: 0 is well."""
        return self._board.health.score

    @property
    def statistics(self) -> SwimStatistics:
        """What has happened so far."""
        return self._board.statistics

    def members(self) -> tuple[Member, ...]:
        """Return all members, this node included, by name."""
        found = (self._board.member(name) for name in sorted(self._board.roster.names))
        return tuple(member for member in found if member is not None)

    # --- parts --------------------------------------------------------------------------------------

    def _take(self, peer: str, frame: SwimFrame, now: float) -> None:
        board = self._board
        match frame:
            case SwimPing():
                self._hear(frame.rumours, peer, now)
                answer = SwimAck(frame.id, board.roster.digest, board.lag_ms, board.rumours.take(board.roster.live))
                board.send(peer, answer)
            case SwimAck():
                self._hear(frame.rumours, peer, now)
                self._prober.acked(frame, peer, now)
                self._relays.acked(frame, peer)
                self._farewell.acked(frame, peer)
                self._exchange.digest_seen(peer, frame.digest, now)
                board.stall(peer, frame.lag_ms > 1000 * board.options.stalled_s)
            case SwimPingRequest():
                self._hear(frame.rumours, peer, now)
                self._relays.asked(frame, peer, now)
            case SwimNack():
                self._prober.nacked(frame.id, peer)
            case SwimGossip():
                self._hear(frame.rumours, peer, now)
            case SwimView():
                self._exchange.viewed(frame, peer, now)
            case SwimRecords():
                self._exchange.records(frame, peer, now)
            case SwimLinkDown():
                self._evidence.told_down(frame, peer, now)
            case SwimLinkState():
                self._evidence.told_state(frame, peer, now)

    def _hear(self, rumours: list[Rumour], peer: str, now: float) -> None:
        for rumour in rumours:
            self._judge.hear(rumour, now, peer)

    def _sweep(self, now: float) -> None:
        options, roster = self._board.options, self._board.roster
        if now < self._sweep_at and len(roster.died) <= options.tombstones_max:
            return
        self._sweep_at = now + _SWEEP_SHARE * options.forget_s
        for name in roster.overdue(now, options.forget_s, options.tombstones_max):
            self._board.drop(name)
            self._prober.forget(name)
            self._exchange.forget(name)

    def _close_outdated(self) -> None:
        """Close the links to runs that are not those of the roster any more."""
        for effect in tuple(self._board.out):
            match effect:
                case MemberChanged(before=Member(reachable=True) as before, after=Member() as after):
                    if before.epoch != after.epoch and after.name in self._board.linked:
                        self._board.out.append(CloseLink(after.name, "another run of the node is known"))
                        self._board.link(after.name, False)

    def _done(self, now: float) -> list[SwimEffect]:
        """Plan for what has changed, and return the effects."""
        self._close_outdated()
        for effect in self._board.out:
            if isinstance(effect, MemberChanged):
                member = effect.after or effect.before
                assert member is not None, "something changed"
                self._redial.changed(member.name, effect.before, effect.after, now)
                self._zombies.changed(member.name, effect.after, now)
        self._gossip.plan(now)
        return self._board.take()
