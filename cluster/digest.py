"""A fingerprint of a set of members that can be kept up to date entry by entry.

Each entry hashes to 64 bits, and a set's digest is the XOR of its entries: it does not depend on their order,
and an entry leaves by the same operation by which it came. The hash is keyed with whose log it is, so that
equal sets of two nodes, of two runs of a node, or of two scopes have nothing in common. It guards against
accidents and defects, not against a peer that lies about its own members: that is a peer's right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

from .identity import NodeId

__all__ = ["EntryDigest"]


class EntryDigest:
    """The hash of entries in one node's log of one scope."""

    def __init__(self, node: NodeId, scope: int) -> None:
        key = blake2b(f"{node} {scope}".encode(), digest_size=32).digest()
        # A copy of a hash that has its key already is cheaper than keying a new one.
        self._keyed = blake2b(digest_size=8, key=key)

    def of(self, group: str, number: int) -> int:
        """Return the digest of one entry."""
        entry = self._keyed.copy()
        entry.update(f"{number} {group}".encode())
        return int.from_bytes(entry.digest(), "big")

    def of_all(self, members: Mapping[str, Iterable[int]]) -> int:
        """Return the digest of a set of entries, given as groups with process numbers."""
        digest = 0
        for group, numbers in members.items():
            for number in numbers:
                digest ^= self.of(group, number)
        return digest
