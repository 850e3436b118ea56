"""Whose word counts on a control connection, and from when on."""

from __future__ import annotations

import random

from liminal_mesh.cluster import Control, NodeId, PeeringOptions
from liminal_mesh.cluster.control_frames import CONTROL_HELLO
from liminal_mesh.cluster.effects import Close, Failed
from liminal_mesh.cluster.frames import Refusal
from liminal_mesh.cluster.swim import LAN, DialAddress

REFUSAL = CONTROL_HELLO + 3


def test_who_has_not_proved_anything_cannot_end_a_run_by_telling_of_a_later_one() -> None:
    """Whatever listens at a seed's address may say so, in place of its Welcome."""
    nonces = random.Random(1)
    options = PeeringOptions("mesh", "127.0.0.1:7601")
    control = Control(
        NodeId("a", 5), b"run-of-a", [b"key"], options, LAN, random.Random(1), lambda: nonces.randbytes(32), int, 0.0
    )
    control.dialed(1, DialAddress("127.0.0.1:7602", "", 2.0), 0.0)

    effects = control.received(1, REFUSAL, Refusal("stale-epoch", "a later run is known", 10**15), 0.1)

    assert any(isinstance(effect, Close) for effect in effects)
    assert not any(isinstance(effect, Failed) for effect in effects), effects
