"""Who is linked with whom: one entry at each of the two processes, and one function that removes it.

A link between two nodes has its two entries at different places, so each side numbers the links that it makes. Both
entries hold both numbers: the link stands while either does, and an unlink names the numbers that it ends. So an
unlink that crosses a new link on the way does not end that one, and both sides come to the same end whatever the order
in which their frames meet. (A set from which only what was seen can be removed: Shapiro et al., "A comprehensive study
of convergent and commutative replicated data types", 2011, section 3.3.5.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from liminal_mesh.cluster import Pid

__all__ = ["LinkIds", "Links"]


@dataclass(slots=True)
class LinkIds:
    """Under which numbers this side and the other one made a link; 0 where one did not."""

    ours: int = 0
    theirs: int = 0


class Links:
    """The entries of one node's processes.

    Args:
        node: the name of this node.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._entries: dict[Pid, dict[Pid, LinkIds]] = {}
        self._abroad: dict[str, set[tuple[Pid, Pid]]] = {}
        """The entries with processes of each other node, to find them when it is lost."""
        self._last_id = 0
        self.count = 0
        """How many entries there are; a link within the node has two."""

    def of(self, pid: Pid) -> tuple[Pid, ...]:
        """Return whom a process is linked with, in the order in which they were."""
        return tuple(self._entries.get(pid, ()))

    def ids(self, pid: Pid, other: Pid) -> LinkIds | None:
        """Return the numbers of a link, if there is one."""
        return self._entries.get(pid, {}).get(other)

    def make(self, pid: Pid, other: Pid) -> int:
        """Enter a link from this side, at the other process too if it is here; returns the link's number."""
        self._last_id += 1
        self._enter(pid, other).ours = self._last_id
        if other.node == self._node:
            self._enter(other, pid).theirs = self._last_id
        return self._last_id

    def made(self, pid: Pid, other: Pid, ident: int) -> None:
        """Enter a link that another node made, under its number."""
        self._enter(pid, other).theirs = ident

    def ended(self, pid: Pid, other: Pid, ids: LinkIds) -> None:
        """Take from a link what another node has ended: these numbers, and no others."""
        held = self.ids(pid, other)
        if held is None:
            return
        if held.ours == ids.ours:
            held.ours = 0
        if held.theirs == ids.theirs:
            held.theirs = 0
        if not held.ours and not held.theirs:
            self.sever(pid, other)

    def sever(self, pid: Pid, other: Pid) -> bool:
        """Remove a link, at both processes as far as they are here; returns whether there was one."""
        if not self._remove(pid, other):
            return False
        if other.node == self._node:
            self._remove(other, pid)
        return True

    def abroad(self, node: str) -> list[tuple[Pid, Pid]]:
        """Return the links with another node's processes: ours and theirs."""
        return sorted(self._abroad.get(node, ()))

    def validate(self, there: Callable[[Pid], bool]) -> None:
        """Assert that every entry has its other half, here or in the index, and joins processes that are there."""
        pairs = {(pid, other) for pid, held in self._entries.items() for other in held}
        assert len(pairs) == self.count
        assert all(self._entries.values()), "a process without links is listed"
        assert all(there(pid) and there(other) for pid, other in pairs), "linked, but not there"
        here = {pair for pair in pairs if pair[1].node == self._node}
        assert {(other, pid) for pid, other in here} == here, "half a link"
        assert {pair for held in self._abroad.values() for pair in held} == pairs - here
        assert all(self._abroad.values()), "a node without links is listed"

    def _enter(self, pid: Pid, other: Pid) -> LinkIds:
        held = self._entries.setdefault(pid, {})
        ids = held.get(other)
        if ids is None:
            ids = held[other] = LinkIds()
            self.count += 1
            if other.node != self._node:
                self._abroad.setdefault(other.node, set()).add((pid, other))
        return ids

    def _remove(self, pid: Pid, other: Pid) -> bool:
        held = self._entries.get(pid)
        if held is None or held.pop(other, None) is None:
            return False
        self.count -= 1
        if not held:
            del self._entries[pid]
        abroad = self._abroad.get(other.node)
        if abroad is not None:
            abroad.discard((pid, other))
            if not abroad:
                del self._abroad[other.node]
        return True
