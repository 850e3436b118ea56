"""What a node remembers of keys: claimed, completed, released, and forgotten when the window is over."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from liminal_mesh.node.dedup import Claim, Dedup, Original
from liminal_mesh.node.errors import InFlight, KeyReused, LimitExceeded
from liminal_mesh.storage import Refused

WINDOW_S: Final = 600.0
ONE, OTHER = b"digest of one", b"digest of another"


def claimed(dedup: Dedup, key: str = "k", now: float = 0.0, channel: str = "c", digest: bytes = ONE) -> Claim:
    """Return a fresh claim."""
    claim = dedup.claim(channel, key, digest, now, WINDOW_S)
    assert isinstance(claim, Claim)
    return claim


def duplicate(dedup: Dedup, key: str = "k", now: float = 0.0, channel: str = "c") -> int:
    """Return the original's message id of a key that was delivered."""
    original = dedup.claim(channel, key, ONE, now, WINDOW_S)
    assert isinstance(original, Original)
    return original.message_id


def test_a_second_publish_gets_the_original(dedup: Dedup) -> None:
    """DD1: as often as it is asked."""
    dedup.complete(claimed(dedup), 7, 1.0)

    assert [duplicate(dedup, now=2.0), duplicate(dedup, now=3.0)] == [7, 7]
    assert (dedup.statistics.fresh, dedup.statistics.duplicates, dedup.statistics.completed) == (1, 2, 1)


@pytest.mark.parametrize(("age", "wait"), [(0.0, 0.01), (0.3, 0.3), (60.0, 1.0)])
def test_a_second_publish_waits_for_the_first(dedup: Dedup, age: float, wait: float) -> None:
    """DD2: told to wait as long again as the first is under way, within bounds."""
    claim = claimed(dedup, now=5.0)
    with pytest.raises(InFlight) as refusal:
        dedup.claim("c", "k", ONE, 5.0 + age, WINDOW_S)
    assert isinstance(refusal.value, Refused)
    assert refusal.value.retry_after == pytest.approx(wait)

    dedup.complete(claim, 7, 70.0)
    assert duplicate(dedup, now=70.0) == 7
    assert dedup.statistics.in_flight == 1


def test_of_two_first_claims_one_wins(dedup: Dedup) -> None:
    """DD4: and when it has lost after all, the other may try."""
    winner = claimed(dedup)
    with pytest.raises(InFlight):
        claimed(dedup)

    assert dedup.release(winner)
    assert claimed(dedup) is not winner


def test_a_release_lets_the_retry_deliver(dedup: Dedup) -> None:
    """DD3, DD5: also with another body, since nobody got the first."""
    assert dedup.release(claimed(dedup))

    dedup.complete(claimed(dedup, digest=OTHER), 8, 0.0)
    with pytest.raises(KeyReused):
        dedup.claim("c", "k", ONE, 0.0, WINDOW_S)


def test_a_release_never_overwrites_what_was_completed(dedup: Dedup) -> None:
    """DD3: it is told as a failed one, and counted."""
    claim = claimed(dedup)
    dedup.complete(claim, 7, 0.0)

    assert not dedup.release(claim)
    assert duplicate(dedup) == 7
    assert dedup.statistics.failed_releases == 1


def test_a_release_of_another_claim_changes_nothing(dedup: Dedup) -> None:
    """DD3: of an earlier one under the same key, or after everything was forgotten."""
    former = claimed(dedup)
    assert dedup.release(former)
    assert not dedup.release(former)
    present = claimed(dedup)

    assert not dedup.release(former)
    with pytest.raises(InFlight):
        claimed(dedup)
    assert dedup.release(present)
    assert dedup.statistics.failed_releases == 2


def test_keys_belong_to_a_channel(dedup: Dedup) -> None:
    """DD5: the same key on two channels is two keys."""
    dedup.complete(claimed(dedup, channel="one"), 1, 0.0)

    dedup.complete(claimed(dedup, channel="two"), 2, 0.0)
    assert (duplicate(dedup, channel="one"), duplicate(dedup, channel="two")) == (1, 2)


def test_keys_are_compared_themselves(dedup: Dedup) -> None:
    """DD6: those of equal hash too, and with the same body."""

    class Same(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 1

    dedup.complete(claimed(dedup, key=Same("one")), 1, 0.0)

    dedup.complete(claimed(dedup, key=Same("two")), 2, 0.0)
    assert (duplicate(dedup, key=Same("one")), duplicate(dedup, key=Same("two"))) == (1, 2)


@pytest.mark.parametrize("completed", [False, True])
def test_another_body_under_a_key_is_refused(dedup: Dedup, completed: bool) -> None:
    """DD6: while the first is in flight, and later."""
    claim = claimed(dedup)
    if completed:
        dedup.complete(claim, 7, 0.0)

    with pytest.raises(KeyReused, match=r"'k'.*'c'"):
        dedup.claim("c", "k", OTHER, 1.0, WINDOW_S)
    assert dedup.statistics.reused == 1


def test_the_window_begins_at_the_completion(dedup: Dedup) -> None:
    """DD7: however long the publish was under way."""
    dedup.complete(claimed(dedup, now=0.0), 7, 1000.0)

    assert duplicate(dedup, now=999.9 + WINDOW_S) == 7
    assert claimed(dedup, now=1000.0 + WINDOW_S).since == 1000.0 + WINDOW_S


def test_the_sweep_reports_what_it_did(dedup: Dedup) -> None:
    """DD7: scanned, expired and kept; a live claim is never expired, and each channel has its window."""
    for number in range(5):
        dedup.complete(claimed(dedup, key=f"{number}", now=float(number)), number, float(number))
    short = dedup.claim("short", "k", ONE, 0.0, 10.0)
    assert isinstance(short, Claim)
    dedup.complete(short, 9, 0.0)
    claimed(dedup, key="live", now=0.0)
    claimed(dedup, key="live", now=0.0, channel="other")

    assert dedup.sweep(5.0, 100) == ((0, 0, 6), 10.0)
    assert dedup.sweep(10.0, 100) == ((1, 1, 5), WINDOW_S)
    assert dedup.sweep(WINDOW_S + 2.0, 100) == ((4, 3, 2), WINDOW_S + 3.0)
    assert dedup.sweep(WINDOW_S * 9, 100) == ((2, 2, 0), None)
    assert dedup.of("c") == (0, 1)
    assert dedup.of("other") == (0, 1)
    assert (dedup.statistics.sweeps, dedup.statistics.scanned, dedup.statistics.expired) == (4, 7, 6)
    with pytest.raises(InFlight):
        claimed(dedup, key="live", now=WINDOW_S * 9)


def test_a_sweep_does_a_bounded_piece_of_work(dedup: Dedup) -> None:
    """What is left over is due at once."""
    for number in range(50):
        dedup.complete(claimed(dedup, key=f"{number}"), number, 0.0)

    reports = [dedup.sweep(WINDOW_S, 20) for _ in range(3)]
    assert [(report.expired, report.kept) for report, _ in reports] == [(20, 30), (20, 10), (10, 0)]
    assert [due for _, due in reports] == [WINDOW_S, WINDOW_S, None]


def test_a_sweep_looks_at_no_more_channels_than_are_due(dedup: Dedup) -> None:
    """However many others there are."""
    for number in range(500):
        dedup.complete(claimed(dedup, channel=f"c{number}"), number, float(number))

    assert dedup.sweep(WINDOW_S + 2.5, 100) == ((3, 3, 497), WINDOW_S + 3)
    assert dedup.claim("c2", "k", ONE, WINDOW_S + 2.5, WINDOW_S) is not None
    assert dedup.sweep(WINDOW_S * 3, 1000) == ((497, 497, 0), None)


@pytest.mark.parametrize("taken", ["here", "elsewhere"])
def test_a_channel_that_is_declared_with_another_window_has_that_one(dedup: Dedup, taken: str) -> None:
    """For what it remembers already, too."""
    dedup.complete(claimed(dedup, key="first"), 1, 0.0)
    longer, shorter = 3 * WINDOW_S, 1.0

    def add(key: str, now: float, window_s: float) -> None:
        if taken == "elsewhere":
            dedup.remember("c", key, ONE, 2, now, window_s)
        else:
            claim = dedup.claim("c", key, ONE, now, window_s)
            assert isinstance(claim, Claim)
            dedup.complete(claim, 2, now)

    add("second", 1.0, longer)
    assert dedup.sweep(WINDOW_S, 100) == ((1, 0, 2), longer)
    for key in ("first", "second"):
        assert dedup.delivered("c", key, WINDOW_S + 1) is not None
    add("third", 2.0, shorter)
    for key in ("first", "second", "third"):
        assert dedup.delivered("c", key, 3.0) is None


def test_it_is_told_when_there_will_be_something_to_sweep(dedup: Dedup) -> None:
    """When a channel begins to remember, and not for each key."""
    told: list[float] = []
    dedup.due = told.append
    claim = claimed(dedup)
    assert told == []

    dedup.complete(claim, 1, 3.0)
    dedup.complete(claimed(dedup, key="other"), 2, 4.0)
    dedup.remember("new", "k", ONE, 3, 5.0, 1.0)
    assert told == [3.0 + WINDOW_S, 6.0]


def test_what_a_window_forgets_may_be_completed_again_before_the_sweep(dedup: Dedup) -> None:
    """The late sweep forgets the first, and not the second."""
    dedup.complete(claimed(dedup), 1, 0.0)
    dedup.complete(claimed(dedup, now=WINDOW_S), 2, WINDOW_S)

    report, due = dedup.sweep(WINDOW_S + 1, 100)
    assert (report.expired, report.kept, due) == (1, 1, 2 * WINDOW_S)
    assert duplicate(dedup, now=2 * WINDOW_S - 1) == 2


@pytest.mark.parametrize(("channel_max", "node_max", "name"), [(3, 100, "dedup_keys"), (100, 3, "dedup_keys_node")])
def test_a_full_memory_refuses_by_name(channel_max: int, node_max: int, name: str) -> None:
    """Nothing that is remembered is given up for it, and room comes back with the end of a window."""
    dedup = Dedup(channel_max, node_max)
    dedup.complete(claimed(dedup, key="1", now=0.0), 1, 0.0)
    dedup.complete(claimed(dedup, key="2", now=1.0), 2, 1.0)
    live = claimed(dedup, key="3", now=2.0)
    for _ in range(3):
        with pytest.raises(LimitExceeded) as refusal:
            claimed(dedup, key="4", now=2.0)
        assert (refusal.value.name, refusal.value.limit) == (name, 3)
    assert not dedup.room("c", 2.0)
    assert dedup.room("empty", 2.0) == (node_max == 100)

    assert [duplicate(dedup, key="1", now=2.0), duplicate(dedup, key="2", now=2.0)] == [1, 2]
    assert claimed(dedup, key="4", now=WINDOW_S).key == "4"
    assert dedup.release(live)
    assert claimed(dedup, key="5", now=WINDOW_S).key == "5"
    assert dedup.statistics.refused == 3


def test_what_was_taken_here_is_known_while_it_is_still_under_way(dedup: Dedup) -> None:
    """So that the same key from a peer is not delivered beside it."""
    claim = claimed(dedup)
    assert dedup.delivered("c", "k", 0.0) is None

    claim.message_id = 7
    found = dedup.delivered("c", "k", 0.0)
    assert found is not None
    assert (found.message_id, found.digest) == (7, ONE)


@pytest.mark.parametrize("completed", [False, True])
def test_what_a_peer_delivered_meanwhile_outlives_a_claim(dedup: Dedup, completed: bool) -> None:
    """Its release leaves it; its own completion is the later one, and counts."""
    claim = claimed(dedup)
    dedup.remember("c", "k", ONE, 5, 1.0, WINDOW_S)
    with pytest.raises(InFlight):
        claimed(dedup, now=1.0)

    if completed:
        dedup.complete(claim, 7, 2.0)
    else:
        assert dedup.release(claim)
    assert duplicate(dedup, now=3.0) == (7 if completed else 5)


@pytest.fixture
def dedup() -> Dedup:
    """A roomy memory."""
    return Dedup(1000, 1000)


KEYS = st.sampled_from(["a", "b", "c"])
CHANNELS = st.sampled_from(["one", "two"])
BODIES = st.sampled_from([ONE, OTHER])


class Memory(RuleBasedStateMachine):
    """Any order of claims, ends, arrivals, sweeps and pauses, beside a model that keeps everything for ever."""

    @initialize(channel_max=st.integers(1, 5), node_max=st.integers(1, 8))
    def begin(self, channel_max: int, node_max: int) -> None:
        """Take a small memory, so that it is full now and then."""
        self.dedup = Dedup(channel_max, node_max)
        self.bounds = channel_max, node_max
        self.windows = {"one": 10.0, "two": 3.0}
        self.now = 0.0
        self.next_id = 1
        self.live: dict[tuple[str, str], Claim] = {}
        self.done: dict[tuple[str, str], list[Original]] = {}

    def current(self, place: tuple[str, str]) -> Original | None:
        """Return the last that was delivered under a key, if its window is not over."""
        former = self.done.get(place)
        if not former or self.now - former[-1].at >= self.windows[place[0]]:
            return None
        return former[-1]

    def complete_model(self, place: tuple[str, str], digest: bytes, message_id: int) -> None:
        """Note a delivery."""
        self.done.setdefault(place, []).append(Original(place[1], digest, message_id, self.now))

    @rule(channel=CHANNELS, key=KEYS, digest=BODIES)
    def publish(self, channel: str, key: str, digest: bytes) -> None:
        """Claim: the answer is the model's, or that there is no room."""
        place = channel, key
        live, original = self.live.get(place), self.current(place)
        try:
            found = self.dedup.claim(channel, key, digest, self.now, self.windows[channel])
        except InFlight:
            assert live is not None
            assert live.digest == digest
        except KeyReused:
            known = live if live is not None else original
            assert known is not None
            assert known.digest != digest
        except LimitExceeded:
            assert live is None
            assert original is None
            self.check_full(channel)
        else:
            assert live is None
            if isinstance(found, Original):
                assert original is not None
                assert (found.message_id, found.digest) == (original.message_id, digest)
            else:
                assert original is None
                self.live[place] = found

    def check_full(self, channel: str) -> None:
        """It refuses only what it has no room for; what is over in the channel itself makes room at once."""
        held = {
            one: sum(place[0] == one for place in self.live)
            + sum(
                one != channel or self.now - original.at < self.windows[one]
                for place, former in self.done.items()
                for original in former
                if place[0] == one
            )
            for one in self.windows
        }
        assert held[channel] >= self.bounds[0] or sum(held.values()) >= self.bounds[1]

    @rule(data=st.data(), delivered=st.booleans())
    def end(self, data: st.DataObject, delivered: bool) -> None:
        """Complete a claim, or release it; a second release fails, and changes nothing."""
        if not self.live:
            return
        place = data.draw(st.sampled_from(sorted(self.live)))
        claim = self.live.pop(place)
        if delivered:
            self.dedup.complete(claim, self.next_id, self.now)
            self.complete_model(place, claim.digest, self.next_id)
            self.next_id += 1
        else:
            assert self.dedup.release(claim)
        assert not self.dedup.release(claim)

    @rule(channel=CHANNELS, key=KEYS, digest=BODIES)
    def arrive(self, channel: str, key: str, digest: bytes) -> None:
        """A peer's publish is delivered, unless its key was, or there is no room."""
        place = channel, key
        found, original = self.dedup.delivered(channel, key, self.now), self.current(place)
        assert (found is None) == (original is None)
        if found is not None and original is not None:
            assert found.message_id == original.message_id
        elif self.dedup.room(channel, self.now):
            self.dedup.remember(channel, key, digest, self.next_id, self.now, self.windows[channel])
            self.complete_model(place, digest, self.next_id)
            self.next_id += 1

    @rule(most=st.integers(1, 5))
    def sweep(self, most: int) -> None:
        """Forget what is over, no more than was allowed."""
        report, due = self.dedup.sweep(self.now, most)
        assert report.expired <= most
        assert report.kept == self.dedup.remembered
        if report.expired < most:
            assert due is None or due > self.now
            there = [place for place in self.done if self.current(place) is not None]
            assert report.kept == len(there)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @invariant()
    def no_live_claim_is_lost(self) -> None:
        """Whatever was swept or refused."""
        if hasattr(self, "dedup"):
            assert self.dedup.claimed == len(self.live)

    @invariant()
    def it_holds_no_more_than_it_may(self) -> None:
        """Of a channel, and of all; replaced ones included."""
        if hasattr(self, "dedup"):
            held = [sum(self.dedup.of(channel)) for channel in self.windows]
            assert max(held) <= self.bounds[0]
            assert sum(held) <= self.bounds[1]


TestMemory = Memory.TestCase
TestMemory.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
