"""The node processes of the demo: each a ``liminal serve`` of its own, ended by its process id and by nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

from .errors import Stop
from .server import CLIENT_PORT, HTTP_PORT

__all__ = ["CHANNEL", "DemoNode", "write_files"]

CHANNEL: Final = "demo.lines"
MESH_PORT: Final = 7601

STOP_S: Final = 5.0
"""What a node gets to end by itself before it is killed."""

LOG_LINES: Final = 8
"""How much of a node's log is kept, to be shown if it ends unexpectedly."""


def write_files(folder: Path, count: int) -> list[Path]:
    """Write a cookie, and for each node a configuration; the first one is the seed of all others.

    The first node takes the default ports, if they are free.
    """
    cookie = folder / "cookie"
    with os.fdopen(os.open(cookie, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    defaults = (CLIENT_PORT, MESH_PORT, HTTP_PORT)
    # Only the seed's mesh port has to be known beforehand; the others take what they get.
    client, mesh, http = defaults if all(map(_free, defaults)) else (0, _any_port(), 0)
    seed = f"127.0.0.1:{mesh}"
    files = []
    for number in range(1, count + 1):
        ports = (client, mesh, http) if number == 1 else (0, 0, 0)
        files.append(folder / f"demo-{number}.toml")
        files[-1].write_text(_config(f"demo-{number}", ports, seed if number > 1 else None))
    return files


def _config(name: str, ports: tuple[int, int, int], seed: str | None) -> str:
    client, mesh, http = ports
    return f"""name = "{name}"
drain_timeout = "3s"
client.listen = "127.0.0.1:{client}"
http.listen = "127.0.0.1:{http}"
log.format = "json"

[cluster]
name = "demo"
listen = "127.0.0.1:{mesh}"
seeds = [{f'"{seed}"' if seed else ""}]
cookie_file = "cookie"

[[channels]]
name = "demo.>"
"""


def _free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class DemoNode:
    """One node process.

    Attributes:
        addresses: ``client``, ``mesh`` and ``http``, once it listens.
        listening_at: when its line about that came, by the monotonic clock.
        exited: its exit code, once it has ended.
    """

    def __init__(self, config: Path, changed: asyncio.Event) -> None:
        self.name = config.stem
        self.addresses: dict[str, str] = {}
        self.epoch = ""
        self.listening_at = 0.0
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._config = config
        self._changed = changed
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process."""
        words = (sys.executable, "-m", "liminal_mesh", "serve", "--config", str(self._config), "--until-eof")
        self._process = await asyncio.create_subprocess_exec(
            *words,
            # It ends when this pipe does, so that not even a killed demo leaves it behind.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("LIMINAL_")},
            # Ctrl-C is for the demo alone, which then ends its nodes in order.
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._process), name=f"log-of-{self.name}")

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"liminal://{self.addresses['client']}"

    def obituary(self) -> Stop:
        """Return what is to be said when it has ended by itself."""
        code = self.exited.result()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        lines = "\n".join(f"  {line}" for line in self._log)
        return Stop(f"node {self.name} (process {self.pid}) {how}. The end of its log:\n{lines}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        # A line longer than the reader's bound is skipped, not the end of reading.
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:
                continue
            if not line:
                break
            self._take(line.decode(errors="replace").rstrip())
        self.exited.set_result(await process.wait())
        self._changed.set()

    def _take(self, line: str) -> None:
        self._log.append(line)
        with contextlib.suppress(ValueError):
            facts: Any = json.loads(line)
            if isinstance(facts, dict) and facts.get("event") == "listening":
                self.epoch = facts["epoch"]
                self.addresses = {name: facts[name] for name in ("client", "mesh", "http") if name in facts}
                self.listening_at = time.monotonic()
        self._changed.set()

    def kill(self) -> None:
        """Kill the process."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        """End the process: politely, and after a while not."""
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait({reader}, timeout=STOP_S)
        if process.returncode is None:
            self.kill()
        await reader
