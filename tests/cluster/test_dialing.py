"""Whom to dial, and when: the plan alone, with a clock of its own."""

from __future__ import annotations

import math
from random import Random

from liminal_mesh.cluster.dialing import Dialer
from liminal_mesh.cluster.options import PeeringOptions


def dialer(me: str = "m", seeds: str = "", **options: float) -> Dialer:
    """Make the plan of node ``me``."""
    addresses = tuple(f"{seed}:1" for seed in seeds.split())
    plan = Dialer(me, PeeringOptions("test", f"{me}:1", addresses, **options), Random(1))  # type: ignore[arg-type]
    for address in addresses:
        plan.stand_for(address, [address], -math.inf)
    return plan


def keys(plan: Dialer, now: float) -> list[str]:
    """Return the targets that are dialled now."""
    return [target.key for target in plan.due(now)]


def test_seeds_are_dialled_at_once_and_one_at_a_time() -> None:
    """All of them, but none twice while its dial is in flight."""
    plan = dialer(seeds="a b")

    assert keys(plan, 0) == ["a:1", "b:1"]
    assert keys(plan, 100) == []
    assert plan.next_due() == math.inf


def test_a_failed_target_is_dialled_for_ever() -> None:
    """The pause falls at random into an interval that doubles from 0.1 s to 1.5 s."""
    plan = dialer(seeds="a")
    now, pauses = 0.0, []
    for _ in range(300):
        assert keys(plan, now) == ["a:1"]
        plan.failed("a:1", now)
        pauses.append(plan.next_due() - now)
        now = plan.next_due()

    assert [pause <= limit for pause, limit in zip(pauses, (0.1, 0.2, 0.4, 0.8, 1.5), strict=False)] == [True] * 5
    assert 1.2 < max(pauses) <= 1.5
    assert min(pauses[5:]) < 0.2
    assert 0.6 < sum(pauses[5:]) / len(pauses[5:]) < 0.9


def test_a_learned_peer_is_dialled_by_the_lower_name_first() -> None:
    """R25: the higher leaves it a second and a bit."""
    plan = dialer("m")
    plan.learn("z", 1, "z:1", 10)
    plan.learn("a", 1, "a:1", 10)

    assert keys(plan, 10) == ["z"]
    assert 11 <= plan.next_due() <= 11.5
    assert keys(plan, 11.5) == ["a"]


def test_after_a_loss_the_higher_name_waits_less() -> None:
    """It may be the only one who noticed."""
    plan = dialer("m")
    for name in ("a", "z"):
        plan.linked(name, 1, f"{name}:1", 10)
        plan.unlinked(name, 20)

    assert keys(plan, 20.1) == ["z"]
    assert 20.25 <= plan.next_due() <= 20.5


def test_a_linked_peer_is_not_dialled() -> None:
    """Neither as a peer nor by the seed that leads to it, until the session ends."""
    plan = dialer(seeds="z")
    assert keys(plan, 0) == ["z:1"]
    plan.reached("z:1", "z")
    plan.linked("z", 1, "z:1", 0)
    plan.learn("z", 1, "z:1", 1)
    assert keys(plan, 100) == []

    plan.unlinked("z", 100)
    assert keys(plan, 101) == ["z"]


def test_one_dial_for_a_peer_that_has_two_addresses() -> None:
    """A seed that leads to it by another address takes turns with the address that it tells."""
    plan = dialer(seeds="alias")
    assert keys(plan, 0) == ["alias:1"]
    plan.reached("alias:1", "z")
    plan.linked("z", 1, "z:1", 0)
    plan.unlinked("z", 10)
    (first,) = keys(plan, 11)
    assert keys(plan, 12) == []
    plan.failed(first, 12)
    (second,) = keys(plan, 14)

    assert {first, second} == {"alias:1", "z"}


def test_one_dial_for_an_address_that_two_targets_have() -> None:
    """A seed that nobody answered at yet, and a peer that others say is there."""
    plan = dialer("a", seeds="z")
    plan.learn("z", 1, "z:1", 0)
    (first,) = keys(plan, 0)
    assert keys(plan, 1) == []
    plan.failed(first, 1)
    assert len(keys(plan, 3)) == 1

    plan.linked("z", 1, "z:1", 3)
    assert keys(plan, 100) == []


def test_whoever_left_is_not_dialled_but_seeds_are() -> None:
    """Until it is back, or somebody is linked with a later run of it."""
    plan = dialer(seeds="z")
    plan.due(0)
    plan.reached("z:1", "z")
    plan.linked("z", 1, "z:1", 0)
    plan.rest("z", 1, left=True)
    plan.unlinked("z", 10)
    assert keys(plan, 20) == ["z:1"]

    plan = dialer()
    plan.linked("z", 1, "z:1", 0)
    plan.rest("z", 1, left=True)
    plan.unlinked("z", 10)
    assert keys(plan, 100) == []
    plan.learn("z", 1, "z:1", 100)
    assert keys(plan, 200) == []
    plan.learn("z", 2, "y:1", 200)
    assert [target.address for target in plan.due(201)] == ["y:1"]


def test_what_a_peer_says_of_itself_overrules_what_others_say() -> None:
    """Its address, and hearsay of the same run changes nothing."""
    plan = dialer()
    plan.learn("z", 1, "wrong:1", 0)
    plan.linked("z", 1, "z:1", 0)
    plan.unlinked("z", 10)
    plan.learn("z", 1, "wrong:1", 10)

    assert [target.address for target in plan.due(20)] == ["z:1"]


def test_our_own_address_is_tried_seldom() -> None:
    """A seed that turned out to be us may be another node the next time; our name is never learned."""
    plan = dialer(seeds="m z")
    plan.due(0)
    plan.failed("m:1", 0)
    plan.itself("m:1", 0)
    plan.learn("m", 7, "m:1", 0)
    plan.failed("z:1", 0)

    assert keys(plan, 4.9) == ["z:1"]
    assert keys(plan, 5) == ["m:1"]


def test_a_peer_whose_address_is_ours_is_dialled_there_no_more() -> None:
    """Somebody was mistaken about where it is."""
    plan = dialer()
    plan.learn("z", 1, "m:1", 0)
    plan.due(0)
    plan.failed("z", 0)
    plan.itself("z", 0)

    assert keys(plan, 100) == []


def test_an_address_that_another_node_has_is_dropped() -> None:
    """The peer's name is dialled there no more; a seed keeps its address, whoever answers."""
    plan = dialer(seeds="s")
    plan.learn("z", 1, "z:1", 0)
    assert keys(plan, 1) == ["s:1", "z"]
    plan.reached("z", "y")
    plan.failed("z", 1)
    plan.reached("s:1", "y")
    plan.failed("s:1", 1)

    assert keys(plan, 100) == ["s:1"]


def test_dials_in_flight_are_bounded() -> None:
    """The others follow when some have ended."""
    plan = dialer(seeds=" ".join(f"s{number}" for number in range(40)), dials_max=32)
    first = keys(plan, 0)
    assert len(first) == 32
    assert plan.next_due() == math.inf
    plan.failed(first[0], 0)
    plan.failed(first[1], 0)

    assert plan.next_due() == -math.inf
    assert len(keys(plan, 0.0)) == 2


def test_hearsay_is_bounded() -> None:
    """A peer cannot make us dial the world."""
    plan = dialer("a", peers_max=3)
    for number in range(10):
        plan.learn(f"n{number}", 1, f"n{number}:1", 0)

    assert len(keys(plan, 10)) == 3


def test_who_is_no_member_any_more_is_dropped_and_who_is_back_is_dialled() -> None:
    """Linked ones and seeds stay."""
    plan = dialer("a", seeds="s")
    for name in "xyz":
        plan.linked(name, 1, f"{name}:1", 0)
    for name in "yz":
        plan.unlinked(name, 10)
        plan.rest(name, 1, left=False)
    for name in "sxy":
        plan.drop(name)
    assert keys(plan, 100) == ["s:1"]

    plan.back("z", 1, "z:1", 100)
    assert keys(plan, 100) == ["z"]


def test_a_plan_that_is_stopped_dials_nobody() -> None:
    """Not even seeds."""
    plan = dialer(seeds="s")
    plan.stop()

    assert keys(plan, 100) == []
    assert plan.next_due() == math.inf


def test_what_a_seed_stands_for_changes() -> None:
    """New addresses are dialled at once, those that are gone not again; a dial in flight comes to its end."""
    plan = dialer()
    plan.stand_for("mesh", ["x:1", "y:1"], 0)
    assert keys(plan, 0) == ["x:1", "y:1"]
    plan.failed("y:1", 0, "nothing-listens")
    plan.stand_for("mesh", ["z:1"], 1)
    assert keys(plan, 10) == ["z:1"]
    assert [attempt.address for attempt in plan.attempts()] == ["z:1"]

    plan.stand_for("mesh", ["x:1"], 11)  # its dial of before is in flight still
    assert keys(plan, 12) == []
    plan.failed("x:1", 12)
    assert keys(plan, 14) == ["x:1"]
    plan.stand_for("mesh", [], 15)
    plan.failed("x:1", 15)
    plan.failed("z:1", 15)
    assert (keys(plan, 100), plan.attempts()) == ([], ())


def test_an_address_stays_while_any_seed_stands_for_it() -> None:
    """And is one target."""
    plan = dialer()
    plan.stand_for("one", ["x:1"], 0)
    plan.stand_for("two", ["x:1"], 0)
    assert keys(plan, 0) == ["x:1"]
    plan.failed("x:1", 0)
    plan.stand_for("one", [], 0)

    assert keys(plan, 10) == ["x:1"]


def test_a_new_address_of_a_linked_peer_is_not_dialled() -> None:
    """Whose it is, the peer has told."""
    plan = dialer()
    plan.linked("z", 1, "z:1", 0)
    plan.stand_for("mesh", ["z:1"], 1)

    assert keys(plan, 2) == []
    assert plan.settled("mesh")


def test_a_seed_is_settled_when_all_its_addresses_led_to_peers_or_to_ourselves() -> None:
    """Then another lookup can tell nothing that matters."""
    plan = dialer()
    plan.stand_for("mesh", ["z:1", "m:1"], 0)
    plan.due(0)
    assert not plan.settled("mesh")
    plan.failed("m:1", 0, "self")
    plan.itself("m:1", 0)
    plan.reached("z:1", "z")
    assert not plan.settled("mesh")
    plan.linked("z", 1, "z:1", 0)
    assert plan.settled("mesh")
    plan.unlinked("z", 1)
    assert not plan.settled("mesh")
    plan.stand_for("mesh", [], 2)
    assert not plan.settled("mesh")


def test_how_the_last_dial_of_each_target_ended_is_kept() -> None:
    """Why, and when; a linked one is that and no more."""
    plan = dialer(seeds="s")
    plan.learn("z", 1, "z:1", 0)
    plan.due(0)
    plan.failed("s:1", 7, "cookie", "they differ")
    plan.linked("z", 1, "z:1", 8)
    seed, peer = plan.attempts()

    assert (seed.address, seed.seed, seed.code, seed.detail, seed.at) == ("s:1", True, "cookie", "they differ", 7)
    assert (peer.address, peer.seed, peer.peer, peer.code, peer.at) == ("z:1", False, "z", "linked", None)
