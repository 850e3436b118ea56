"""A DNS server as a test holds it."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from typing import IO, Any, Self

__all__ = ["DnsServer"]

PATIENCE_S = 30.0
"""For an interpreter's start on a busy machine, and for one line after that."""


class DnsServer:
    """The process of ``python -m tests.dns``; ``address`` is where it answers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dns"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.queries: list[tuple[str, str, str]] = []
        """What was asked: name, kind, transport; whole up to the last :meth:`zone`."""
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.address = f"127.0.0.1:{self._said.get(timeout=PATIENCE_S)['port']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def zone(self, entries: dict[str, Any]) -> None:
        """Put a zone in force, and return when it is; an entry is an object as the server takes it, or a mode."""
        document = {name: {"mode": entry} if isinstance(entry, str) else entry for name, entry in entries.items()}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
        self._said.get(timeout=PATIENCE_S)

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                said = json.loads(line)
                if "query" in said:
                    self.queries.append((said["query"], said["kind"], said["transport"]))
                else:
                    self._said.put(said)
