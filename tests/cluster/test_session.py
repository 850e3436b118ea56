"""The agreement of two nodes on their session: both sides of it, without connections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import Adopt, AdoptAck, Hello, Redundant
from liminal_mesh.cluster.handshake import NO_FACTS, Facts
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.session import Pair

A, B = NodeId("a", 3), NodeId("b", 5)


def hello(node: NodeId, run: bytes = b"1st run.") -> Hello:
    """Make the Hello of a run of a node."""
    return Hello(1, 1, "test", node.name, node.epoch, run, bytes(32), f"{node.name}:7601")


def both() -> tuple[Pair, Pair]:
    """Return the two sides, each of which knows the other: the decider first."""
    decider, other = Pair(A, "b"), Pair(B, "a")
    decider.become(hello(B))
    other.become(hello(A))
    return decider, other


def adopt(decider: Pair, other: Pair, conn: int) -> None:
    """Make a connection the session on both sides."""
    offer, _ = decider.decide(conn, other.facts(hello(A)))
    assert isinstance(offer, Adopt)
    assert not other.passed(offer)
    other.accept(conn, offer)
    decider.acknowledge(conn, AdoptAck(offer.g))


def test_the_lower_name_decides() -> None:
    """And only one of the two."""
    decider, other = both()

    assert (decider.decides, other.decides) == (True, False)


def test_the_first_connection_becomes_the_session() -> None:
    """Both sides mean the same one, with the same number, and say so in their facts."""
    decider, other = both()
    assert decider.facts(hello(B)) == NO_FACTS
    adopt(decider, other, 10)

    assert (decider.conn, decider.g, decider.up) == (other.conn, other.g, other.up) == (10, 1, True)
    assert decider.facts(hello(B)) == other.facts(hello(A)) == Facts(3, 1, 1)


def test_a_second_connection_is_redundant() -> None:
    """R11: while one stands, or is on offer, and the other has not lost it."""
    decider, other = both()
    decider.decide(10, NO_FACTS)
    assert isinstance(decider.decide(11, NO_FACTS)[0], Redundant)

    decider, other = both()
    adopt(decider, other, 10)
    assert isinstance(decider.decide(11, other.facts(hello(A)))[0], Redundant)
    assert isinstance(decider.decide(11, Facts(3, 0, 0))[0], Redundant)
    assert isinstance(decider.decide(11, Facts(2, 1, 0))[0], Redundant)


def test_a_proof_of_loss_supersedes() -> None:
    """R12: none stands there, and the last one seen there is the one that stands here."""
    decider, other = both()
    adopt(decider, other, 10)
    other.release(10)

    answer, replaced = decider.decide(11, other.facts(hello(A)))

    assert (answer, replaced) == (Adopt(3, 2), 10)


def test_an_offer_may_replace_what_only_the_other_still_has() -> None:
    """The decider lost the session and the other did not notice: a later number ends the earlier."""
    decider, other = both()
    adopt(decider, other, 10)
    decider.release(10)
    offer, replaced = decider.decide(11, other.facts(hello(A)))
    assert isinstance(offer, Adopt)

    assert replaced is None
    assert other.accept(11, offer) == 10
    assert other.conn == 11


def test_numbers_never_go_back() -> None:
    """An offer that was overtaken by a later one is passed."""
    _, other = both()
    other.accept(10, Adopt(3, 4))

    assert other.passed(Adopt(3, 3))
    assert other.passed(Adopt(3, 4))
    assert not other.passed(Adopt(3, 5))
    with pytest.raises(ProtocolError):
        other.passed(Adopt(4, 5))


def test_an_answer_must_fit_the_offer() -> None:
    """Another number, another connection, a second answer."""
    decider, _ = both()
    decider.decide(10, NO_FACTS)
    for conn, g in ((10, 2), (11, 1)):
        with pytest.raises(ProtocolError):
            decider.acknowledge(conn, AdoptAck(g))
    decider.acknowledge(10, AdoptAck(1))
    with pytest.raises(ProtocolError):
        decider.acknowledge(10, AdoptAck(1))


def test_another_run_has_seen_nothing() -> None:
    """R8, R9: a later epoch, or the same by accident; and an earlier one is known to be over."""
    for run in (hello(NodeId("a", 4)), hello(A, b"2nd run.")):
        decider, other = both()
        adopt(decider, other, 10)
        assert other.facts(run) == NO_FACTS
        assert not other.knows(run)
        other.release(10)
        other.become(run)
        assert not other.passed(Adopt(run.epoch, 1))
    assert other.outdates(hello(NodeId("a", 2)))


@given(st.lists(st.tuples(st.sampled_from(("dial", "lose")), st.booleans()), max_size=60))
def test_both_end_at_the_same_session(story: list[tuple[str, bool]]) -> None:
    """Whatever is dialled and lost, on whichever side: once losses are known and one more is dialled, both agree."""
    decider, other = both()
    conns = iter(range(1, 1000))
    for event, side in story:
        if event == "dial":
            _dial(decider, other, next(conns), answered=side)
        else:
            losing = decider if side else other
            losing.release(losing.conn or 0)
    if decider.conn != other.conn:
        _settle(decider, other, next(conns))

    assert decider.conn == other.conn
    assert decider.g == other.g


def _dial(decider: Pair, other: Pair, conn: int, *, answered: bool) -> None:
    offer, _ = decider.decide(conn, other.facts(hello(A)))
    if isinstance(offer, Adopt):
        other.accept(conn, offer)
        if answered:
            decider.acknowledge(conn, AdoptAck(offer.g))


def _settle(decider: Pair, other: Pair, conn: int) -> None:
    """Let each side see the end of a connection that the other does not have, as sockets do, and dial once more."""
    for side in (decider, other):
        side.release(side.conn or 0)
    adopt(decider, other, conn)
