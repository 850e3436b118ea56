"""Which channels the nodes of a mesh have declared otherwise than this one.

Each node has channels of its own, and checks what is published at it by its own schema. If two nodes have declared the
same channel, one of them as durable or by another version of the schema, that is worth telling: somewhere a file is
old. A channel that only one of them has is nothing to talk about. Peers tell what they have declared when a session
begins, and again when it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from msgspec import Struct

from liminal_mesh.cluster import DECLARATIONS_MAX, Declaration, Declare, NodeId

from .channel import ChannelSettings
from .declared import Declared
from .names import check_pattern

__all__ = ["Declarations", "Disagreement"]

TOLD_MAX: Final = 4096
"""So many declarations are told to a peer, and kept of one."""

NAMED_MAX: Final = 16
"""So many channels are named by one event."""


class Disagreement(Struct, frozen=True):
    """What a linked peer has declared of a channel otherwise than this node."""

    channel: str
    node: str
    durable: bool
    schema: str | None
    their_durable: bool
    their_schema: str | None

    def __str__(self) -> str:
        both = []
        if self.schema != self.their_schema:
            both.append(f"schema {self.schema or 'none'} here, {self.their_schema or 'none'} there")
        if self.durable != self.their_durable:
            both.append(f"durable {str(self.durable).lower()} here, {str(self.their_durable).lower()} there")
        return f"{self.channel}: {', '.join(both)}"


class _Peer:
    """What one linked peer tells: what is under way, and the last that was whole; ``send`` tells it something."""

    def __init__(self, send: Callable[[Declare], None]) -> None:
        self.send = send
        self.coming: list[Declaration] = []
        self.declared: Declared[Declaration] = Declared([])
        self.differs: tuple[Disagreement, ...] = ()


class Declarations:
    """The declarations of this node, held against those of its linked peers.

    Args:
        declared: this node's own.
        note: notes an event.
        later: calls a function at the end of the turn, in which many may be declared, one after the other.
    """

    def __init__(
        self,
        declared: Declared[ChannelSettings],
        note: Callable[..., None],
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        self._declared = declared
        self._note = note
        self._later = later
        self._changed = False
        """Whether they were changed in this turn."""
        self._peers: dict[str, _Peer] = {}
        self._noted: dict[str, frozenset[str]] = {}
        """What was noted of a peer last, linked or not, so that a link that comes and goes is no news."""

    def link_up(self, peer: NodeId, send: Callable[[Declare], None]) -> None:
        """A session with a peer stands: it is told, and nothing is known of its declarations yet."""
        self._peers[peer.name] = _Peer(send)
        for frame in self._frames():
            send(frame)

    def link_down(self, peer: NodeId) -> None:
        """It ended, and with it what the peer has told."""
        self._peers.pop(peer.name, None)

    def forget(self, name: str) -> None:
        """A peer is none any more."""
        self._noted.pop(name, None)

    def receive(self, peer: NodeId, frame: Declare) -> None:
        """A linked peer tells of its declarations."""
        told = self._peers[peer.name]
        if frame.first:
            told.coming = []
        told.coming += [one for one in frame.channels if _is_name(one.name)][: TOLD_MAX - len(told.coming)]
        if frame.last:
            told.declared, told.coming = Declared(told.coming), []
            self._compare(peer.name, told)

    def changed(self) -> None:
        """This node's own declarations are other ones."""
        if not self._changed:
            self._changed = True
            self._later(self._tell_all)

    def _tell_all(self) -> None:
        """Compare, and let the peers do so."""
        self._changed = False
        frames = self._frames()
        for name, told in self._peers.items():
            self._compare(name, told)
            for frame in frames:
                told.send(frame)

    def disagreements(self) -> tuple[Disagreement, ...]:
        """Return where this node and its linked peers differ, by peer and channel."""
        return tuple(one for _, told in sorted(self._peers.items()) for one in told.differs)

    def _frames(self) -> list[Declare]:
        declared = islice(self._declared.all(), TOLD_MAX)
        told = [Declaration(one.name, one.durable, _schema(one) or "") for one in declared]
        parts = [told[start : start + DECLARATIONS_MAX] for start in range(0, len(told), DECLARATIONS_MAX)] or [[]]
        return [Declare(part is parts[0], part is parts[-1], part) for part in parts]

    def _compare(self, node: str, told: _Peer) -> None:
        ours, theirs = self._declared, told.declared
        # An exact name goes by what covers it at either side, a family by what is declared under its very pattern.
        exact = sorted({*ours.names, *theirs.names})
        pairs = [(name, ours.covering(name), theirs.covering(name)) for name in exact]
        pairs += [(family.name, family, theirs.get(family.name)) for family in ours.families]
        told.differs = tuple(
            Disagreement(name, node, mine.durable, _schema(mine), yours.durable, yours.schema or None)
            for name, mine, yours in pairs
            if mine is not None
            and yours is not None
            and (mine.durable, _schema(mine) or "") != (yours.durable, yours.schema)
        )
        self._tell(node, told.differs)

    def _tell(self, node: str, differs: tuple[Disagreement, ...]) -> None:
        """Note what is new; one event for each time that a peer tells, whatever it tells."""
        texts = frozenset(map(str, differs))
        if texts == self._noted.get(node, frozenset()):
            return
        if differs:
            named = [str(one) for one in differs[:NAMED_MAX]]
            self._note("channels_disagree", level="warning", node=node, channels=named, count=len(differs))
            self._noted[node] = texts
        else:
            self._note("channels_agree", node=node)
            del self._noted[node]


def _schema(settings: ChannelSettings) -> str | None:
    return None if settings.schema is None else settings.schema.id


def _is_name(name: str) -> bool:
    try:
        check_pattern(name)
    except ValueError:
        return False
    return True
