"""A process with a node or a client in it, driven by lines of JSON: one command each, one answer each.

Run with one argument, a JSON object: ``{"node": {configuration}}`` or ``{"client": url}``. It answers once when it
stands. Commands run side by side; an answer bears the number of its command.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from typing import Any

from liminal_mesh.cluster import Joined, Left, MemberChanged, Pid, Purged
from liminal_mesh.node.client import Client
from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node
from liminal_mesh.node.process import Process

from .reader import Reader
from .traffic import flood

READ_BYTES = 1 << 20


class Commands:
    """The commands: each is a method, with the command's fields as arguments."""

    def __init__(self, bus: Node | Client) -> None:
        self.bus = bus
        self.readers: dict[str, Reader] = {}
        self.ended = asyncio.Event()
        self.group_events: list[str] = []
        self.member_events: list[dict[str, Any]] = []
        self.processes: dict[str, Process] = {}
        self._drained = True
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def node(self) -> Node:
        """The bus, which must be a node."""
        assert isinstance(self.bus, Node)
        return self.bus

    def watch(self) -> None:
        """Write down what becomes of the groups, and of the members."""
        self.node.running.registry.watch(self._note)
        if self.node.running.peering is not None:
            self.node.running.peering.membership.watch(self._sighted)

    def _note(self, event: object) -> None:
        if isinstance(event, Joined | Left):
            self.group_events.append(f"{type(event).__name__} {event.group} {event.pid.node} {event.pid.epoch}")
        elif isinstance(event, Purged):
            self.group_events.append(f"Purged {event.node.name} {event.node.epoch} {event.members}")

    def _sighted(self, change: MemberChanged) -> None:
        member = change.after or change.before
        assert member is not None, "something changed"
        held = asdict(member) if change.after is not None else {"name": member.name, "state": "gone"}
        self.member_events.append({**held, "at": time.monotonic()})

    # --- commands ---

    async def subscribe(
        self, key: str, pattern: str, wait: Any = None, max_in_flight: int = 256, hold: bool = False, whole: bool = True
    ) -> str:
        """Open a subscription, and read it unless it is held."""
        subscription = await self.bus.subscribe(pattern, wait=wait, max_in_flight=max_in_flight).__aenter__()
        reader = self.readers[key] = Reader(subscription, whole=whole)
        if hold:
            reader.hold()
        reader.start()
        return str(subscription.id)

    async def unsubscribe(self, key: str) -> None:
        """Close a subscription."""
        reader = self.readers.pop(key)
        await reader.stop()
        await reader.subscription.__aexit__(None, None, None)

    async def release(self, key: str) -> None:
        """Read a held subscription."""
        self.readers[key].release()

    async def until(self, key: str, total: int, timeout: float) -> dict[str, object]:
        """Wait until a subscription has seen so many."""
        await self.readers[key].until(total, timeout)
        return self.readers[key].books()

    async def books(self, key: str) -> dict[str, object]:
        """Return what a subscription has seen."""
        return self.readers[key].books()

    async def publish(self, channel: str, count: int, size: int = 16, ack: Any = None) -> dict[str, float]:
        """Publish one after the other, each awaited; return how long they took."""
        longest, begin = 0.0, time.monotonic()
        for _ in range(count):
            before = time.monotonic()
            await self.bus.publish(channel, b"x" * size, ack=ack)
            longest = max(longest, time.monotonic() - before)
        return {"longest": longest, "seconds": time.monotonic() - begin}

    async def flood(self, channel: str, count: int, size: int = 16, pace: float = 0.0) -> dict[str, float]:
        """Publish without waiting, but for room when there is none; return how long the pauses were."""
        return await flood(self.bus, channel, count, size, pace)

    async def window(self, channel: str, count: int, size: int = 16, ack: Any = None) -> dict[str, float]:
        """Publish through a window."""
        begin, body = time.monotonic(), b"x" * size
        async with self.bus.publisher(channel, ack=ack, timeout=20.0) as publisher:
            for _ in range(count):
                await publisher.send(body)
        return {"acknowledged": publisher.statistics.acknowledged, "seconds": time.monotonic() - begin}

    async def members(self) -> dict[str, str]:
        """Return the members' states by name."""
        return {member.name: member.state for member in await self.bus.members()}

    async def sees(self, states: dict[str, str], timeout: float) -> None:
        """Wait until the members are these, with their states."""
        run = self.node.running
        deadline = asyncio.get_running_loop().time() + timeout
        if not await run.hub.until(lambda: {one.name: one.state for one in run.members()} == states, deadline):
            raise AssertionError(f"{await self.members()} after {timeout} s, not {states}")

    async def sightings(self) -> list[dict[str, Any]]:
        """Return what became of the members so far, each with the time at which it was known here."""
        return list(self.member_events)

    async def missing(self) -> list[tuple[str, str]]:
        """Return the links that should be there and are not."""
        assert self.node.running.peering is not None
        return list(self.node.running.peering.missing())

    async def controlled(self, names: list[str], timeout: float) -> None:
        """Wait until there are control links with these peers."""
        control = self.node.running.control
        assert control is not None
        async with asyncio.timeout(timeout):
            while not set(names) <= set(control._links):  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # nobody tells of it

    async def linked(self, names: list[str], timeout: float) -> list[str]:
        """Wait until exactly these peers are linked and synced in the channels' scope."""
        run, wanted = self.node.running, set(names)

        def there() -> bool:
            return set(linked()) == wanted and all(run.registry.synced(name, 0) for name in wanted)

        def linked() -> list[str]:
            return sorted(run.hub.mesh.links) if run.hub.mesh is not None else []

        if not await run.hub.until(there, asyncio.get_running_loop().time() + timeout):
            raise AssertionError(f"linked with {linked()}, not with {names}")
        return linked()

    async def clients(self, count: int, timeout: float) -> int:
        """Wait until so many clients are connected."""
        run = self.node.running
        deadline = asyncio.get_running_loop().time() + timeout
        if not await run.hub.until(lambda: len(run.server.connections) == count, deadline):
            raise AssertionError(f"{len(run.server.connections)} clients, not {count}")
        return count

    async def groups(self) -> dict[str, list[str]]:
        """Return the visible members of every channel group."""
        groups = self.node.running.registry.groups(0)
        return {group: [str(pid) for pid in pids] for group, pids in groups.items()}

    async def registry(self) -> list[str]:
        """Return what became of the groups so far."""
        return list(self.group_events)

    async def events(self) -> list[dict[str, object]]:
        """Return the node's events."""
        return list(self.node.running.hub.events)

    async def statistics(self) -> dict[str, int]:
        """Return the exchange's counters."""
        statistics = self.node.running.hub.exchange.statistics
        return {name: getattr(statistics, name) for name in type(statistics).__dataclass_fields__}

    async def memory(self) -> int:
        """Return the most memory that was in use, in bytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    async def stop(self) -> bool:
        """Stop, and end the process."""
        if isinstance(self.bus, Node):
            self._drained = await self.bus.stop()
        else:
            await self.bus.close()
        self.ended.set()
        return self._drained

    # --- processes ---

    async def spawn(self, key: str, group: str | None = None, link: str | None = None) -> str:
        """Spawn a process that stays, and let it join a group, and link with another one; return its pid."""
        process = self.processes[key] = await self.bus.spawn(stay)
        if group is not None:
            await self.bus.join(group, process.pid, wait="cluster")
        if link is not None:
            process.link(Pid.parse(link))
        return str(process.pid)

    async def exit_of(self, key: str, timeout: float) -> dict[str, object]:
        """Wait for the end of a process; return its reason, and when that was seen."""
        async with asyncio.timeout(timeout):
            reason = await self.processes[key].wait()
        return {"reason": reason, "at": time.monotonic()}

    async def running(self, key: str) -> bool:
        """Return whether a process lives."""
        return self.node.running.hub.processes.alive(self.processes[key].pid)

    async def monitor(self, pid: str, timeout: float) -> dict[str, object]:
        """Watch a process until its end; return the reason, and when that was seen."""
        async with self.bus.monitor(Pid.parse(pid)) as monitor:
            down = await monitor.down(timeout)
        return {"reason": down.reason, "at": down.observed_at, "members": await self.group_members("g")}

    async def monitored(self, count: int, timeout: float) -> None:
        """Wait until so many of this node's processes are watched or linked from other nodes."""
        table = self.node.running.hub.processes
        async with asyncio.timeout(timeout):
            while table._monitors.count - table._monitors.ours + table.statistics().links < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # nobody tells of it

    async def group_members(self, group: str) -> list[str]:
        """Return who is in a group."""
        return [str(pid) for pid in await self.bus.group_members(group)]

    # --- the loop ---

    async def answer(self, number: int, verb: str, fields: dict[str, Any]) -> None:
        """Carry out a command."""
        try:
            result = await getattr(self, verb)(**fields)
        except Exception as error:  # it is the caller's
            say({"number": number, "error": type(error).__name__, "text": str(error)})
        else:
            say({"number": number, "result": result})

    async def serve(self) -> int:
        """Take commands until stopped, or until the caller is gone."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: self._begin(self.stop()))
        reader = asyncio.StreamReader(limit=READ_BYTES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        self._begin(self._take(reader))
        await self.ended.wait()
        return 0 if self._drained else 1

    async def _take(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            command = json.loads(line)
            self._begin(self.answer(command.pop("number"), command.pop("verb"), command))
        self.ended.set()

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def stay(me: Process) -> None:
    """Run until something ends it."""
    await asyncio.Event().wait()


def say(answer: dict[str, Any]) -> None:
    """Write an answer."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def run(told: dict[str, Any], commands: Callable[[Node | Client], Commands]) -> int:
    """Start what was asked for, and serve its commands."""
    if "node" in told:
        node = Node(NodeConfig(**told["node"]))
        await node.start()
        worker = commands(node)
        worker.watch()
        say({"addresses": {name: str(address) for name, address in node.addresses.items()}, "epoch": node.epoch})
    else:
        client = await Client(told["client"]).__aenter__()
        worker = commands(client)
        say({"addresses": {}, "epoch": 0})
    return await worker.serve()


def main(commands: Callable[[dict[str, Any], Node | Client], Commands]) -> None:
    """Run what the argument says; exits the process. An abort shows its stacks first."""
    faulthandler.enable()
    told = json.loads(sys.argv[1])
    work = run(told, partial(commands, told))
    if told.get("uvloop"):
        import uvloop

        sys.exit(uvloop.run(work))
    sys.exit(asyncio.run(work))


if __name__ == "__main__":
    main(lambda told, bus: Commands(bus))
