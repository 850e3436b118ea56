"""Whose word counts on a control connection, and from when on."""

from __future__ import annotations

import random

from liminal_mesh.cluster import Control, NodeId, PeeringOptions
from liminal_mesh.cluster.control_frames import CONTROL_HELLO, Greeting
from liminal_mesh.cluster.control_link import NEWCOMERS_MAX
from liminal_mesh.cluster.effects import Close, Failed, Send
from liminal_mesh.cluster.frames import Hello, Refusal
from liminal_mesh.cluster.handshake import CONTROL, NO_FACTS, Handshake
from liminal_mesh.cluster.swim import LAN, DialAddress
from liminal_mesh.cluster.swim_frames import MemberRecord, RecordState

REFUSAL, GREETING = CONTROL_HELLO + 3, CONTROL_HELLO + 4


def node_a() -> Control:
    """Return the control links of a node ``a``, none so far."""
    nonces = random.Random(1)
    options = PeeringOptions("mesh", "127.0.0.1:7601")
    return Control(
        NodeId("a", 5), b"run-of-a", [b"key"], options, LAN, random.Random(1), lambda: nonces.randbytes(32), int, 0.0
    )


def proved(control: Control, conn: int, name: str) -> None:
    """Let a node of this name connect, and prove itself."""
    mine = Hello(1, 1, "mesh", name, 7, b"another.", b"n" * 32, "127.0.0.1:7602", [CONTROL])
    handshake = Handshake(mine, [b"key"], "dialler", lambda _: NO_FACTS)
    control.accepted(conn, "", 0.0)
    answers = control.received(conn, CONTROL_HELLO, mine, 0.0)
    for effect in answers:
        if isinstance(effect, Send):
            control.received(conn, CONTROL_HELLO + 2, handshake.received(effect.frame)[0], 0.0)
    assert control.state(conn) == "greeting"


def test_who_has_not_proved_anything_cannot_end_a_run_by_telling_of_a_later_one() -> None:
    """Whatever listens at a seed's address may say so, in place of its Welcome."""
    control = node_a()
    control.dialed(1, DialAddress("127.0.0.1:7602", "", 2.0), 0.0)

    effects = control.received(1, REFUSAL, Refusal("stale-epoch", "a later run is known", 10**15), 0.1)

    assert any(isinstance(effect, Close) for effect in effects)
    assert not any(isinstance(effect, Failed) for effect in effects), effects


def test_who_greets_with_an_address_that_cannot_be_is_no_member() -> None:
    """Everybody would be told to dial it."""
    control = node_a()
    proved(control, 1, "b")

    effects = control.received(1, GREETING, Greeting(MemberRecord("b", 7, 0, RecordState.ALIVE, "b"), 0, 0, 0), 0.1)

    assert [effect.reason for effect in effects if isinstance(effect, Close)] == [
        "protocol error: a node with an impossible address"
    ]
    assert [member.name for member in control.swim.members()] == ["a"]


def test_our_own_dials_leave_others_their_room() -> None:
    """A large mesh that heals is dialled by everybody, and dials everybody."""
    control = node_a()
    for conn in range(NEWCOMERS_MAX):
        control.dialed(conn, DialAddress(f"127.0.0.1:{7700 + conn}", f"n{conn}", 2.0), 0.0)

    for conn in range(100, 100 + NEWCOMERS_MAX):
        assert control.accepted(conn, "", 0.0) == []
    assert [type(effect) for effect in control.accepted(99, "", 0.0)] == [Close]
