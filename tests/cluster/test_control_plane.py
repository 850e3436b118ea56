"""The shell of the control links, where it is more than its core."""

from __future__ import annotations

import asyncio
import itertools
import random

from liminal_mesh.cluster.auth import derive_key
from liminal_mesh.cluster.control import Control
from liminal_mesh.cluster.control_plane import ControlPlane
from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.link import MeshLimits
from liminal_mesh.cluster.membership import Member, MemberChanged
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.outbound import Outbound
from liminal_mesh.cluster.swim import LAN
from liminal_mesh.cluster.tcp import TcpNetwork


class _Owner:
    """Meets somebody new as soon as it hears of ``a``, as the sessions may."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.plane: ControlPlane | None = None

    def member_changed(self, change: MemberChanged) -> None:
        assert change.after is not None
        self.told.append(change.after.name)
        if change.after.name == "a":
            assert self.plane is not None
            self.plane.met(NodeId("c", 1), "c:1")

    def member_doubted(self, name: str) -> None:
        raise AssertionError(name)

    def member_departed(self) -> None:
        raise AssertionError

    def mesh_failed(self, error: Exception) -> None:
        raise error


async def test_what_an_effect_brings_about_comes_after_the_effects_before_it() -> None:
    """Effects are carried out in the order in which the core asked for them, whoever calls it in between."""
    numbers = itertools.count()
    options, now = PeeringOptions("test", "m:1"), asyncio.get_running_loop().time()
    key = derive_key(b"a cookie for the control plane's", "test")
    core = Control(
        NodeId("m", 1),
        bytes(8),
        [key],
        options,
        LAN,
        random.Random(1),
        lambda: next(numbers).to_bytes(32, "big"),
        lambda: 0,
        now,
    )
    owner = _Owner()
    plane = owner.plane = ControlPlane(core, Outbound(TcpNetwork(), {}), MeshLimits(), owner)
    a, b = (Member(name, 1, 0, "alive", False, False, f"{name}:1") for name in "ab")

    plane._do([MemberChanged(None, a), MemberChanged(None, b)])

    assert owner.told == ["a", "b", "c"]
