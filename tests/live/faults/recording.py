"""A mesh of recorded processes behind proxies, faults for it, and the verdict over what they wrote."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

from tests.history.check import Report, check
from tests.history.events import Exit, Fault, Rest, Run
from tests.history.history import History
from tests.history.recorder import Recorder

from .fleet import Fleet, Worker
from .pressed import PRESSED
from .proxy import Proxy
from .shapes import TYPED

__all__ = ["CHANNELS", "RecordedMesh"]

CHANNELS = ("t.x", "t.y", "t.deep.z", "t.ask", "t.answer", "t.thanks", TYPED, *PRESSED)
PATIENCE_S = 30.0
"""How long everything may take that the end of a run waits for."""


class RecordedMesh:
    """Recorded nodes and clients; nodes reach each other through proxies only. ``drained`` left before the end.

    Args:
        fleet: whose processes they are.
        folder: where histories go; a new one.
        proxies: by the name of the node behind it; entered already.
        patience_s: how long the end waits for what should come, and perhaps never does.
        options: for every node.
    """

    def __init__(
        self, fleet: Fleet, folder: Path, proxies: dict[str, Proxy], patience_s: float = PATIENCE_S, **options: Any
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.proxies = proxies
        self.workers: dict[str, Worker] = {}
        self.drained: set[str] = set()
        self._patience_s = patience_s
        self._fleet = fleet
        self._options = options
        self._procs: dict[Worker, str] = {}
        self._runs = count(1)
        self._recorder = Recorder(folder, "test")

    async def nodes(self, *names: str, **told: Any) -> None:
        """Start nodes, and wait until all are linked."""
        for name in names:
            await self.node(name, **told)
        await self.linked()

    async def node(self, name: str, **told: Any) -> Worker:
        """Start a node, again perhaps."""
        others = {other: proxy.address for other, proxy in self.proxies.items() if other != name}
        seeds = [proxy.address for other, proxy in self.proxies.items() if other in self.workers and other != name]
        config = self._fleet.config(name, seeds, dial_overrides=others, **self._options)
        worker = await self._start(name, {"node": config, **told})
        self.proxies[name].point(worker.addresses["mesh"])
        return worker

    async def client(self, name: str, *addresses: str) -> Worker:
        """Start a client."""
        return await self._start(name, {"client": f"liminal://{','.join(addresses)}"})

    async def kill(self, name: str) -> None:
        """Kill a process without a word."""
        worker = self.workers.pop(name)
        self.note(f"kill {name}")
        await worker.kill()
        now, target = self._recorder.now(), self._procs[worker]
        self._recorder.write(Run(t_mono_ns=now, proc="test", type="info", target=target))

    async def drain(self, name: str) -> None:
        """Let a node leave while it works, and wait for its end."""
        worker = self.workers.pop(name)
        self.note(f"drain {name}")
        self.drained.add(self._procs[worker])
        await worker.call("drain")
        await self._exited(worker)

    async def _exited(self, worker: Worker) -> None:
        code, now = await worker.exit_code(), self._recorder.now()
        self._recorder.write(Exit(t_mono_ns=now, proc="test", target=self._procs[worker], code=code))

    def note(self, what: str) -> None:
        """Write down what is done to the mesh."""
        self._recorder.write(Fault(t_mono_ns=self._recorder.now(), proc="test", what=what))

    def reset(self, name: str) -> None:
        """Reset all links that were dialled to a node."""
        self.note(f"reset links to {name}")
        self.proxies[name].reset()

    async def linked(self) -> None:
        """Wait until all nodes are linked."""
        nodes = self._nodes()
        await asyncio.gather(*(one.linked(*(set(nodes) - {name})) for name, one in nodes.items()))

    async def all(self, verb: str, **fields: Any) -> list[Any]:
        """Give every process a command."""
        return await asyncio.gather(*(one.call(verb, **fields) for one in self.workers.values()))

    async def verdict(self) -> Report:
        """End: no more publishes, all linked, the last of everything waited for, all stopped; check the history."""
        await self.all("halt")
        await self.all("hurry")
        await self.linked()
        await asyncio.gather(*(one.call("quiet", timeout=self._patience_s) for one in self._nodes().values()))
        self.note("all is quiet")
        done = await asyncio.gather(*(one.call("last", channels=CHANNELS) for one in self._nodes().values()))
        await self.all("settle", last=[message for messages in done for message in messages], timeout=self._patience_s)
        await self.whole()
        self._recorder.write(Rest(t_mono_ns=self._recorder.now(), proc="test"))
        await self.all("leave_all")
        await self.all("give_back", timeout=self._patience_s)
        for names in (set(self.workers) - set(self._nodes()), set(self._nodes())):
            await asyncio.gather(*(self.workers[name].call("stop") for name in names))
            await asyncio.gather(*(self._exited(self.workers[name]) for name in names))
        return check(History.read(sorted(self.folder.glob("*.jsonl"))))

    async def whole(self) -> None:
        """Wait until all nodes are linked, and see each other alive."""
        await self.linked()
        nodes = self._nodes()
        await asyncio.gather(*(one.sees(PATIENCE_S, **dict.fromkeys(nodes, "alive")) for one in nodes.values()))

    def _nodes(self) -> dict[str, Worker]:
        return {name: one for name, one in self.workers.items() if "node" in one.told}

    async def _start(self, name: str, told: dict[str, Any]) -> Worker:
        proc = f"{name}.{next(self._runs)}"
        told["history"] = {"folder": str(self.folder), "proc": proc}
        worker = self.workers[name] = await self._fleet.start(name, told, "recorded")
        self._procs[worker] = proc
        return worker
