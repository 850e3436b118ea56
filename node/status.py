"""What a node tells of itself: plain functions from the running node to documents that become JSON.

The shapes are a contract with programs and with the command line: fields may be added, none may go. Epochs and pids
are text, since 64-bit numbers do not survive every reader of JSON; times are seconds since 1970.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import structs

from liminal_mesh.cluster import QUEUE_SCOPE, SCOPES, Member, Pid, split_queue

from .channel_listing import channel_infos, sharing
from .readiness import conditions, state

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = [
    "Document",
    "channels",
    "config",
    "connections",
    "discovery",
    "events",
    "groups",
    "groups_version",
    "health",
    "links",
    "member_document",
    "members",
    "node",
    "ready",
]

Document: TypeAlias = dict[str, Any]
"""A JSON object."""


def health(run: Runtime) -> Document:
    """Return that the node is alive: it answered. Neither peers nor anything else matter."""
    return {"alive": True, "name": run.hub.me.name}


def ready(run: Runtime) -> Document:
    """Return whether the node is ready, and the names of the conditions that are not met, in a fixed order."""
    asked = conditions(run)
    unmet = [one.name for one in asked if not one.met]
    listed = [{"name": one.name, "met": one.met, **one.detail} for one in asked]
    return {"ready": not unmet, "unmet": unmet, "conditions": listed}


def node(run: Runtime) -> Document:
    """Return who this node is, how it is, and where it listens."""
    cluster = run.config.cluster
    return {
        "name": run.hub.me.name,
        "epoch": str(run.hub.me.epoch),
        "version": run.version,
        "state": state(run),
        "cluster": None if cluster is None else cluster.name,
        "addresses": {name: str(listener.address) for name, listener in run.listeners.items()},
    }


def members(run: Runtime) -> Document:
    """Return the nodes of the mesh as this one sees them, itself included."""
    return {"members": [member_document(one) for one in run.members()]}


def member_document(member: Member) -> Document:
    """Return one node as it is seen."""
    return {
        "name": member.name,
        "epoch": str(member.epoch),
        "incarnation": member.incarnation,
        "state": member.state,
        "reachable": member.reachable,
        "stalled": member.stalled,
        "address": member.address,
    }


def links(run: Runtime) -> Document:
    """Return the links of ``node``, which is this one, also those that should stand and do not, and who misses whom."""
    here = run.hub.me.name
    if run.peering is None or run.hub.mesh is None:
        return {"node": here, "links": [], "missing": []}
    sessions, standing = run.peering.sessions(), run.hub.mesh.links
    listed = []
    for member in run.members():
        if member.name == here or (member.state == "left" and not member.reachable):
            continue
        session, link = sessions.get(member.name), standing.get(member.name)
        up = session is not None and link is not None
        listed.append(
            {
                "peer": member.name,
                "epoch": str(member.epoch),
                "up": up,
                "rtt_ms": round(session.rtt_s * 1000, 3) if session is not None and session.rtt_s is not None else None,
                "queued_bytes": link.lane.bytes + link.wire.queued_bytes if link is not None else 0,
                "address": member.address,
                "clients": session.clients if session is not None else "",
                "since": _wall(session.since) if session is not None else None,
                "dropped": link.lane.dropped if link is not None else 0,
                "stalled": link.lane.stalled if link is not None else False,
                "bytes_in": link.wire.bytes_in if link is not None else 0,
                "bytes_out": link.wire.bytes_out if link is not None else 0,
            }
        )
    missing = [{"from": one, "to": other} for one, other in run.peering.missing()]
    return {"node": here, "links": listed, "missing": missing}


def discovery(run: Runtime) -> Document:
    """Return how this node looks for others: what its seeds stand for, whom it dials, whom it turned away, and why.

    ``cluster`` is None without a mesh, and then there is nothing else. ``at`` is None for what has not ended yet.
    """
    peering, cluster = run.peering, run.config.cluster
    facts: Document = {**node(run), "now": run.environment.wall_ns() / 1e9}
    if peering is None or cluster is None:
        return facts
    return facts | {
        "advertise": peering.address,
        "expected": cluster.expected,
        "ready": cluster.ready,
        "clocks": dict(run.control.clocks) if run.control is not None else {},
        "members": members(run)["members"],
        "disagreements": [structs.asdict(one) for one in run.hub.declarations.disagreements()],
        "seeds": [
            {"seed": one.seed, "addresses": list(one.addresses), "failure": one.failure, "at": _at(one.at)}
            for one in peering.seeds()
        ],
        "dials": [
            {
                "address": one.address,
                "seed": one.seed,
                "peer": one.peer,
                "code": one.code,
                "detail": one.detail,
                "at": _at(one.at),
            }
            for one in peering.attempts()
        ],
        "callers": [
            {"peer": one.peer, "address": one.address, "code": one.code, "reason": one.reason, "at": _at(one.at)}
            for one in peering.turned_away()
        ],
    }


def _at(loop_time: float | None) -> float | None:
    return None if loop_time is None else _wall(loop_time)


def groups(run: Runtime) -> Document:
    """Return every group that has members, of all scopes, with the members of the whole mesh.

    Subscriptions that share what is published are of the scope ``queue``, named by pattern and group, which stand there
    once more as ``channel`` and ``group``. ``version`` is another text when anything of this is different.
    """
    return {
        "node": run.hub.me.name,
        "version": groups_version(run),
        "groups": [
            _group(scope, group, pids)
            for scope in range(len(SCOPES))
            for group, pids in sorted(run.registry.groups(scope).items())
        ],
    }


def _group(scope: int, name: str, pids: Sequence[Pid]) -> Document:
    found = {
        "scope": SCOPES[scope],
        "name": name,
        "members": [{"pid": str(pid), "node": pid.node} for pid in pids],
    }
    return found | (dict(zip(("channel", "group"), split_queue(name), strict=True)) if scope == QUEUE_SCOPE else {})


def groups_version(run: Runtime) -> str:
    """Return a text that is another one after each change of any group."""
    return f"{run.hub.me.epoch}.{run.hub.watches.changes}"


def channels(run: Runtime) -> Document:
    """Return the channels: those declared by an exact name, and those of families that were used; and the families."""
    found, disagrees = channel_infos(run.hub), _disagrees(run)
    return {
        "channels": [
            {
                **structs.asdict(one),
                "nodes": list(one.nodes),
                "versions": list(one.versions),
                "pid": str(one.pid) if one.pid is not None else None,
                "groups": [
                    {"name": group, "members": len(pids), "nodes": sorted({pid.node for pid in pids})}
                    for group, pids in sorted(sharing(run.registry, one.name).items())
                ],
                "keys": _keys(run, one.name),
                "disagrees": disagrees.get(one.name, []),
                "pressure": _pressure(run, one.name),
            }
            for one in found
            if one.state != "family"
        ],
        "families": [
            {
                "name": one.name,
                "durable": one.durable,
                "schema": one.schema,
                "disagrees": disagrees.get(one.name, []),
            }
            for one in found
            if one.state == "family"
        ],
    }


def _disagrees(run: Runtime) -> dict[str, list[Document]]:
    """Return the linked peers that have declared a channel otherwise, and how, by channel."""
    found: dict[str, list[Document]] = {}
    for one in run.hub.declarations.disagreements():
        entry = {"node": one.node, "durable": one.their_durable, "schema": one.their_schema}
        found.setdefault(one.channel, []).append(entry)
    return found


def _pressure(run: Runtime, channel: str) -> Document | None:
    """Return the score of a channel and what is done about it; None where nothing is to be done in any case."""
    used = run.hub.exchange.channels.channels.get(channel)
    if used is None or used.press is None:
        return None
    pressure = used.press.pressure
    return {
        "score": round(used.press.score(), 3),
        "reached": [policy.at for policy in pressure.reached],
        "slow": used.press.throttle.factor,
        "slowed_by": run.hub.throttles.by(channel),
        "shed_below": pressure.shed_below,
    }


def _keys(run: Runtime, channel: str) -> Document:
    """Return how many keys of a channel this node remembers, and how many are in flight here."""
    remembered, in_flight = run.hub.shared.keys.dedup.of(channel)
    return {"remembered": remembered, "in_flight": in_flight}


def connections(run: Runtime) -> Document:
    """Return the clients that are connected to this node."""
    return {"connections": [{**structs.asdict(one), "pid": str(one.pid)} for one in run.server.listed()]}


def config(run: Runtime) -> Document:
    """Return every value that is in force, reloads included, and where each came from."""
    return run.in_force.loaded.document()


def events(run: Runtime, after: str = "") -> Document:
    """Return what came after the event with this ``id``, oldest first; by default all that is kept.

    ``missed`` counts what came after it too, and is not kept any more; ``last`` is what to ask with next.

    Raises:
        ValueError: an event has no such ``id``.
    """
    tail = run.hub.events.after(after)
    return {"node": run.hub.me.name, "events": list(tail.events), "missed": tail.missed, "last": tail.last}


def _wall(loop_time: float) -> float:
    """Return a moment of the loop's clock as seconds since 1970."""
    return round(time.time() - (asyncio.get_running_loop().time() - loop_time), 3)
