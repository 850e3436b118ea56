"""When names are looked up, and what comes of it: the plan alone, and whole cores in a world that answers names."""

from __future__ import annotations

import math
from random import Random

import pytest

from liminal_mesh.cluster.discovery import Discovery
from liminal_mesh.cluster.effects import Dial, Resolve, SeedChanged
from liminal_mesh.cluster.options import PeeringOptions

from ..sim.watching import all_linked, of
from ..sim.world import World

MESH = "dns://mesh:7601"


class Plan:
    """A plan whose mesh is whole or not, as the test says."""

    def __init__(self, *seeds: str, **options: float) -> None:
        self.wanted = True
        plain = PeeringOptions("test", "m:1", seeds, **options)  # type: ignore[arg-type]
        self.core = Discovery(plain, Random(1), lambda _: self.wanted)


def test_names_are_looked_up_at_once_and_one_at_a_time() -> None:
    """Addresses are not."""
    plan = Plan("a:1", MESH, "srv://_mesh._tcp.test").core

    assert plan.due(0) == [MESH, "srv://_mesh._tcp.test"]
    assert plan.due(100) == []
    assert plan.next_due() == math.inf
    assert [state.addresses for state in plan.states()] == [("a:1",), (), ()]


@pytest.mark.parametrize("failure", ["", "NXDOMAIN"])
def test_a_name_is_looked_up_for_ever_while_more_is_wanted(failure: str) -> None:
    """The pause doubles from half a second to five, and half of it either way is chance."""
    plan, now, pauses = Plan(MESH).core, 0.0, []
    for _ in range(300):
        assert plan.due(now) == [MESH]
        plan.answered(MESH, () if failure else ("a:1",), failure, now)
        pauses.append(plan.next_due() - now)
        now = plan.next_due()

    assert [pause <= limit * 1.5 for pause, limit in zip(pauses, (0.5, 1, 2, 4, 5), strict=False)] == [True] * 5
    assert 2.5 <= min(pauses[5:]) < 3
    assert 7 < max(pauses[5:]) <= 7.5


def test_a_whole_mesh_looks_nothing_up() -> None:
    """Until somebody is lost: then soon, but not all nodes in the same moment."""
    plan = Plan(MESH)
    plan.core.due(0)
    plan.core.answered(MESH, ("a:1",), "", 0)
    plan.wanted = False
    assert plan.core.next_due() == math.inf
    assert plan.core.due(1000) == []

    plan.wanted = True
    plan.core.lost(1000)
    assert 1000 < plan.core.next_due() <= 1000.5
    assert plan.core.due(1001) == [MESH]
    for _ in range(8):
        plan.core.answered(MESH, ("a:1",), "", 1001)
    plan.core.lost(1001)
    assert 1001 < plan.core.next_due() <= 1001.5


def test_a_whole_mesh_still_asks_where_the_last_answer_was_a_failure() -> None:
    """Else it would stand in the status for ever, and nobody would know of the next address in time."""
    plan = Plan(MESH)
    plan.wanted = False
    assert plan.core.due(0) == []
    plan.wanted = True
    plan.core.due(0)
    plan.core.answered(MESH, (), "timeout", 0)
    plan.wanted = False

    assert plan.core.due(8) == [MESH]
    plan.core.answered(MESH, ("a:1",), "", 8)
    assert plan.core.due(1000) == []


def test_a_failure_takes_nothing_away_and_is_news_once() -> None:
    """Whom the last good answer named is dialled on; another failure is news again, and so is the end of it."""
    plan = Plan(MESH).core
    said = []
    for addresses, failure in [
        (["a:1"], ""),
        ((), "timeout"),
        ((), "timeout"),
        ((), "NXDOMAIN"),
        (["a:1"], ""),
        (["a:1"], ""),
        (["b:1", "a:1"], ""),
        (["a:1", "b:1"], ""),
    ]:
        plan.due(math.inf)
        state = plan.answered(MESH, addresses, failure, 7)
        said.append((state.addresses, state.failure) if state else None)

    assert said == [
        (("a:1",), ""),
        (("a:1",), "timeout"),
        None,
        (("a:1",), "NXDOMAIN"),
        (("a:1",), ""),
        None,
        (("b:1", "a:1"), ""),
        None,
    ]
    assert plan.states()[0].at == 7


def test_an_answer_is_bounded() -> None:
    """Whoever answers for a name cannot make us dial the world."""
    plan = Plan(MESH, peers_max=3).core
    plan.due(0)
    plan.answered(MESH, [f"n{number}:1" for number in range(1000)], "", 0)

    assert len(plan.states()[0].addresses) == 3


def test_a_plan_that_is_stopped_asks_nobody_and_takes_no_answer() -> None:
    """A lookup that was under way comes to nothing."""
    plan = Plan(MESH).core
    plan.due(0)
    plan.stop()

    assert plan.answered(MESH, ("a:1",), "", 1) is None
    assert plan.next_due() == math.inf


def test_nodes_that_know_one_name_alone_find_each_other() -> None:
    """Each finds itself behind it too, and that is no harm."""
    world = World()
    world.names["mesh"] = ["a:7601", "b:7601", "c:7601"]
    hosts = [world.add(name, expected=3, names=MESH) for name in "abc"]

    assert world.run_until(lambda: all_linked(*hosts), 3) < 1
    # Whole, and each address leads to somebody: nobody asks any more.
    world.run(10)
    asked = [len(of(Resolve, host)) for host in hosts]
    world.run(100)
    assert [len(of(Resolve, host)) for host in hosts] == asked


def test_a_node_that_comes_later_is_found_when_the_answer_names_it() -> None:
    """It knows nobody, and nobody knows it but the name."""
    world = World()
    world.names["mesh"] = ["a:7601"]
    a, b = world.add("a", expected=3, names=MESH), world.add("b", expected=3, names=MESH)
    world.run_until(lambda: all_linked(a, b), 3)
    c = world.add("c")
    world.run(20)
    assert not c.core.sessions()
    world.names["mesh"] = ["c:7601"]

    assert world.run_until(lambda: all_linked(a, b, c), 10) < 9


def test_all_seeds_down_then_up() -> None:
    """No such name, then an address where nobody is, then somebody: the node asks and dials for ever."""
    world = World()
    a = world.add("a", names=f"{MESH} srv://_mesh._tcp.test")
    world.run(600)
    assert sorted((change.seed, change.failure) for change in of(SeedChanged, a)) == [
        (MESH, "NXDOMAIN"),
        ("srv://_mesh._tcp.test", "NXDOMAIN"),
    ]
    world.names["mesh"] = ["b:7601"]
    world.run(600)
    assert a.core.attempts()[0].code == "nothing-listens"
    b = world.add("b")

    assert world.run_until(lambda: all_linked(a, b), 3) < 2


def test_an_address_that_no_answer_names_any_more_is_dialled_no_more() -> None:
    """Also when its dial was in flight as the answer came; a peer that was linked is dialled as a peer."""
    world = World()
    world.names["mesh"] = ["old:7601"]
    a = world.add("a", names=MESH)
    world.run(5)
    world.names["mesh"] = ["b:7601"]
    world.run(10)
    begin = len(of(Dial, a))
    world.run(20)

    assert {dial.address for dial in of(Dial, a)[begin:]} == {"b:7601"}
    assert [attempt.address for attempt in a.core.attempts()] == ["b:7601"]


def test_a_dead_address_in_the_answer_of_a_whole_mesh_is_asked_about_again() -> None:
    """It goes on being dialled, so it is well to know when it is gone from the answer."""
    world = World()
    world.names["mesh"] = ["a:7601", "dead:7601"]
    a, b = world.add("a", expected=2, names=MESH), world.add("b", expected=2, names=MESH)
    world.run_until(lambda: all_linked(a, b), 3)
    world.names["mesh"] = ["a:7601"]
    world.run(20)
    begin = len(of(Dial, b))
    world.run(20)

    assert of(Dial, b)[begin:] == []


def test_one_address_behind_several_seeds_is_one_target() -> None:
    """And it stays one when only one of them still names it."""
    world = World()
    world.names["mesh"] = world.names["other"] = ["b:7601"]
    a = world.add("a", names=f"{MESH} dns://other:7601 b:7601")
    world.run(5)
    assert [attempt.address for attempt in a.core.attempts()] == ["b:7601"]
    world.names["mesh"] = world.names["other"] = ["c:7601"]
    world.run(20)

    assert [attempt.address for attempt in a.core.attempts()] == ["b:7601", "c:7601"]


def test_nothing_is_looked_up_while_leaving() -> None:
    """Nor is an answer that comes late followed."""
    world = World()
    world.names["mesh"] = ["b:7601"]
    a = world.add("a", names=MESH)
    world.run(5)
    a.drain()
    before = len(of(Resolve, a)), len(of(Dial, a))
    world.names["mesh"] = ["c:7601"]
    world.run(60)

    assert (len(of(Resolve, a)), len(of(Dial, a))) == before


def test_other_seeds_are_taken_and_what_is_known_of_those_that_stay_is_kept() -> None:
    """In the new order; a lookup of one that was given up comes to nothing."""
    plan = Plan("a:1", MESH, "dns://other:1").core
    plan.due(0)
    plan.answered(MESH, ("b:1",), "", 0)
    pause = plan.next_due()

    assert plan.reseed(("c:1", "dns://new:1", MESH)) == ["a:1", "dns://other:1"]
    assert [(state.seed, state.addresses) for state in plan.states()] == [
        ("c:1", ("c:1",)),
        ("dns://new:1", ()),
        (MESH, ("b:1",)),
    ]
    assert plan.due(0) == ["dns://new:1"]
    assert plan.next_due() == pause
    assert plan.answered("dns://other:1", ("d:1",), "", 1) is None


def test_a_node_with_other_seeds_finds_whom_they_lead_to_and_keeps_its_links() -> None:
    """It dials the new ones at once, and the old ones no more; a peer that only they led to stays linked."""
    world = World()
    world.names["mesh"] = ["c:7601"]
    a, b, c = world.add("a", "b dead"), world.add("b"), world.add("c")
    world.run_until(lambda: all_linked(a, b), 3)
    assert "c" not in a.core.sessions()

    a.reseed([MESH])
    assert world.run_until(lambda: all_linked(a, b, c), 3) < 1
    begin = len(of(Dial, a))
    world.run(60)
    assert [dial.address for dial in of(Dial, a)[begin:]] == []
    assert [state.seed for state in a.core.seeds()] == [MESH]

    world.crash(b)
    world.run(60)
    assert sorted((attempt.address, attempt.seed) for attempt in a.core.attempts()) == [
        ("b:7601", False),
        ("c:7601", False),
        ("c:7601", True),
    ]


def test_seeds_that_are_taken_while_leaving_are_not_dialled() -> None:
    """Nor looked up."""
    world = World()
    a = world.add("a")
    a.drain()
    a.reseed([MESH, "b:7601"])
    world.run(60)

    assert (of(Resolve, a), of(Dial, a)) == ([], [])
