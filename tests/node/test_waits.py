"""How a node waits: with one timer for many deadlines; and who does much in one turn of the loop gives way."""

import asyncio
import math

import pytest

from liminal_mesh.node import waits
from liminal_mesh.node.waits import TURN_BYTES, Alarm, Room, Sweep, Turn


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


async def test_who_waits_for_room_looks_again_now_and_then_and_no_timer_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After somebody has looked whether there is still hope; nobody looks while nobody waits."""
    monkeypatch.setattr(waits, "LOOK_S", 0.01)
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1

    room = Room(look)
    await room.until(lambda: looks == 3)
    room.then(lambda: None)
    room.notify()
    await asyncio.sleep(0.05)
    assert looks == 3


async def test_an_alarm_rings_at_the_earliest_moment_that_was_said_and_then_as_it_is_told() -> None:
    """A later one is passed over, since it is told when the alarm has rung."""
    loop = asyncio.get_running_loop()
    began, rung, over = loop.time(), [], asyncio.Event()
    nexts = iter((0.03, 0.06))

    def look() -> float:
        rung.append(loop.time() - began)
        following = next(nexts, None)
        if following is None:
            over.set()
            return math.inf
        return began + following

    alarm = Alarm(look)
    alarm.set(began + 600)
    alarm.set(began + 0.01)
    alarm.set(began + 0.5)
    await over.wait()
    assert [int(at * 100 + 0.01) for at in rung] == sorted({int(at * 100 + 0.01) for at in rung})
    assert len(rung) == 3
    assert rung[0] >= 0.009


async def test_an_alarm_that_is_closed_rings_no_more() -> None:
    """It can be set again."""
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()

    def look() -> float:
        rung.set()
        return math.inf

    alarm = Alarm(look)
    alarm.set(loop.time())
    alarm.close()
    await asyncio.sleep(0.001)
    assert not rung.is_set()
    alarm.set(loop.time() + 0.001)
    await rung.wait()


async def test_a_sweep_expires_each_once_and_at_its_end_all() -> None:
    """What was removed is not expired."""
    expired: list[str] = []
    some = asyncio.Event()

    def expire(item: str) -> None:
        expired.append(item)
        some.set()

    sweep = Sweep(expire)
    sweep.remove("removed", sweep.add("removed", 0.0))
    sweep.add("later", 60.0)
    sweep.add("soon", 0.01)
    await some.wait()
    assert expired == ["soon"]
    sweep.close()
    assert expired == ["soon", "later"]
