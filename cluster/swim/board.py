"""What the parts of the membership machine share: the roster, the links, the rumours, and the effects on their way.

Two facts about a member are kept apart: what the mesh holds of it (its record), and whether this node has a link to
it. Nothing here concludes the one from the other.
"""

from __future__ import annotations

import math
from collections.abc import MutableSet
from typing import TYPE_CHECKING

from ..errors import ProtocolError
from ..identity import NODE_NAME
from ..membership import Member, MemberChanged, MemberState
from ..swim_frames import MemberRecord, RecordState, Rumour, SwimFrame, SwimGossip
from .effects import SendTo, SwimEffect
from .health import Flaps, Health
from .options import SwimOptions
from .record import LIVE
from .roster import Roster
from .rumours import Rumours
from .statistics import SwimStatistics

if TYPE_CHECKING:
    from random import Random

__all__ = ["Board"]

_STATES: dict[RecordState, MemberState] = {
    RecordState.ALIVE: "alive",
    RecordState.SUSPECT: "suspect",
    RecordState.DEAD: "dead",
    RecordState.LEFT: "left",
}


class Board:
    """The state that the parts of one node's membership share.

    ``linked`` are the names to which a control link stands, ``out`` the effects of the input that is worked on.
    """

    def __init__(
        self, me: MemberRecord, options: SwimOptions, rng: Random, roster: Roster, linked: MutableSet[str]
    ) -> None:
        self.name = me.name
        self.options = options
        self.rng = rng
        self.roster = roster
        self.linked = linked
        self.rumours = Rumours(options.retransmit, options.rumour_bytes_max)
        self.health = Health(options.health_max)
        self.flaps = Flaps(options.flap_s, options.flap_cap)
        self.statistics = SwimStatistics()
        self.out: list[SwimEffect] = []
        self.heard_at = -math.inf
        """When anything came from anybody."""
        self.lag_ms = 0
        """How far our main loop is behind."""
        self._heard: dict[str, float] = {}
        self._stalled: set[str] = set()
        self._linked_with: dict[str, int] = {}
        """With which run of a name there was a link last."""
        self._ids = 0

    # --- this node ----------------------------------------------------------------------------------

    @property
    def me(self) -> MemberRecord:
        """Our own record."""
        record = self.roster.get(self.name)
        assert record is not None, "nobody forgets itself"
        return record

    @property
    def gone(self) -> bool:
        """Whether this run is over for the mesh."""
        return self.me.state is RecordState.LEFT

    @property
    def one_hop(self) -> bool:
        """Whether what matters is told directly, everybody having a link to everybody and they being not too many."""
        return self.options.mesh and self.roster.live <= self.options.broadcast_max

    def number(self) -> int:
        """Return a number for a ping or request that was never used before."""
        self._ids += 1
        return self._ids

    # --- members ------------------------------------------------------------------------------------

    def member(self, name: str) -> Member | None:
        """Return how this node sees a member."""
        record = self.roster.get(name)
        if record is None:
            return None
        reachable = name == self.name or name in self.linked
        state = _STATES[record.state]
        return Member(name, record.epoch, record.incarnation, state, reachable, name in self._stalled, record.address)

    def put(self, record: MemberRecord, now: float, age_s: float = 0.0) -> bool:
        """Set what is held of a name, and say what changed; returns False if there is no room for one more name.

        Raises:
            ProtocolError: no node can bear that name.
        """
        name = record.name
        if name not in self.roster:
            if not NODE_NAME.match(name):
                raise ProtocolError("a member whose name no node can bear")
            if len(self.roster.names) >= self.options.members_max:
                return False
        before = self.member(name)
        self.roster.put(record, now, age_s)
        if record.state not in LIVE:
            self._stalled.discard(name)
        self._changed(name, before)
        return True

    def drop(self, name: str) -> None:
        """Forget a name, and all that is told of it."""
        before = self.member(name)
        self.roster.drop(name)
        self.rumours.drop(name)
        self.flaps.forget(name)
        self._heard.pop(name, None)
        self._linked_with.pop(name, None)
        self._changed(name, before)

    def link(self, name: str, up: bool) -> None:
        """Note that a control link stands, or is over."""
        before = self.member(name)
        (self.linked.add if up else self.linked.discard)(name)
        record = self.roster.get(name)
        if up and record is not None:
            self._linked_with[name] = record.epoch
        self._changed(name, before)

    def stall(self, name: str, stalled: bool) -> None:
        """Note whether a member's main loop is far behind."""
        if stalled != (name in self._stalled):
            before = self.member(name)
            (self._stalled.add if stalled else self._stalled.discard)(name)
            self._changed(name, before)

    def live(self, name: str) -> bool:
        """Whether a name is held for alive, or at least not for dead."""
        record = self.roster.get(name)
        return record is not None and record.state in LIVE

    def was_linked(self, name: str, epoch: int) -> bool:
        """Whether there ever was a link to this run, which is what can be lost."""
        return self._linked_with.get(name) == epoch

    def live_links(self) -> list[str]:
        """Return the live members to which there is a link, by name."""
        return sorted(name for name in self.linked if self.live(name))

    # --- signs of life ------------------------------------------------------------------------------

    def hear(self, name: str, now: float) -> None:
        """Note that bytes came from a peer."""
        self._heard[name] = self.heard_at = now

    def heard_since(self, name: str, when: float) -> bool:
        """Whether anything came from a peer after that."""
        return self._heard.get(name, -math.inf) > when

    # --- words --------------------------------------------------------------------------------------

    def send(self, name: str, frame: SwimFrame) -> bool:
        """Send a frame if there is a link; returns whether there is."""
        if name not in self.linked:
            return False
        self.out.append(SendTo(name, frame))
        return True

    def tell(self, name: str, rumour: Rumour) -> None:
        """Tell one peer something to its face."""
        self.send(name, SwimGossip([rumour]))

    def spread(self, rumour: Rumour, at_once: bool = False) -> None:
        """Tell the mesh: by gossip, and ``at_once`` in one hop to everybody, if they are not too many."""
        self.rumours.add(rumour)
        if at_once and self.one_hop:
            self.broadcast(rumour)

    def broadcast(self, rumour: Rumour) -> None:
        """Tell everybody that there is a link to, whoever they are held for."""
        frame = SwimGossip([rumour])
        for name in sorted(self.linked):
            self.send(name, frame)

    def take(self) -> list[SwimEffect]:
        """Return the effects so far, once."""
        out, self.out = self.out, []
        return out

    def _changed(self, name: str, before: Member | None) -> None:
        after = self.member(name)
        if before != after:
            self.out.append(MemberChanged(before, after))
