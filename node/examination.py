"""Gathers for a node that does not run what a running one knows of itself: it looks its seeds up, and dials them.

The facts have the form of :func:`.status.discovery`, with what only such a look can tell: ``answers`` of the DNS
servers, ``heard`` (the names and epochs of whoever answered), and ``listen`` (why it could not listen).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from liminal_mesh.cluster import (
    LINK_PROTO,
    Hello,
    Resolution,
    Trial,
    derive_key,
    parse_address,
    parse_seed,
    resolve,
    try_address,
)

from .advertising import advertised
from .config import ClusterConfig, NodeConfig
from .config_checks import read_cookies
from .environment import Environment
from .identity_store import choose_epoch, choose_name

__all__ = ["STRANGER", "examine", "try_advertised"]

STRANGER: Final = "liminal-doctor"
"""The name under which a node is asked who it is."""

_DIAL_S: Final = 2.0
_RESOLVE_S: Final = 10.0
_AT_ONCE: Final = 32


async def examine(config: NodeConfig, environment: Environment) -> dict[str, Any]:
    """Return the facts of a node that would be started with this configuration.

    Raises:
        ConfigError: a cookie, or what the data folder holds, cannot be used.
    """
    name = choose_name(config.name, config.data_dir)
    epoch = choose_epoch(config.data_dir, environment.wall_ns() // 1_000_000)
    cluster = config.cluster
    facts: dict[str, Any] = {"name": name, "epoch": str(epoch), "cluster": cluster and cluster.name}
    if cluster is None:
        return facts | {"now": environment.wall_ns() / 1e9}
    keys = [derive_key(cookie, cluster.name) for cookie in read_cookies(config) or (b"",)]
    advertise = advertised(cluster, cluster.address, environment)
    hello = _hello(cluster.name, name, epoch, advertise, environment)
    seeds = await _resolve_all(cluster, environment)
    addresses = dict.fromkeys(address for found in seeds.values() for address in found.addresses)
    trials = await _try_all(addresses, hello, keys, environment)
    listen, itself = await _try_listening(cluster, hello, keys, environment)
    own = {cluster.listen, advertise}
    return facts | {
        "now": environment.wall_ns() / 1e9,  # whoever answered had started by then
        "advertise": advertise,
        "expected": cluster.expected,
        "listen": listen,
        "seeds": [
            {
                "seed": text,
                "addresses": list(found.addresses),
                "failure": found.failure,
                "answers": [asdict(answer) for answer in found.answers],
            }
            for text, found in seeds.items()
        ],
        "dials": [_dial(address, trial, name, address in own, itself) for address, trial in trials.items()],
        "callers": [],
        "heard": [{"name": name, "epoch": str(epoch)}, *_heard(trials.values(), name)],
    }


async def try_advertised(facts: dict[str, Any], environment: Environment) -> dict[str, Any]:
    """Dial the address that a running node tells its peers, as one of them would; returns how that went."""
    hello = _hello(facts["cluster"], STRANGER, 1, "nowhere:1", environment)
    keys = [derive_key(b"", facts["cluster"])]  # whoever answers says who it is before it matters that this is wrong
    trial = await try_address(environment.network, parse_address(facts["advertise"]), hello, keys, _DIAL_S)
    return {"code": trial.code, "detail": trial.detail, "peer": trial.peer.name if trial.peer else ""}


def _hello(cluster: str, name: str, epoch: int, address: str, environment: Environment) -> Hello:
    run, nonce = environment.token_bytes(8), environment.token_bytes(32)
    return Hello(*LINK_PROTO, cluster, name, epoch, run, nonce, address)


async def _resolve_all(cluster: ClusterConfig, environment: Environment) -> dict[str, Resolution]:
    resolver = environment.resolver(cluster.dns_servers)

    texts = list(dict.fromkeys(cluster.seeds))
    lookups = (resolve(resolver, parse_seed(text), _RESOLVE_S) for text in texts)
    return dict(zip(texts, await asyncio.gather(*lookups), strict=True))


async def _try_all(
    addresses: Iterable[str], hello: Hello, keys: list[bytes], environment: Environment
) -> dict[str, Trial]:
    permits = asyncio.Semaphore(_AT_ONCE)

    async def one(text: str) -> Trial:
        async with permits:
            return await try_address(environment.network, parse_address(text), hello, keys, _DIAL_S)

    texts = list(addresses)
    return dict(zip(texts, await asyncio.gather(*map(one, texts)), strict=True))


def _dial(address: str, trial: Trial, name: str, own: bool, itself: Hello | None) -> dict[str, Any]:
    """Return a trial as a running node would tell it: whoever bears our name is us where we listen, else a namesake."""
    peer, code, detail = trial.peer, trial.code, trial.detail
    if (own and code == "nothing-listens") or (peer and itself and peer.run == itself.run):
        code, detail = "self", ""
    elif peer and peer.name == name and code == "agreed":
        code, detail = "name-in-use", f"it says that peers shall dial it at {peer.address}"
    return {"address": address, "seed": True, "peer": peer.name if peer else "", "code": code, "detail": detail}


def _heard(trials: Iterable[Trial], name: str) -> list[dict[str, str]]:
    return [
        {"name": trial.peer.name, "epoch": str(trial.peer.epoch)}
        for trial in trials
        if trial.peer is not None and trial.peer.name != name
    ]


async def _try_listening(
    cluster: ClusterConfig, hello: Hello, keys: list[bytes], environment: Environment
) -> tuple[dict[str, str], Hello | None]:
    """Return why the node could not listen for peers ("": it could), and who answers there if it is this very node."""
    address = cluster.address
    try:
        environment.network.bind(address, 1).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return {"address": str(address), "failure": error.strerror or str(error), "peer": ""}, None
    else:
        return {"address": str(address), "failure": "", "peer": ""}, None
    there = (await try_address(environment.network, address, hello, keys, _DIAL_S)).peer
    found = {"address": str(address), "failure": "in-use", "peer": there.name if there else ""}
    return found, there if there and there.name == hello.name else None
