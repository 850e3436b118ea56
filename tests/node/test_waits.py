"""How a node waits: who does much in one turn of the loop gives way, and who does little does not."""

import asyncio

from liminal_mesh.node.waits import TURN_BYTES, Turn


class _Others:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.turns = 0
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.turns += 1
        asyncio.get_running_loop().call_soon(self._next)


async def test_little_in_a_turn_never_waits() -> None:
    others, turn = _Others(), Turn()
    for _ in range(100):
        await turn.give_way(TURN_BYTES // 2)
        before = others.turns
        await turn.give_way(TURN_BYTES // 2)
        assert others.turns == before
        await asyncio.sleep(0)


async def test_a_tight_loop_gives_way_to_others_each_time_that_it_has_done_much() -> None:
    others, turn = _Others(), Turn()
    for _ in range(100):
        await turn.give_way(TURN_BYTES // 4)

    assert 15 <= others.turns <= 30
