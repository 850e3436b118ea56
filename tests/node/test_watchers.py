"""The table of watchers."""

from __future__ import annotations

import gc

from liminal_mesh.node.watchers import Watchers


class Listener:
    """Notes what it is told, in a list that it shares."""

    def __init__(self, name: str, told: list[tuple[str, int]]) -> None:
        self.name = name
        self._told = told

    def note(self, change: int) -> None:
        """It has changed."""
        self._told.append((self.name, change))


def test_changes_are_told_in_the_order_in_which_watchers_began() -> None:
    """Of what they watch, and of nothing else."""
    table, told = Watchers[str, int](), list[tuple[str, int]]()
    listeners = [Listener(str(number), told) for number in range(50)]
    for listener in (*listeners[25:], *listeners[:25]):
        table.add("x", listener)
    table.add("y", listeners[0])
    table.tell("x", 1)
    table.tell("z", 2)

    assert told == [(str(number % 50), 1) for number in range(25, 75)]


def test_a_watcher_that_was_dropped_is_told_no_more_and_not_held() -> None:
    """What nobody watches any more is forgotten when it is looked at."""
    table, told = Watchers[str, int](), list[tuple[str, int]]()
    stays, goes = Listener("stays", told), Listener("goes", told)
    for listener in (stays, goes):
        table.add("x", listener)
        table.add("y", listener)
    table.remove("y", stays)
    table.remove("y", stays)
    table.remove("z", stays)
    del goes, listener
    gc.collect()
    table.prune("x")
    table.prune("y")
    table.tell("x", 1)
    table.tell("y", 1)

    assert told == [("stays", 1)]
    assert ("x" in table, "y" in table) == (True, False)
