"""The membership machine by itself: its order of records, its formulas, its bounds, and single exchanges of frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.swim import (
    LAN,
    CloseLink,
    Departed,
    DialAddress,
    Doubt,
    Refuse,
    Roster,
    SendTo,
    Superseded,
    Swim,
    SwimEffect,
    SwimOptions,
)
from liminal_mesh.cluster.swim.rumours import Rumours
from liminal_mesh.cluster.swim.suspicion import suspicion_s
from liminal_mesh.cluster.swim_frames import (
    INCARNATION_MAX,
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
)

DEAD = RecordState.DEAD


def _swim(*peers: str, options: SwimOptions = LAN) -> Swim:
    """A machine named ``a`` with links to peers."""
    swim = Swim(NodeId("a", 5), "a:1", options, Random(1), 0.0)
    for peer in peers:
        swim.linked(_record(peer), swim.digest, 0.0)
    return swim


def _record(name: str, epoch: int = 1, incarnation: int = 0, state: RecordState = RecordState.ALIVE) -> MemberRecord:
    return MemberRecord(name, epoch, incarnation, state, f"{name}:1")


def _sent(effects: Iterable[object], name: str) -> list[SwimFrame]:
    return [effect.frame for effect in effects if isinstance(effect, SendTo) and effect.name == name]


def _advance(swim: Swim, until: float) -> list[SwimEffect]:
    """Tick as a driver does, up to a moment."""
    effects: list[SwimEffect] = []
    while swim.next_tick() <= until:
        effects += swim.tick(swim.next_tick())
    return effects


def _advance_among(swim: Swim, until: float, *others: str) -> None:
    """Do so while bytes come from these all the time."""
    while swim.next_tick() <= until:
        now = swim.next_tick()
        for other in others:
            swim.heard(other, now)
        swim.tick(now)


def _states(swim: Swim) -> dict[str, str]:
    return {member.name: member.state for member in swim.members()}


@pytest.mark.parametrize(
    ("live", "confirmations", "expected"),
    [(2, 0, 2.0), (3, 0, 12.0), (3, 1, 2.0), (100, 0, 24.0), (100, 3, 4.0), (100, 1, 14.0)],
)
def test_a_suspicion_gets_shorter_with_each_accuser(live: int, confirmations: int, expected: float) -> None:
    """From the longest, which a lone accuser waits, down to the shortest; of two nodes nobody can confirm."""
    assert suspicion_s(LAN, live, confirmations) == pytest.approx(expected)


def test_a_rumour_is_told_so_often_and_no_oftener() -> None:
    """Four times the logarithm of the members, the least told first, and never more bytes than fit."""
    rumours = Rumours(4, 100)
    for number in range(20):
        rumours.add(Rumour(_record(f"n{number}"), "a"))
    told: dict[str, int] = {}
    while rumours:
        taken = rumours.take(99)
        assert sum(len(CONTROL_CODEC.encode(SwimGossip([one]))) - 7 for one in taken) <= 100
        for one in taken:
            told[one.record.name] = told.get(one.record.name, 0) + 1
        assert max(told.values()) - min(told.get(f"n{number}", 0) for number in range(20)) <= 1 or len(told) == 20

    assert told == dict.fromkeys((f"n{number}" for number in range(20)), 8)


def test_tombstones_are_bounded_in_number_and_in_time() -> None:
    """The oldest goes first, and none stays for ever; the age that others told counts."""
    roster = Roster()
    for number in range(5):
        roster.put(_record(f"n{number}", state=RecordState.DEAD), 100.0, age_s=10.0 * number)

    assert roster.overdue(100.0, 1000.0, 3) == ["n4", "n3"]
    assert roster.overdue(175.0, 100.0, 5) == ["n4", "n3"]


def test_an_accusation_is_refuted_to_everybody_at_once() -> None:
    """In one hop, with the next incarnation; and older accusations get the same answer and raise nothing."""
    swim = _swim("b", "c")
    accused = Rumour(_record("a", 5, 0, RecordState.SUSPECT), "b")

    effects = swim.received(NodeId("b", 1), SwimGossip([accused]), 1.0)
    again = swim.received(NodeId("c", 1), SwimGossip([accused]), 2.0)

    refutation = SwimGossip([Rumour(_record("a", 5, 1))])
    assert _sent(effects, "b") == _sent(effects, "c") == [refutation]
    assert _sent(again, "c") == [refutation]
    assert swim.record.incarnation == 1


def test_a_death_notice_is_not_believed_while_its_member_speaks() -> None:
    """It becomes a suspicion, and the accusation is passed on over the link that stands."""
    swim = _swim("b", "c")
    swim.heard("b", 0.9)

    effects = swim.received(NodeId("c", 1), SwimGossip([Rumour(_record("b", state=RecordState.DEAD))]), 1.0)

    assert _states(swim)["b"] == "suspect"
    assert _sent(effects, "b") == [SwimGossip([Rumour(_record("b", state=RecordState.SUSPECT))])]


def _silenced() -> tuple[Swim, list[SwimEffect]]:
    """A machine of four whose ``b`` was found silent, by ``c`` too, and what it did then for four seconds."""
    swim = _swim("b", "c", "d")
    for at in (0.1 * step for step in range(1, 61)):
        for peer in "cd":
            swim.heard(peer, at)
        effects = _advance(swim, at)
        if _states(swim)["b"] == "suspect":
            swim.received(NodeId("c", 1), SwimGossip([Rumour(_record("b", state=RecordState.SUSPECT), "c")]), at)
            for later in (at + 0.1 * step for step in range(1, 40)):
                for peer in "cd":
                    swim.heard(peer, later)
                effects += _advance(swim, later)
            return swim, effects
    raise AssertionError("nobody suspects the silent")


def test_a_suspicion_is_passed_on_to_its_member_by_whoever_has_a_link() -> None:
    """The accuser may be parted from it, and others not: it is to hear of it, and to refute."""
    accused = _record("b", state=RecordState.SUSPECT)

    effects = _swim("b", "c").received(NodeId("c", 1), SwimGossip([Rumour(accused, "c")]), 1.0)

    assert SwimGossip([Rumour(accused)]) in _sent(effects, "b")


def test_rumours_are_not_wasted_on_the_silent() -> None:
    """They are told so many times only: behind a cut they would end, and accusers never hear of each other."""
    effects = _silenced()[1]

    accusation = [Rumour(_record("b", state=RecordState.SUSPECT), "a")]
    assert [frame for frame in _sent(effects, "b") if isinstance(frame, SwimGossip)] == [SwimGossip(accusation)]
    assert [frame for name in "cd" for frame in _sent(effects, name) if isinstance(frame, SwimGossip)]


def test_whom_we_accused_is_not_probed_again_while_it_is_silent() -> None:
    """The turn goes to those of whom nobody knows yet; as soon as anything comes from it, it is probed as any."""
    swim, effects = _silenced()
    at = swim.next_tick()
    pinged = [effect.name for effect in effects if isinstance(effect, SendTo) and isinstance(effect.frame, SwimPing)]

    assert {"c", "d"} == set(pinged)

    swim.heard("b", at)
    assert [frame for frame in _sent(_advance(swim, at + 2.0), "b") if isinstance(frame, SwimPing)]


@pytest.mark.parametrize(("answers", "health"), [(0, 2), (1, 0), (2, 0)])
def test_one_relay_that_answers_shows_that_it_is_not_us(answers: int, health: int) -> None:
    """The silence of the others is their own: behind one cut, all of them are silent together."""
    swim, requests = _swim("b", "c", "d"), list[tuple[str, SwimPingRequest]]()
    while not requests:
        effects = [effect for effect in swim.tick(swim.next_tick()) if isinstance(effect, SendTo)]
        requests = [(one.name, one.frame) for one in effects if isinstance(one.frame, SwimPingRequest)]
    for relay, request in requests[:answers]:
        swim.received(NodeId(relay, 1), SwimNack(request.id), swim.next_tick())
    while "suspect" not in _states(swim).values():
        swim.tick(swim.next_tick())

    assert len(requests) == 2
    assert swim.health == health


def test_a_later_run_takes_the_name_at_another_address() -> None:
    """A node that was restarted is another run: nobody waits for the old one to be found dead."""
    swim = _swim("b", "c")
    swim.unlinked("b", "reset", 1.0)

    newcomer = MemberRecord("b", 2, 0, RecordState.ALIVE, "elsewhere:1")
    swim.linked(newcomer, 0, 1.1)

    (member,) = (member for member in swim.members() if member.name == "b")
    assert (member.epoch, member.address, member.reachable) == (2, "elsewhere:1", True)


def test_a_name_whose_bearer_answers_is_refused_to_a_newcomer() -> None:
    """The link of the newcomer is held back while the bearer is asked."""
    swim = _swim("b")
    newcomer = MemberRecord("b", 2, 0, RecordState.ALIVE, "elsewhere:1")

    asked = swim.linked(newcomer, 0, 0.1)
    swim.received(NodeId("b", 1), SwimAck(1, swim.digest), 0.2)
    effects = _advance(swim, 0.7)

    assert isinstance(_sent(asked, "b")[0], SwimPing)
    assert Refuse(NodeId("b", 2), _record("b")) in effects
    assert _states(swim)["b"] == "alive"


def test_a_claim_that_gossip_has_settled_costs_the_newcomer_no_link() -> None:
    """It was held back here, others told of it, and it came again, before the bearer's time was up."""
    swim = _swim("b", "c")
    swim.linked(_record("b", 2), 0, 1.0)
    swim.received(NodeId("c", 1), SwimGossip([Rumour(_record("b", 2))]), 1.1)
    swim.linked(_record("b", 2), 0, 1.2)

    effects = _advance(swim, 1.9)

    assert not [one for one in effects if isinstance(one, CloseLink)]
    assert swim.linked_to(NodeId("b", 2))


def test_a_run_that_hears_of_a_later_one_is_over() -> None:
    """Two runs of one name never argue by incarnations."""
    effects = _swim("b").received(NodeId("b", 1), SwimGossip([Rumour(_record("a", 6))]), 1.0)

    assert Superseded(_record("a", 6)) in effects


def test_who_leaves_is_gone_and_not_dead_and_is_not_dialled() -> None:
    """The goodbye is confirmed by the living, and nobody looks for who left."""
    left, stays = _swim("b"), Swim(NodeId("b", 1), "b:1", LAN, Random(2), 0.0)
    stays.linked(left.record, 0, 0.0)
    goodbye = _sent(left.leave(1.0), "b")
    answers = [effect for frame in goodbye for effect in stays.received(NodeId("a", 5), frame, 1.1)]
    effects = [effect for frame in _sent(answers, "a") for effect in left.received(NodeId("b", 1), frame, 1.2)]
    after = stays.unlinked("a", "reset", 1.3)

    assert Departed(1) in effects
    assert _states(stays)["a"] == "left"
    assert not [effect for effect in (*after, *stays.tick(1.35)) if isinstance(effect, DialAddress)]


def test_a_node_that_was_stopped_blames_nobody() -> None:
    """A tick that comes far too late moves all deadlines: what was sent meanwhile is still to be read."""
    swim = _swim("b", "c")
    swim.received(NodeId("c", 1), SwimGossip([Rumour(_record("b", state=RecordState.SUSPECT), "c")]), 0.1)

    effects = swim.tick(60.0)

    assert not [effect for effect in effects if isinstance(effect, MemberChanged)]
    assert swim.health == LAN.health_max
    assert "dead" not in _states(swim).values()


def test_what_is_heard_after_a_stop_is_not_excused_by_it() -> None:
    """A driver reads before it ticks: a suspicion that begins then lasts as long as any."""
    swim = _swim("b", "c")
    swim.received(NodeId("c", 1), SwimGossip([Rumour(_record("b", state=RecordState.SUSPECT), "c")]), 60.0)
    swim.tick(60.0)

    _advance(swim, 60.0 + suspicion_s(LAN, 3, 0) + LAN.probe_s)

    assert _states(swim)["b"] == "dead"


def test_a_suspicion_that_accusers_end_at_once_is_no_stop_of_ours() -> None:
    """It would have been over already with so many of them from the beginning; nobody has slept, and it ends now."""
    swim = _swim("b", "c", "d", "e", "f")
    swim.received(NodeId("c", 1), SwimGossip([Rumour(_record("b", state=RecordState.SUSPECT), "c")]), 0.1)
    assert suspicion_s(LAN, 6, 2) < 4.5 < 6.0 < suspicion_s(LAN, 6, 1)
    _advance_among(swim, 6.0, *"cdef")
    assert _states(swim)["b"] == "suspect"
    health = swim.health

    swim.received(NodeId("d", 1), SwimGossip([Rumour(_record("b", state=RecordState.SUSPECT), "d")]), 6.0)
    due = swim.next_tick()
    swim.tick(6.0)

    assert due == 6.0
    assert _states(swim)["b"] == "dead"
    assert swim.health == health


def test_a_stop_is_noticed_once() -> None:
    """What was weighed of a lost link before it does not come due again in the past."""
    swim = _swim("b", "c", "d")
    swim.unlinked("b", "reset", 1.0)
    _advance_among(swim, 1.0 + LAN.lone_death_s, *"cd")
    before = swim.health

    now = swim.next_tick() + 1.0
    swim.tick(now)
    noticed = swim.health
    swim.tick(now)

    assert before < noticed == swim.health


def test_no_more_names_are_learned_than_there_is_room_for() -> None:
    """A flood of names fills no memory."""
    swim = _swim("b", options=replace(LAN, members_max=10))

    swim.received(NodeId("b", 1), SwimGossip([Rumour(_record(f"n{number}")) for number in range(100)]), 1.0)

    assert len(swim.members()) == 10


def test_the_silent_link_of_a_dead_member_is_kept_for_a_while_and_closed_once() -> None:
    """Who wakes up reads there that it is dead; who does not costs a link no longer than that."""
    swim = _swim("b", "c")
    swim.unlinked("c", "local", 0.0)
    accused = SwimGossip([Rumour(_record("b", state=RecordState.SUSPECT), "b")])
    swim.received(NodeId("b", 1), accused, 0.1)

    effects = _advance(swim, LAN.zombie_s + 60.0)

    reminders = [frame for frame in _sent(effects, "b") if frame == SwimGossip([Rumour(_record("b", state=DEAD))])]
    assert len(reminders) > LAN.zombie_s / LAN.remind_s - 2
    assert len([effect for effect in effects if isinstance(effect, CloseLink)]) == 1


def test_a_dead_member_whose_new_link_breaks_before_it_refutes_is_dialled_again() -> None:
    swim = _swim("b", "c")
    swim.unlinked("b", "reset", 1.0)
    dead = swim.received(NodeId("c", 1), SwimGossip([Rumour(_record("b", state=DEAD))]), 1.0)
    assert [one for one in (*dead, *_advance(swim, 1.05)) if isinstance(one, DialAddress) and one.name == "b"]

    swim.linked(_record("b"), swim.digest, 1.1)
    swim.unlinked("b", "reset", 1.15)

    assert [one for one in _advance(swim, 5.0) if isinstance(one, DialAddress) and one.name == "b"]


def test_a_name_that_no_node_can_bear_is_an_error() -> None:
    """What is shown and dialled is checked where it comes in."""
    with pytest.raises(ProtocolError, match="name"):
        _swim("b").received(NodeId("b", 1), SwimGossip([Rumour(_record("no name"))]), 1.0)


def test_a_run_whose_incarnations_are_used_up_is_over() -> None:
    """It cannot refute any more; the next run can."""
    accusation = _record("a", 5, INCARNATION_MAX, RecordState.SUSPECT)

    effects = _swim("b").received(NodeId("b", 1), SwimGossip([Rumour(accusation)]), 1.0)

    assert Superseded(accusation) in effects


def test_a_frame_of_another_run_is_fenced() -> None:
    """What a link to an earlier run still carries says nothing."""
    swim = _swim("b")

    assert swim.received(NodeId("b", 0), SwimPing(1), 1.0) == []
    assert swim.statistics.fenced == 1


def test_only_who_had_a_link_can_say_that_it_is_gone() -> None:
    """A node that has just met a member may have none yet: that is no sign of death."""
    swim = _swim("b")
    swim.received(NodeId("b", 1), SwimGossip([Rumour(_record("c"))]), 0.1)
    question = SwimLinkDown("c", 1, ask=True)
    assert _sent(swim.received(NodeId("b", 1), question, 0.2), "b") == []

    swim.linked(_record("c"), swim.digest, 0.3)
    assert _sent(swim.received(NodeId("b", 1), question, 0.4), "b") == [SwimLinkState("c", 1, up=True)]
    swim.unlinked("c", "silent", 0.5)
    assert SwimLinkState("c", 1, up=False) in _sent(swim.received(NodeId("b", 1), question, 0.6), "b")


def test_a_member_that_answers_by_another_way_is_not_suspected_though_no_link_to_it_stands() -> None:
    """The other way is asked with each probe of it, and what comes by it is an answer."""
    answered, silent = _swim("b"), _swim("b")
    for swim in (answered, silent):
        swim.unlinked("b", "local", 0.1)
    asked = 0
    while (now := answered.next_tick()) < 60:
        if Doubt("b") in answered.tick(now):
            asked += 1
            answered.heard("b", now + 0.01)
    _advance(silent, 60)

    assert asked > 20
    assert {member.name: member.state for member in answered.members()} == {"a": "alive", "b": "alive"}
    assert {member.name: member.state for member in silent.members()} == {"a": "alive", "b": "dead"}


def test_no_more_members_are_dialled_at_once_than_there_are_dials_for() -> None:
    """However many a peer has made up; whoever waits has its turn when a dial has ended, the longest waiting first."""
    swim = _swim("b", options=replace(LAN, dials_max=8))
    rumours = [Rumour(_record(f"x{number:03}")) for number in range(200)]
    dialled: list[str] = []
    busy: list[str] = []
    now = 0.2
    effects = swim.received(NodeId("b", 1), SwimGossip(rumours), now)
    while len(set(dialled)) < 200:
        effects += swim.tick(now)
        begun = [effect.name for effect in effects if isinstance(effect, DialAddress) and effect.name]
        dialled += begun
        busy += begun
        assert len(busy) <= 8
        assert not set(begun) & {"b"}
        assert swim.next_tick() > now, "a full plan of dials is looked at when one has ended, and not all the time"
        now += 0.01
        effects = swim.dial_failed(busy.pop(0), "timeout", now)
    assert len(dialled) == 200, "nobody twice before everybody once"
