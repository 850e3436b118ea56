"""What no single key of a configuration can tell: how the keys go together, and what stands behind the paths.

The first half reads nothing but the configuration, and is applied to every :class:`.NodeConfig`. The second looks at
the files that it names, when a node starts or ``liminal config check`` is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from liminal_mesh.cluster import CookieRejected, check_cookie, parse_address, parse_seed

from .config_schemas import read_schemas
from .config_types import AUTO
from .errors import ConfigError, Problem

if TYPE_CHECKING:
    from .config import ClusterConfig, NodeConfig

__all__ = ["file_problems", "problems_between", "read_cookies"]

_ANY_HOST = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104 - compared with, never bound to


def problems_between(config: NodeConfig) -> list[Problem]:
    """Return what is wrong between the keys of a configuration whose single keys are right."""
    return [
        *_equal_ports(config),
        *_open_listeners(config),
        *(_cluster(config.cluster) if config.cluster else ()),
        *_repeated_channels(config),
        *_limits(config),
    ]


def file_problems(config: NodeConfig) -> list[Problem]:
    """Return what is wrong with the files and folders that a configuration names."""
    problems = list(_data_dir(config.data_dir)) if config.data_dir else []
    for read in (read_cookies, read_schemas):
        try:
            read(config)
        except ConfigError as error:
            problems += error.problems
    return problems


def read_cookies(config: NodeConfig) -> tuple[bytes, ...]:
    """Return the cookies of the ring, the one to dial with first; none when no file is named.

    Raises:
        ConfigError: some cannot be read, or are too weak.
    """
    if config.cluster is None:
        return ()
    problems: list[Problem] = []
    cookies: list[bytes] = []
    for index, path in enumerate(config.cluster.cookie_paths):
        key = "cluster.cookie_file" if config.cluster.cookie_file else f"cluster.cookie_files[{index}]"
        try:
            cookies.append(_read_cookie(path))
        except (OSError, ValueError, CookieRejected) as error:
            said = error.strerror if isinstance(error, OSError) else error
            problems.append(Problem(key, f"{path}: {said}"))
    if problems:
        raise ConfigError(problems)
    return tuple(cookies)


def _read_cookie(path: Path) -> bytes:
    with path.open("rb") as file:
        cookie = file.read(4097).strip()
    if len(cookie) > 4096:
        raise ValueError("is no cookie: it is larger than 4 KiB")
    check_cookie(cookie)
    return cookie


def _equal_ports(config: NodeConfig) -> Iterator[Problem]:
    listeners = {"client.listen": config.client.address, "http.listen": config.http.address}
    if config.cluster:
        listeners["cluster.listen"] = config.cluster.address
    for (first, one), (second, other) in combinations(listeners.items(), 2):
        same_host = one.host == other.host or not _ANY_HOST.isdisjoint({one.host, other.host})
        if one.port == other.port != 0 and same_host:
            yield Problem(second, f"port {other.port} is that of {first} already")


def _open_listeners(config: NodeConfig) -> Iterator[Problem]:
    for key, section in (("client", config.client), ("http", config.http)):
        if not (section.address.loopback or section.allow_insecure):
            yield Problem(
                f"{key}.listen",
                f"{section.listen} is off loopback, and this version has no tokens: "
                f"whoever reaches it may do everything; say {key}.allow_insecure = true if that is meant",
            )


def _cluster(cluster: ClusterConfig) -> Iterator[Problem]:
    if cluster.cookie_file and cluster.cookie_files:
        yield Problem("cluster.cookie_files", "is there beside cookie_file: one of the two is enough")
    if cluster.ready == "majority" and cluster.expected is None:
        yield Problem("cluster.ready", "a majority of what? It needs cluster.expected")
    yield from _advertised(cluster)
    far = _first_off_loopback(cluster)
    if far and not (cluster.cookie_file or cluster.cookie_files):
        yield Problem("cluster.cookie_file", f"is missing: {far} is off loopback, and peers have to share a secret")
    if far and not cluster.allow_insecure_peers:
        yield Problem(
            "cluster.allow_insecure_peers",
            f"{far} is off loopback, and this version has no TLS: whoever sits on the network between the nodes can "
            "read and alter everything; say cluster.allow_insecure_peers = true if that is meant",
        )


def _advertised(cluster: ClusterConfig) -> Iterator[Problem]:
    if cluster.advertise is None:
        if cluster.address.host in _ANY_HOST:
            yield Problem(
                "cluster.advertise",
                f"is missing: peers cannot dial {cluster.listen}; say what they can, or {AUTO!r} for this host's name",
            )
        return
    if cluster.advertise == AUTO:
        return
    address = parse_address(cluster.advertise)
    if address.host in _ANY_HOST or address.port == 0:
        yield Problem("cluster.advertise", f"peers cannot dial {cluster.advertise}")


def _first_off_loopback(cluster: ClusterConfig) -> str | None:
    named = [(text, parse_address(text).loopback) for text in (cluster.listen, *cluster.dial_overrides.values())]
    named += [(text, parse_seed(text).loopback) for text in cluster.seeds]
    return next((text for text, loopback in named if not loopback), None)


def _repeated_channels(config: NodeConfig) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, channel in enumerate(config.channels):
        if channel.name in first:
            yield Problem(f"channels[{index}].name", f"{channel.name!r} is channels[{first[channel.name]}] already")
        first.setdefault(channel.name, index)


def _limits(config: NodeConfig) -> Iterator[Problem]:
    limits = config.limits
    ascending = ("inbox_bytes", "inbox_bytes_connection", "inbox_bytes_node")
    slowed = ("max_frame", "slowed_bytes_connection", "slowed_bytes_node")
    # An envelope and the largest body have to fit into one frame, and a frame into whatever it waits in.
    lane = (("envelope", "max_frame"), ("max_frame", "channel_lane_bytes"))
    for smaller, larger in (*lane, *pairwise(slowed), *pairwise(ascending)):
        if getattr(limits, smaller) > getattr(limits, larger):
            yield Problem(f"limits.{smaller}", f"is above limits.{larger}, which is {getattr(limits, larger)}")
    for index, channel in enumerate(config.channels):
        if channel.inbox.bytes is not None and channel.inbox.bytes > limits.inbox_bytes_node:
            yield Problem(
                f"channels[{index}].inbox.bytes",
                f"is above limits.inbox_bytes_node, which is {limits.inbox_bytes_node}",
            )


def _data_dir(path: Path) -> Iterator[Problem]:
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        yield Problem("data_dir", f"{existing} is not a folder")
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield Problem("data_dir", f"{existing} cannot be written to")
