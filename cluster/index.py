"""Who is in which group of one scope, of all nodes whose members may be seen.

It holds no members of its own. A node's log or replica keeps its members by group, and the index files the very
same sets under group and node: a member that comes or goes in a set that is filed needs nothing here, and what a
node has is at hand in the log or replica itself, so that it can be taken out in the time of its groups.
"""

from __future__ import annotations

from collections.abc import Mapping

from .identity import NodeId, Pid
from .queue_names import QueueNames
from .trie import TokenTrie, is_pattern

__all__ = ["GroupIndex", "QueueIndex"]


class GroupIndex:
    """The visible members of one scope.

    Args:
        patterns: whether a group that is named by a pattern has an interest in every name that matches.
    """

    def __init__(self, *, patterns: bool) -> None:
        self.version = 0
        """Grows whenever the nodes of any name may have changed."""
        self._nodes: dict[str, tuple[NodeId, dict[str, set[int]]]] = {}
        self._groups: dict[str, dict[str, set[int]]] = {}
        self._trie: TokenTrie | None = TokenTrie() if patterns else None

    def __contains__(self, node: str) -> bool:
        """Return whether that node's members may be seen."""
        return node in self._nodes

    def show(self, node: NodeId, members: dict[str, set[int]]) -> None:
        """File all members of a node; from now on its gains and losses of groups must be told."""
        assert node.name not in self._nodes, node
        self._nodes[node.name] = (node, members)
        self.version += 1
        for group in members:
            self.gain(node.name, group)

    def hide(self, name: str) -> None:
        """Take all members of a node out."""
        _, members = self._nodes.pop(name)
        self.version += 1
        for group in members:
            self.lose(name, group)

    def gain(self, name: str, group: str) -> None:
        """File a group of a node that has its first member now."""
        holders = self._groups.get(group)
        if holders is None:
            holders = self._groups[group] = {}
            if self._trie is not None and is_pattern(group):
                self._trie.add(group)
        holders[name] = self._nodes[name][1][group]
        self.version += 1

    def lose(self, name: str, group: str) -> None:
        """Take out a group of a node that has no member any more."""
        holders = self._groups[group]
        del holders[name]
        if not holders:
            del self._groups[group]
            if self._trie is not None and is_pattern(group):
                self._trie.remove(group)
        self.version += 1

    def nodes_of(self, name: str) -> frozenset[str]:
        """Return the nodes that have members in the group ``name``, or in a pattern that matches it."""
        nodes = frozenset(self._groups.get(name, ()))
        if self._trie:
            nodes = nodes.union(*(self._groups[pattern] for pattern in self._trie.match(name)))
        return nodes

    def members(self, group: str) -> tuple[Pid, ...]:
        """Return a group's members, sorted."""
        holders = self._groups.get(group, {})
        return tuple(
            sorted(Pid(*self._nodes[name][0], number) for name, numbers in holders.items() for number in numbers)
        )

    def groups(self) -> dict[str, tuple[Pid, ...]]:
        """Return every group with its members."""
        return {group: self.members(group) for group in self._groups}

    def groups_of(self, name: str) -> frozenset[str]:
        """Return the groups in which a node has members."""
        return frozenset(self._nodes[name][1]) if name in self._nodes else frozenset()

    def validate(self) -> None:
        """Assert that what is filed is exactly what the nodes have."""
        filed = {(name, group): id(numbers) for group, held in self._groups.items() for name, numbers in held.items()}
        had = {(name, group): id(sets[group]) for name, (_, sets) in self._nodes.items() for group in sets}
        assert filed == had
        assert all(self._groups.values()), "an empty group"
        patterns = sum(map(is_pattern, self._groups))
        assert self._trie is None or len(self._trie) == patterns


class QueueIndex(GroupIndex):
    """The visible queues, which can be asked for those that a channel's publishes go to."""

    def __init__(self) -> None:
        super().__init__(patterns=False)
        self._queues = QueueNames()

    def gain(self, name: str, group: str) -> None:
        """File a queue of a node that has its first member now."""
        if group not in self._groups:
            self._queues.add(group)
        super().gain(name, group)

    def lose(self, name: str, group: str) -> None:
        """Take out a queue of a node that has no member any more."""
        super().lose(name, group)
        if group not in self._groups:
            self._queues.remove(group)

    def covering(self, channel: str) -> list[str]:
        """Return the queues that a channel's publishes go to."""
        return self._queues.covering(channel)

    def holders(self, queue: str) -> Mapping[str, set[int]]:
        """Return the members of a queue by node: the very sets, which go on changing while the version stays."""
        return self._groups.get(queue, {})

    def validate(self) -> None:
        """Assert that what is filed is exactly what the nodes have, and can be asked for."""
        super().validate()
        assert len(self._queues) == len(self._groups)
