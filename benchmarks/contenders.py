"""Everything that is measured: a new contender is a file beside this one, and a row here."""

from __future__ import annotations

from . import nats_peer, pipe
from .result import Contender

__all__ = ["CONTENDERS"]

CONTENDERS = [
    Contender("pipe", "unconfirmed", pipe.run, 4_000_000),
    Contender("nats-py", "unconfirmed", nats_peer.unconfirmed, 500_000),
    Contender("nats-py request", "windowed", nats_peer.requested, 150_000),
    Contender("nats-py flush", "windowed", nats_peer.flushed, 300_000, core=False),
    Contender("nats-py", "fanout", nats_peer.fanout, 400),
    Contender("nats-py flush", "fanout windowed", nats_peer.fanout_flushed, 400, core=False),
]
