"""A defect in a turn of the mesh ends the node by name: half of what was due is not done, and nobody else says so."""

from __future__ import annotations

from typing import NoReturn

import pytest

from liminal_mesh.node import status

from ..nodes import mesh, until


@pytest.mark.parametrize("turn", ["tick", "gossiped"])
async def test_what_breaks_in_a_turn_of_the_mesh_is_the_nodes_failure(
    turn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a timer, or in what gossip has brought: the node is not ready, and its event says why."""

    def broken(*_: object) -> NoReturn:
        raise ArithmeticError("planted")

    async with mesh(2) as (a, b):
        peering, hub = a.running.peering, a.running.hub
        assert peering is not None
        assert hub.mesh is not None
        monkeypatch.setattr(peering, turn, broken)
        if turn == "tick":
            hub.mesh.member_doubted("b")  # asks the session, which plans a tick
        else:
            await b.stop()
        await until(a, lambda: hub.failure is not None)

        assert isinstance(hub.failure, ArithmeticError)
        assert "failed" in status.ready(a.running)["unmet"]
        monkeypatch.undo()
