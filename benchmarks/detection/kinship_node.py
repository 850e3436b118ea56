"""A member of a cluster of kinship as a process under test: ``python -m benchmarks.detection.kinship_node JSON``.

With ``Config.lan()``, its defaults, and encrypted, which is what it asks for off loopback. It has no notion of being
reachable beside being alive.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import kinship

from ..roles import now
from .said import listening, sighting, stand_until_told


def _sighted(member: kinship.Member) -> None:
    state = member.state.name.lower()
    sighting(member.name, member.epoch, member.incarnation, state, state in {"alive", "suspect"})


async def _watch(events: kinship.EventStream) -> None:
    async for event in events:
        if isinstance(event, kinship.EventsLost):
            raise RuntimeError(f"{event.count} events were lost, so that the times are not known")  # noqa: TRY004
        if isinstance(
            event,
            kinship.MemberJoined
            | kinship.MemberSuspect
            | kinship.MemberRecovered
            | kinship.MemberDead
            | kinship.MemberLeft,
        ):
            _sighted(event.member)


async def _main(told: dict[str, Any]) -> None:
    cluster = kinship.Cluster(
        kinship.Config.lan(
            name=told["name"],
            bind=told["address"],
            seeds=[seed for seed in told["seeds"] if seed != told["address"]],
            keys=[told["key"]],
            event_buffer=65_536,
        )
    )
    begun = now()
    await cluster.start()
    watching = asyncio.create_task(_watch(cluster.events()))
    listening(cluster.local.epoch, begun)
    for member in cluster.members():
        _sighted(member)

    async def leave() -> None:
        watching.cancel()
        await cluster.leave(1.0)
        await cluster.close()

    await stand_until_told(leave)


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
