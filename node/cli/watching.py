"""The work of ``liminal members --watch``: a line for each member that is there, then one for each change."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import count as numbers
from typing import TYPE_CHECKING, Any

from liminal_mesh.cluster import Member, MemberChanged

from ..status import member_document
from ..text import printable
from ..values import MembersSnapshot
from .connection import open_client
from .errors import Code
from .output import emit, say

if TYPE_CHECKING:
    from ..watch import MemberWatch

__all__ = ["difference", "watch_members"]


async def watch_members(server: str | None, count: int | None, timeout_s: float | None, as_json: bool) -> int:
    """Show the members as they change, until there is an end of it; return the exit code."""
    async with open_client(server) as client, client.watch_members() as watch:
        say(f"watching the mesh as node {client.pid.node} sees it")
        try:
            async with asyncio.timeout(timeout_s):
                await _show(watch, count, as_json)
        except TimeoutError:
            return Code.OK if count is None else Code.TIMED_OUT
    return Code.OK


async def _show(watch: MemberWatch, count: int | None, as_json: bool) -> None:
    shown = numbers(1)
    async for event in watch:
        for line in [json.dumps(_document(event))] if as_json else _lines(event):
            emit(line)
        sys.stdout.flush()
        if next(shown) == count:
            return


def _document(event: MembersSnapshot | MemberChanged) -> dict[str, Any]:
    now = round(time.time(), 3)
    if isinstance(event, MembersSnapshot):
        return {"at": now, "kind": "snapshot", "members": [member_document(member) for member in event.members]}
    sides = {"before": event.before, "after": event.after}
    return {"at": now, "kind": "changed"} | {
        name: None if member is None else member_document(member) for name, member in sides.items()
    }


def _lines(event: MembersSnapshot | MemberChanged) -> Iterator[str]:
    clock = datetime.now().astimezone().strftime("%H:%M:%S")
    changes = [MemberChanged(None, one) for one in event.members] if isinstance(event, MembersSnapshot) else [event]
    for change in changes:
        member = change.after or change.before
        assert member is not None
        # A member's name and address are its own choice.
        yield "\t".join(map(printable, (clock, member.name, difference(change))))


def difference(change: MemberChanged) -> str:
    """Say in words what has changed."""
    before, after = change.before, change.after
    if after is None:
        return "forgotten"
    if before is None:
        return ", ".join((after.state, _linked(after), *(["stalled"] * after.stalled), after.address or "no address"))
    parts = [f"epoch {before.epoch} -> {after.epoch}"] if before.epoch != after.epoch else []
    if before.state != after.state:
        parts.append(f"{before.state} -> {after.state}")
    if before.reachable != after.reachable:
        parts.append(_linked(after))
    if before.stalled != after.stalled:
        parts.append("stalled" if after.stalled else "no longer stalled")
    if before.incarnation != after.incarnation:
        parts.append(f"incarnation {before.incarnation} -> {after.incarnation}")
    if before.address != after.address:
        parts.append(f"{before.address or 'no address'} -> {after.address or 'no address'}")
    return ", ".join(parts)


def _linked(member: Member) -> str:
    return "reachable" if member.reachable else "unreachable"
