"""Pings on behalf of others: the ack is passed on whenever it comes, and a nack says in time that it has not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..swim_frames import SwimAck, SwimNack, SwimPing, SwimPingRequest
from .board import Board

__all__ = ["Relays"]

REQUESTS_MAX = 1024
"""The most requests that are open here; one more is answered with a nack at once."""


@dataclass(slots=True)
class _Request:
    requester: str
    target: str
    number: int
    nack_at: float
    ends_at: float
    nacked: bool = False


class Relays:
    """The requests of others that this node works on."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._requests: dict[int, _Request] = {}

    def asked(self, request: SwimPingRequest, requester: str, now: float) -> None:
        """Ping somebody for a peer."""
        board, options = self._board, self._board.options
        if len(self._requests) >= REQUESTS_MAX or request.target not in board.linked:
            board.send(requester, SwimNack(request.id))
            return
        number = board.number()
        nack_at = now + options.nack_share * options.timeout_s
        ends_at = now + options.interval(options.health_max)
        self._requests[number] = _Request(requester, request.target, request.id, nack_at, ends_at)
        board.send(request.target, SwimPing(number, board.rumours.take(board.roster.live)))

    def acked(self, ack: SwimAck, source: str) -> None:
        """Pass the ack of a target on to who waits for it."""
        request = self._requests.get(ack.id)
        if request is not None and request.target == source:
            del self._requests[ack.id]
            self._board.send(request.requester, SwimAck(request.number, self._board.roster.digest, self._board.lag_ms))

    def tick(self, now: float) -> None:
        """Send the nacks that are due, and drop the requests that nobody waits for any more."""
        for number, request in list(self._requests.items()):
            if now >= request.nack_at and not request.nacked:
                request.nacked = True
                self._board.send(request.requester, SwimNack(request.number))
            if now >= request.ends_at:
                del self._requests[number]

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        times = (one.ends_at if one.nacked else one.nack_at for one in self._requests.values())
        return min(times, default=math.inf)

    def excuse(self, lateness: float) -> None:
        """Move all deadlines by the time for which we were stopped."""
        for request in self._requests.values():
            request.nack_at += lateness
            request.ends_at += lateness
