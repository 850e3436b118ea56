"""The watch over connections, beside one that looks at all of them all the time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from liminal_mesh.node.vigil import LEAVE_S, SILENCE_S, SLACK_S, Overdue, Vigil
from liminal_mesh.node.wheel import STEP_S

HANDSHAKE_S, WRITE_S = 5.0, 10.0


@dataclass
class One:
    """A connection, as it is."""

    arrived_at: float
    heard_at: float
    greeted: bool = False
    blocked_since: float | None = None
    told_at: float | None = None

    def lapses(self, now: float, late_s: float) -> set[str]:
        """Return what has not come for so much longer than it may take."""
        since = {
            "handshake": math.inf if self.greeted else self.arrived_at + HANDSHAKE_S,
            "keepalive": self.heard_at + SILENCE_S if self.greeted else math.inf,
            "write-deadline": math.inf if self.blocked_since is None else self.blocked_since + WRITE_S,
            "leave": math.inf if self.told_at is None else self.told_at + LEAVE_S,
        }
        slack = {"keepalive": SLACK_S}
        return {name for name, at in since.items() if now >= at + late_s * (1 + slack.get(name, 0) / STEP_S)}


class VigilBesideNaive(RuleBasedStateMachine):
    """Connections come, speak, stop reading and go at random; nobody is cut off early, or left for long."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.here: dict[int, One] = {}
        self.vigil = Vigil(self.here, HANDSHAKE_S, WRITE_S)
        self.tags = 0

    @rule()
    def come(self) -> None:
        """Somebody connects."""
        self.tags += 1
        self.here[self.tags] = One(self.now, self.now)
        self.vigil.arrived(self.tags, self.now)

    def pick(self, data: st.DataObject, *, greeted: bool | None = None) -> int | None:
        """Return one that is here."""
        fitting = [tag for tag, one in self.here.items() if greeted in (None, one.greeted)]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    @rule(data=st.data())
    def greet(self, data: st.DataObject) -> None:
        """One says who it is."""
        tag = self.pick(data, greeted=False)
        if tag is not None:
            self.here[tag].greeted, self.here[tag].heard_at = True, self.now
            self.vigil.let_in(tag, self.now)

    @rule(data=st.data())
    def speak(self, data: st.DataObject) -> None:
        """One sends something; the watch is not told."""
        tag = self.pick(data)
        if tag is not None:
            self.here[tag].heard_at = self.now

    @rule(data=st.data())
    def block(self, data: st.DataObject) -> None:
        """One takes no more, for now."""
        tag = self.pick(data)
        if tag is not None and self.here[tag].blocked_since is None:
            self.here[tag].blocked_since = self.now
            self.vigil.blocked(tag, self.now)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """One takes what waits; the watch is not told."""
        tag = self.pick(data)
        if tag is not None:
            self.here[tag].blocked_since = None

    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        """One is told that the node leaves."""
        tag = self.pick(data, greeted=True)
        if tag is not None and self.here[tag].told_at is None:
            self.here[tag].told_at = self.now
            self.vigil.told(tag, self.now)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """One goes by itself."""
        tag = self.pick(data)
        if tag is not None:
            del self.here[tag]
            self.vigil.gone(tag)

    @rule(seconds=st.sampled_from([0.01, 0.5, 4.0, 9.0, 20.0]))
    def pass_by(self, seconds: float) -> None:
        """Time passes, and who is asked to look looks."""
        until = self.now + seconds
        while self.vigil.next_at <= until:
            self.now = self.vigil.next_at
            for tag, lapse in self.vigil.due(self.now):
                assert lapse in self.here[tag].lapses(self.now, 0.0), "not before its time"
                del self.here[tag]
        self.now = until

    @precondition(lambda self: self.here)
    @rule()
    def look_early(self) -> None:
        """Looking before anything is due finds nothing."""
        if self.now < self.vigil.next_at:
            assert self.vigil.due(self.now) == []

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """Whoever is here is not long past its time, and whoever is watched over is here."""
        assert not {tag: one for tag, one in self.here.items() if one.lapses(self.now, STEP_S * 1.01)}
        assert (self.vigil.next_at < math.inf) == bool(self.here)


TestVigilBesideNaive = VigilBesideNaive.TestCase
TestVigilBesideNaive.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def test_of_two_lapses_at_once_one_is_told() -> None:
    """Its connection is over with the first."""
    here = {1: One(0.0, 0.0, greeted=True)}
    vigil = Vigil(here, HANDSHAKE_S, WRITE_S)
    vigil.arrived(1, 0.0)
    vigil.let_in(1, 0.0)
    here[1].blocked_since = 40.0
    vigil.blocked(1, 40.0)
    assert vigil.due(60.0) == [Overdue(1, "keepalive")]
    assert vigil.next_at == math.inf


def test_clients_that_live_are_looked_at_together_and_rarely() -> None:
    """A thousand that send a keepalive every 15 s are two looks in half a minute, of which none finds anything."""
    here = {tag: One(0.0, 0.0, greeted=True) for tag in range(1000)}
    vigil = Vigil(here, HANDSHAKE_S, WRITE_S)
    for tag in here:
        vigil.arrived(tag, 0.0)
        vigil.let_in(tag, 0.0)
    looks = 0
    while vigil.next_at < 3600.0:
        now = vigil.next_at
        for tag, one in here.items():
            one.heard_at = now - (now - tag / 70) % 15.0
        assert vigil.due(now) == []
        looks += 1
    assert looks <= 3600 / 30 * 5
