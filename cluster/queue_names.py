"""Names of queues: the subscriptions of one pattern and one group, which share what is published.

Neither a pattern nor a group's name has a colon in it, so that the two with one between them are one name.
"""

from __future__ import annotations

from typing import Final

from .trie import TokenTrie, is_pattern

__all__ = ["QUEUE_NAME_BYTES_MAX", "QueueNames", "queue_name", "split_queue"]

QUEUE_NAME_BYTES_MAX: Final = 256 + 1 + 256
"""The longest name of a queue: a pattern, a colon, and a group."""

_BETWEEN: Final = ":"


def queue_name(pattern: str, group: str) -> str:
    """Return the name of the queue of a pattern and a group."""
    return f"{pattern}{_BETWEEN}{group}"


def split_queue(queue: str) -> tuple[str, str]:
    """Return the pattern and the group of a queue."""
    pattern, _, group = queue.partition(_BETWEEN)
    return pattern, group


class QueueNames:
    """A set of names of queues that can be asked for those that a channel's publishes go to."""

    def __init__(self) -> None:
        self._by_pattern: dict[str, dict[str, None]] = {}
        self._wild = TokenTrie()

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._by_pattern.values()))

    def add(self, queue: str) -> None:
        """Add a name; adding it again changes nothing."""
        pattern, _ = split_queue(queue)
        named = self._by_pattern.get(pattern)
        if named is None:
            named = self._by_pattern[pattern] = {}
            if is_pattern(pattern):
                self._wild.add(pattern)
        named[queue] = None

    def remove(self, queue: str) -> None:
        """Remove a name; what is not there is left so."""
        pattern, _ = split_queue(queue)
        named = self._by_pattern.get(pattern)
        if named is not None and queue in named:
            del named[queue]
            if not named:
                del self._by_pattern[pattern]
                if is_pattern(pattern):
                    self._wild.remove(pattern)

    def covering(self, channel: str) -> list[str]:
        """Return the names whose pattern is the channel, or matches it; each once, in no particular order."""
        if not self._by_pattern:
            return []
        patterns = (channel, *self._wild.match(channel))
        return [queue for pattern in patterns for queue in self._by_pattern.get(pattern, ())]
