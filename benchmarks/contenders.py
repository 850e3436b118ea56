"""Everything that is measured: a new contender is a file beside this one, and a row here."""

from __future__ import annotations

from . import faults, features, keys, liminal_clients, liminal_embedded, nats_peer, pipe, registry, schemas
from .result import Contender, Figure

__all__ = ["CONTENDERS", "FIGURES"]

# What is aimed at, as multiples of the same scenario's NATS (and of the pipe); without receipts against NATS without
# any, with receipts against both of its counterparts: the answered one, which says more, and the flushed one, less.
EMBEDDED = {"nats-py": 3.0}
EMBEDDED_WINDOWED = {"nats-py request": 2.0, "nats-py flush": 2.0}
CLIENTS = {"nats-py": 1.5}
CLIENTS_WINDOWED = {"nats-py request": 1.5, "nats-py flush": 1.5}

CONTENDERS = [
    Contender("pipe", "unconfirmed", pipe.run, 4_000_000),
    Contender("nats-py", "unconfirmed", nats_peer.unconfirmed, 500_000),
    Contender("liminal embedded", "unconfirmed", liminal_embedded.unconfirmed, 3_000_000, {**EMBEDDED, "pipe": 0.4}),
    Contender("liminal clients", "unconfirmed", liminal_clients.unconfirmed, 1_500_000, CLIENTS),
    Contender("nats-py request", "windowed", nats_peer.requested, 150_000),
    Contender("nats-py flush", "windowed", nats_peer.flushed, 300_000, core=False),
    Contender("liminal embedded", "windowed", liminal_embedded.windowed, 1_200_000, EMBEDDED_WINDOWED),
    Contender(
        "liminal embedded 4096", "windowed", liminal_embedded.windowed_default, 1_800_000, EMBEDDED_WINDOWED, core=False
    ),
    Contender("liminal clients", "windowed", liminal_clients.windowed, 600_000, CLIENTS_WINDOWED, core=False),
    Contender(
        "liminal clients 4096", "windowed", liminal_clients.windowed_default, 1_000_000, CLIENTS_WINDOWED, core=False
    ),
    Contender("nats-py", "fanout", nats_peer.fanout, 400),
    Contender("liminal embedded", "fanout", liminal_embedded.fanout, 3000, EMBEDDED),
    Contender("liminal clients", "fanout", liminal_clients.fanout, 1500, CLIENTS, core=False),
    Contender("nats-py flush", "fanout windowed", nats_peer.fanout_flushed, 400, core=False),
    Contender(
        "liminal embedded",
        "fanout windowed",
        liminal_embedded.fanout_windowed,
        3000,
        {"nats-py flush": 2.0},
        core=False,
    ),
    Contender(
        "liminal clients", "fanout windowed", liminal_clients.fanout_windowed, 1500, {"nats-py flush": 1.5}, core=False
    ),
]

FIGURES = [
    Figure("bytes on the link, 1,000 subscribers over 1", liminal_embedded.link_ratio, "x", 1.05),
    Figure("publish p99, one of three peers stopped over none", faults.stopped_peer, "x", 1.5),
    Figure("a reset link stands again", faults.relink, "s", 1.0),
    Figure("a predicate, CPU a message", features.predicate, "us", 1.5),
    Figure("causal order, CPU a message", features.causal, "us", 8.0),
    Figure("a key, CPU a publish", keys.once, "us", 20.0),
    Figure("a schema, CPU a publish", schemas.checked, "us", 15.0),
    Figure("a group at two nodes, CPU a message", features.sharing, "us", 2.0),
    # The bounds are what was measured when the registry was designed.
    Figure("20,000 joins of groups, CPU", registry.joins, "ms", 57.0, core=True),
    Figure("10,000 exits, CPU", registry.exits, "ms", 25.0, core=True),
    Figure("a lost peer: 50,000 members, 5,000 groups, CPU", registry.purge, "ms", 4.0, core=True),
]
