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
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from liminal_mesh import LiminalError
from liminal_mesh.node.client import Client
from liminal_mesh.node.config_schemas import make_schema
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.schema import Schema
from tests.history import events
from tests.history.payloads import read
from tests.history.recorder import Recorder
from tests.history.records import Key, covers

from .defects import DEFECTS
from .listener import Listener
from .noting import note_links, note_members
from .placing import Place
from .publishing import PublishingClient
from .shapes import NARROW, TWO, TYPED
from .trying import TryingClient
from .using import Meter
from .worker import Commands, main

ANSWERS_MAX = 16
"""What waits to be answered; more is left without."""


class RecordedCommands(Commands):
    """The commands of a process that records."""

    def __init__(self, bus: Node | Client, recorder: Recorder) -> None:
        super().__init__(bus)
        self.recorder = recorder
        self.listeners: dict[str, Listener] = {}
        self.halted = asyncio.Event()
        self.publishing: list[asyncio.Task[None]] = []
        self._heard: list[asyncio.Queue[Message | None]] = []
        """What is to be answered."""
        self._attempts = count(1)
        self._version: Schema | None = None
        """Of the channel with a schema, when it is another one than at the beginning."""
        self.place = Place(bus, recorder)
        self.meter = Meter(bus, recorder, self._tasks)
        recorder.write(events.Run(**self._run(), type="invoke"))
        if isinstance(bus, Node):
            self._begin_channels(bus)

    def _begin_channels(self, node: Node) -> None:
        """Write down with which versions of schemas the channels begin, and what they do when consumers are full."""
        for channel in node.config.channels:
            sheds = [one.shed_below for one in channel.pressure if one.shed_below is not None]
            does: dict[str, Any] = {"channel": channel.name, "overflow": channel.inbox.overflow, "sheds": sheds}
            self.recorder.write(events.Policy(**self.place.at(), **does))
            if channel.schema is not None:
                schema = make_schema(channel.schema)
                self.recorder.write(events.Version(**self.place.at(), **_version(channel.name, schema)))

    def _run(self) -> dict[str, Any]:
        """Return what an event of the process itself says: only a node's is of that node."""
        at = self.place.at()
        return at if isinstance(self.bus, Node) else at | {"node": "", "epoch": 0}

    async def listen(self, key: str, pattern: str, max_in_flight: int = 256, pause: float = 0.0, **asked: Any) -> None:
        """Open a recorded subscription, and read it."""
        self.meter.begin()
        listener = Listener(self.bus, self.recorder, len(self.listeners) + 1, pattern, **asked)
        self.listeners[key] = listener
        await listener.open(max_in_flight, pause)

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

    async def answering(self, client: str, pattern: str, channel: str, every: int, rest: int) -> None:
        """Answer some messages of a pattern on a channel, until halted; return at once."""
        heard: asyncio.Queue[Message | None] = asyncio.Queue(ANSWERS_MAX)
        self._heard.append(heard)

        def take(message: Message) -> None:
            if read(message.body)[1] % every == rest and not (heard.full() or self.halted.is_set()):
                heard.put_nowait(message)

        await self.listen(client, pattern)
        self.listeners[client].heard = take
        publisher = PublishingClient(self.bus, self.recorder, f"{self.recorder.proc}/{client}", channel)
        self.publishing.append(asyncio.create_task(publisher.answered(heard)))

    async def trying(self, content: str, channel: str, pace: float) -> None:
        """Publish with keys what others publish too, until halted; return at once."""
        trying = TryingClient(self.bus, self.recorder, content, channel)
        self.publishing.append(asyncio.create_task(trying.run(self.halted, pace, self._attempts)))

    async def evolve(self) -> None:
        """Put another version of the schema in force: one that follows, and the next time one that has to be forced."""
        if self._version is not TWO:
            await self._evolve(TWO, force=False)
        else:
            await self._evolve(NARROW, force=False)
            await self._evolve(NARROW, force=True)

    async def _evolve(self, schema: Schema, *, force: bool) -> None:
        what = {**_version(TYPED, schema), "forced": force}
        self.recorder.write(events.Version(**self.place.at(), **what, type="invoke"))
        try:
            await self.node.channels.evolve(TYPED, what["document"], force=force)
        except LiminalError as error:
            text = f"{type(error).__name__}: {error}"[:200]
            self.recorder.write(events.Version(**self.place.at(), **what, type="fail", error=text))
        else:
            self._version = schema
            self.recorder.write(events.Version(**self.place.at(), **what))

    async def expel(self, reason: str, most: int) -> int:
        """Close connections of clients by force, up to so many, or all with 0; return how many these were."""
        here = [one.pid for one in self.node.connections() if one.state == "open"][: most or None]
        for pid in here:
            closing = events.Close(**self.place.at(), type="invoke", session=pid.number, reason=reason)
            self.recorder.write(closing)
        if most:
            for pid in here:
                await self.node.disconnect(pid, reason)
        else:
            await self.node.disconnect_all(reason)
        for pid in here:
            self.recorder.write(events.Close(**self.place.at(), session=pid.number))
        return len(here)

    async def finished(self) -> None:
        """Wait until all that publishes has ended by itself."""
        await asyncio.gather(*self.publishing)

    async def halt(self) -> None:
        """Publish no more."""
        self.halted.set()
        for heard in self._heard:
            await heard.put(None)
        self._heard.clear()
        await self.finished()

    async def quiet(self, timeout: float) -> None:
        """Wait until nothing waits for anybody at this node, or for the time that it may take."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.meter.waiting:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # nobody tells of it

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
        return await self.drain()

    async def drain(self) -> bool:
        """Stop while everything else goes on; then publish no more, read what is left, and end the process."""
        self._drained = await self._leave(self.bus) if isinstance(self.bus, Node) else await self._close(self.bus)
        await self.halt()
        for listener in self.listeners.values():
            await listener.finish()
        await self.meter.halt()
        self.recorder.write(events.Run(**self._run(), type="ok"))
        self.ended.set()
        return self._drained

    async def _leave(self, node: Node) -> bool:
        hub, budget_s = node.running.hub, node.config.drain_timeout
        leaving = asyncio.ensure_future(node.stop())
        while not hub.draining:  # noqa: ASYNC110 - a few turns
            await asyncio.sleep(0)
        self.recorder.write(events.Drain(**self.place.at(), type="invoke", budget_s=budget_s))
        handed_on = await leaving
        self.recorder.write(events.Drain(**self.place.at(), handed_on=handed_on))
        return handed_on

    @staticmethod
    async def _close(client: Client) -> bool:
        await client.close()
        return True


def _version(channel: str, schema: Schema) -> dict[str, Any]:
    return {"channel": channel, "version": schema.id, "document": schema.document.root}


if __name__ == "__main__":
    logging.getLogger("liminal.subscription").disabled = True  # it tells of predicates that raise, as they should here
    story = json.loads(sys.argv[1])
    with Recorder(Path(story["history"]["folder"]), story["history"]["proc"]) as recorder:
        if story.get("defect"):
            DEFECTS[story["defect"]]()
        note_links(recorder)
        note_members(recorder)
        main(lambda told, bus: RecordedCommands(bus, recorder))
