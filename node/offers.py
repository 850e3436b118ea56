"""What is published here for groups: which node is asked to take it, and what the answers bring about.

For each message and each group one node is asked after the other until a member takes it: each at most once for room,
and perhaps once before for credit alone. A node that cannot is passed by; one whose link ends before it answers may
have taken what was written to it, so that nobody else is asked for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from liminal_mesh.cluster import OFFER_GROUPS_MAX, QUEUE_SCOPE, Eagerness, NoRoute, ProtocolError, Reason, Taken

from .channel import Channel
from .inbox import Run
from .keyed import key_of
from .keyed_queues import give
from .orders import Order, Piece, part_of
from .queueing import Fate, spans
from .route import Pending, Route
from .shared import Shared

__all__ = ["Offers"]

CLAIMS_BYTES_MAX: Final = 512
"""What the groups of one frame may take beside a message that is as large as a frame allows."""

CLAIM_BYTES: Final = 8
"""What a group takes beside its name."""


class Offers:
    """The publishes of one node that are for members of groups.

    Args:
        shared: what it has in common with the node's other scopes.
        routes: the ways to the peers that are linked, by name.
        current: sees to it that a channel knows its queues.
    """

    def __init__(self, shared: Shared, routes: Mapping[str, Route], current: Callable[[Channel], None]) -> None:
        self._me = shared.me
        self._shared = shared
        self._statistics = shared.statistics
        self._routes = routes
        self._current = current

    def publish(self, channel: Channel, run: Run, pending: Pending | None, receipts: bool) -> int:
        """Give publishes to members of each group, here or at peers, and to the peers that want them anyway.

        Args:
            channel: with queues.
            run: the publishes, numbered.
            pending: of all of them, when somebody wants to hear.
            receipts: ask all these peers for receipts.

        Returns:
            How many groups have got all of them at this node.
        """
        key = key_of(run.items[0]) if pending is not None and pending.keyed is not None else ""
        order = Order(channel, pending, receipts, key)
        asked: dict[str, list[Piece]] = {}
        for queue in channel.queues:
            self._place([Piece(order, queue, run)], asked)
        refused: list[Piece] = []
        for route in channel.routes:
            refused += self._send(route, order, run, asked.pop(route.name, []), plain=True)
        for name, parts in asked.items():
            refused += self._send(self._routes[name], order, run, parts, plain=False)
        self._pass_on(refused)
        return order.sent()

    def answered(self, route: Route, frame: Taken | NoRoute) -> bool:
        """Take a peer's answer; return whether there is room for more again, where there was none.

        Raises:
            ProtocolError: it answers what it was not asked.
        """
        if isinstance(frame, NoRoute) and frame.reason == Reason.SUPPRESSED and frame.count > 1:
            raise ProtocolError("an answer that suppresses several offers at once")
        ready, crowded = isinstance(frame, Taken) and not frame.deferred, route.crowded
        turned_down: list[Piece] = []
        try:
            for piece in route.settled(frame.group, frame.first, frame.count):
                if isinstance(frame, Taken) or frame.reason == Reason.FULL:
                    piece.queue.heard(route.name, ready)
                if isinstance(frame, Taken):
                    piece.order.taken(route.name, piece)
                elif frame.reason == Reason.DROPPED:
                    self._drop(piece, route.name)
                elif frame.reason == Reason.SUPPRESSED:
                    piece.order.suppressed(route.name, piece, frame.original, frame.reused)
                else:
                    piece.order.passed_on(route.name, piece)
                    turned_down.append(piece.after(route.name, full=frame.reason == Reason.FULL))
        finally:  # also if it answers more than it was asked
            self._pass_on(turned_down)
        return crowded and not route.crowded

    def link_down(self, route: Route) -> None:
        """A link is gone: what was never written to it is for others, and of the rest nobody knows."""
        free: list[Piece] = []
        for piece, written in route.unsettled():
            if written:
                self._statistics.offers_unknown += len(piece)
                piece.order.unknown(route.name, piece)
            else:
                piece.order.passed_on(route.name, piece)
                free.append(piece.after(route.name))
        self._pass_on(free)

    def look(self) -> None:
        """Look which peers answer, since somebody waits for them; to be called in even intervals."""
        for route in self._routes.values():
            route.look()

    @property
    def unanswered(self) -> bool:
        """Whether a peer owes an answer: what it was offered may be for another one to take."""
        return any(route.offered_bytes for route in self._routes.values())

    @property
    def wanted(self) -> bool:
        """Whether a peer may still offer something, since it has not said that it knows who has left here."""
        registry = self._shared.registry
        position = registry.position(QUEUE_SCOPE)
        return any(registry.acknowledged(name, QUEUE_SCOPE) < position for name in self._routes)

    # --- to whom ---

    def _pass_on(self, pieces: Iterable[Piece]) -> None:
        """Ask others to take what some could not."""
        waiting = list(pieces)
        while waiting:
            asked: dict[str, list[Piece]] = {}
            for piece in waiting:
                channel = piece.order.channel
                self._current(channel)
                queue = None if channel.failed else channel.queue(piece.queue.group)
                if queue is None:
                    self._drop(piece)
                else:
                    piece.queue = queue
                    self._place([piece], asked)
            waiting = []
            for name, parts in asked.items():
                for piece in parts:
                    waiting += self._offer(self._routes[name], piece.run, [piece])[1]

    def _place(self, pieces: list[Piece], asked: dict[str, list[Piece]]) -> None:
        """Share messages out; what members here take is done with, the rest stands in ``asked`` by peer."""
        waiting = deque(pieces)
        while waiting:
            piece = waiting.popleft()
            candidates = piece.queue.candidates(piece.tried + piece.spared)
            if not candidates and piece.spared:
                piece = piece.again()
                candidates = piece.queue.candidates(piece.tried)
            if not candidates:
                self._drop(piece)
                continue
            self._statistics.passed_on += len(piece) if piece.asked else 0
            start, most = 0, Eagerness.ROOM if piece.spared else Eagerness.ANY
            for node, count, eagerness in piece.queue.plan(len(piece), candidates, piece.order.key):
                part = piece.cut(start, start + count)
                start += count
                part.eagerness = min(most, max(eagerness, piece.eagerness))
                if node == self._me.name:
                    waiting.extend(self._give(part))
                else:
                    asked.setdefault(node, []).append(part)

    def _give(self, piece: Piece) -> Iterator[Piece]:
        """Give messages to members here; return those that others are to be asked for."""
        start, order = 0, piece.order
        for count, fate, original, reused in give(self._shared, order.channel, piece.queue, piece.run, piece.eagerness):
            part = piece.cut(start, start + count)
            start += count
            if fate <= Fate.DEFERRED:
                order.taken_here(part)
            elif fate == Fate.DROPPED:
                self._drop(part)
            elif fate == Fate.SUPPRESSED:
                order.suppressed_here(part, original, reused)
            else:
                yield part.after(self._me.name, full=fate == Fate.FULL)

    def _drop(self, piece: Piece, node: str = "") -> None:
        """Give messages up; ``node`` is where they were dropped, else it is the last that was asked."""
        self._statistics.untaken += len(piece)
        peers = [name for name in piece.tried if name != self._me.name]
        piece.order.dropped(node or (peers[-1] if peers else ""), piece)

    # --- on their way ---

    def _send(self, route: Route, order: Order, run: Run, parts: list[Piece], *, plain: bool) -> list[Piece]:
        """Send a peer what it gets of an order, each message once; return what it has no room for, of groups."""
        if not plain and len(parts) == 1:
            return self._offer(route, parts[0].run, parts)[1]
        edges = [(piece.first, piece.first + len(piece)) for piece in parts]
        refused: list[Piece] = []
        for start, stop, indexes in spans(edges, len(run.items) if plain else 0):
            span = part_of(run, start, stop)
            wanted = [parts[index] for index in indexes]
            frames = _frames([piece.cut(start - piece.first, stop - piece.first) for piece in wanted])
            if plain:
                refused += self._forward(route, order, span, start, frames.pop(0) if frames else [])
            for frame in frames:
                refused += self._offer(route, span, frame)[1]
        return refused

    def _forward(self, route: Route, order: Order, run: Run, first: int, parts: list[Piece]) -> list[Piece]:
        """Send a peer what it gets anyway, offered to some groups there in the same frame."""
        pending = order.pending
        awaited = pending if order.receipts else None
        if pending is not None and route.name in order.channel.interested:
            pending.nodes.setdefault(route.name, "sent")
        if parts and not route.indebted:  # else only those in no group get them
            taken, refused = self._offer(route, run, parts, plain=True, awaited=awaited, first=first)
        else:
            taken = route.publish(run, awaited, first=first)
            refused = [piece.after(route.name) for piece in parts]
        if taken < len(run.items):
            self._statistics.lane_dropped += len(run.items) - taken
            if pending is not None:
                pending.nodes[route.name] = "dropped"
        return refused

    def _offer(
        self,
        route: Route,
        run: Run,
        parts: list[Piece],
        *,
        plain: bool = False,
        awaited: Pending | None = None,
        first: int = 0,
    ) -> tuple[int, list[Piece]]:
        """Queue an offer of a run to groups; return how much of it there was room for, and whom else to ask."""
        claims = tuple([(piece.queue.group, piece.eagerness) for piece in parts])
        number, taken = (0, 0) if route.indebted else route.offer(run, claims, plain, awaited, first)
        refused: list[Piece] = []
        for piece in parts:
            if taken:
                part = piece.cut(0, taken)
                part.order.asked(route.name, part)
                route.owe(number, part)
            if taken < len(piece):
                refused.append(piece.cut(taken, len(piece)).after(route.name))
        return taken, refused


def _frames(parts: list[Piece]) -> list[list[Piece]]:
    """Divide parts so that the groups of each frame fit into it."""
    frames: list[list[Piece]] = []
    size = CLAIMS_BYTES_MAX
    for part in parts:
        size += len(part.queue.group) + CLAIM_BYTES
        if size > CLAIMS_BYTES_MAX or len(frames[-1]) == OFFER_GROUPS_MAX:
            frames.append([])
            size = len(part.queue.group) + CLAIM_BYTES
        frames[-1].append(part)
    return frames
