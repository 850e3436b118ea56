"""The process of ``worker``, which writes a history of all that it does and sees.

Its argument has one more entry, ``history``: the folder, and the name of this run of the process; and perhaps a
``defect`` of ``defects``. Publishes and subscriptions are seen from the outside, as a program sees them. Sessions with
peers and the frames that come over them are noted where the mesh hands them over.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from itertools import count
from pathlib import Path
from typing import Any

from liminal_mesh.cluster import CHANNEL_SCOPE, BusFrame, Offer, Publish
from liminal_mesh.cluster.link import Link
from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.node.client import Client
from liminal_mesh.node.hub import Hub
from liminal_mesh.node.node import Node
from tests.history import events
from tests.history.payloads import read
from tests.history.recorder import Recorder
from tests.history.records import Key, covers

from .defects import DEFECTS
from .listener import Listener
from .publishing import PublishingClient
from .trying import TryingClient
from .using import Meter
from .worker import Commands, main


class RecordedCommands(Commands):
    """The commands of a process that records."""

    def __init__(self, bus: Node | Client, recorder: Recorder) -> None:
        super().__init__(bus)
        self.recorder = recorder
        self.listeners: dict[str, Listener] = {}
        self.halted = asyncio.Event()
        self.publishing: list[asyncio.Task[None]] = []
        self._attempts = count(1)
        self.meter = Meter(bus, recorder, self._at, self._tasks)
        recorder.write(events.Run(**self._at(), type="invoke"))

    def _at(self) -> dict[str, Any]:
        at: dict[str, Any] = {"t_mono_ns": self.recorder.now(), "proc": self.recorder.proc}
        if isinstance(self.bus, Node):
            at |= {"node": self.bus.pid.node, "epoch": self.bus.pid.epoch}
        return at

    async def listen(
        self, key: str, pattern: str, group: str = "", where: tuple[int, int] | None = None, **options: Any
    ) -> None:
        """Open a recorded subscription, and read it."""
        self.meter.begin()
        listener = Listener(self.bus, self.recorder, len(self.listeners) + 1, pattern, group, where)
        self.listeners[key] = listener
        await listener.open(**options)

    async def leave(self, key: str) -> None:
        """Close a recorded subscription, and read what it still hands out."""
        await self.listeners[key].leave()

    async def hurry(self) -> None:
        """Let all recorded subscriptions be read as fast as it goes."""
        for listener in self.listeners.values():
            listener.pause = 0.0

    async def settle(self, last: list[list[Any]], timeout: float) -> list[Key]:
        """Wait until each recorded subscription has the last messages that it covers; return those that are missing.

        Those that share with others wait for none: any of them may be another's.
        """
        work = []
        for listener in self.listeners.values():
            mine = () if listener.group else last
            wanted = {(client, n) for client, n, channel in mine if covers(listener.pattern, channel)}
            work.append(listener.settle(wanted, timeout))
        return [key for missing in await asyncio.gather(*work) for key in missing]

    async def traffic(self, client: str, how: str, channel: str, **options: Any) -> None:
        """Publish, in one of the ways of a recorded client, until halted or for some rounds; return at once."""
        self.meter.begin()
        publisher = PublishingClient(self.bus, self.recorder, f"{self.recorder.proc}/{client}", channel)
        self.publishing.append(asyncio.create_task(getattr(publisher, how)(self.halted, **options)))

    async def trying(self, content: str, channel: str, pace: float) -> None:
        """Publish with keys what others publish too, until halted; return at once."""
        trying = TryingClient(self.bus, self.recorder, content, channel)
        self.publishing.append(asyncio.create_task(trying.run(self.halted, pace, self._attempts)))

    async def finished(self) -> None:
        """Wait until all that publishes has ended by itself."""
        await asyncio.gather(*self.publishing)

    async def halt(self) -> None:
        """Publish no more."""
        self.halted.set()
        await self.finished()

    async def last(self, channels: list[str]) -> list[tuple[str, int, str]]:
        """Publish a last message on each channel."""
        done = []
        for channel in channels:
            client = f"{self.recorder.proc}/last/{channel}"
            await PublishingClient(self.bus, self.recorder, client, channel).one()
            done.append((client, 1, channel))
        return done

    async def leave_all(self) -> None:
        """Close all recorded subscriptions."""
        for listener in self.listeners.values():
            await listener.leave()

    async def give_back(self, timeout: float) -> None:
        """Wait until what the work has cost is given back, and write down what there is then."""
        await self.meter.end(timeout)

    async def stop(self) -> bool:
        """Stop, and end the process; its history ends with it."""
        await self.halt()
        at = self._at()
        drained = await super().stop()
        self.recorder.write(events.Run(**{**at, "t_mono_ns": self.recorder.now()}, type="ok"))
        return drained


def note_members(recorder: Recorder) -> None:
    """Write down what the node holds of the others, as it changes."""
    member_changed = Hub._member_changed

    def noted(self: Hub, change: MemberChanged) -> None:
        member_changed(self, change)
        member, former = change.after or change.before, change.before
        assert member is not None
        state = change.after.state if change.after is not None else ""
        same = former is not None and (former.epoch, former.incarnation, former.state) == (
            member.epoch, member.incarnation, state,
        )  # fmt: skip
        if member.name != self.me.name and not same:
            recorder.write(
                events.Member(
                    t_mono_ns=recorder.now(), proc=recorder.proc, node=self.me.name, epoch=self.me.epoch,
                    member=member.name, member_epoch=member.epoch, incarnation=member.incarnation, state=state,
                )
            )  # fmt: skip

    setattr(Hub, "_member_changed", noted)  # noqa: B010 - of this process alone


def note_links(recorder: Recorder) -> None:
    """Write down sessions with peers, and the channels' publishes that come over them."""
    link_up, link_down, link_frame = Hub.link_up, Hub.link_down, Hub.link_frame

    def note(hub: Hub, link: Link, up: bool) -> None:
        recorder.write(
            events.Link(
                t_mono_ns=recorder.now(), proc=recorder.proc, node=hub.me.name, epoch=hub.me.epoch,
                peer=link.peer.name, peer_epoch=link.peer.epoch, up=up,
            )
        )  # fmt: skip

    def noted_up(self: Hub, link: Link) -> None:
        link_up(self, link)
        note(self, link, up=True)

    def noted_down(self: Hub, link: Link, reason: str) -> None:
        note(self, link, up=False)
        link_down(self, link, reason)

    def noted_publishes(hub: Hub, link: Link, frame: Publish | Offer, group: str) -> None:
        recorder.write(
            events.Arrive(
                t_mono_ns=recorder.now(), proc=recorder.proc, node=hub.me.name, epoch=hub.me.epoch,
                peer=link.peer.name, peer_epoch=link.peer.epoch, channel=frame.channel,
                keys=[read(item.body)[:2] for item in frame.items], group=group,
            )
        )  # fmt: skip

    def noted_frame(self: Hub, link: Link, frame: BusFrame) -> None:
        if isinstance(frame, Offer):
            for group in ([""] if frame.plain else []) + [group for group, _ in frame.claims]:
                noted_publishes(self, link, frame, group)
        elif isinstance(frame, Publish) and frame.scope == CHANNEL_SCOPE:
            noted_publishes(self, link, frame, "")
        link_frame(self, link, frame)

    setattr(Hub, "link_up", noted_up)  # noqa: B010 - of this process alone
    setattr(Hub, "link_down", noted_down)  # noqa: B010
    setattr(Hub, "link_frame", noted_frame)  # noqa: B010


if __name__ == "__main__":
    logging.getLogger("liminal.subscription").disabled = True  # it tells of predicates that raise, as they should here
    story = json.loads(sys.argv[1])
    with Recorder(Path(story["history"]["folder"]), story["history"]["proc"]) as recorder:
        if "defect" in story:
            DEFECTS[story["defect"]]()
        note_links(recorder)
        note_members(recorder)
        main(lambda told, bus: RecordedCommands(bus, recorder))
