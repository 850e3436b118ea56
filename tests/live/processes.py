"""Real processes of the command for tests: started, heard through their lines, and ended by their own ids."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

LIMINAL = (sys.executable, "-m", "liminal_mesh")
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("LIMINAL_")}

PATIENCE_S = 30.0
"""For what takes up to three seconds on a busy machine, the interpreter's start included."""

COOKIE = "a5f1c09e77d24b3c8e6f0d12ab9934c7e85b61f03d7a4c29b0e8f6d5c4b3a291"


class Process:
    """A running command, whose lines on stdout and stderr can be waited for.

    Its standard input is a pipe that ends with us, so that a node started with ``--until-eof`` does not outlive us.

    Args:
        words: the command's.
        env: what to add to its environment.
        started_by: the words of a command that becomes it.
    """

    def __init__(self, *words: str, env: dict[str, str] | None = None, started_by: Sequence[str] = ()) -> None:
        self.words = words
        self.process = subprocess.Popen(
            [*started_by, *LIMINAL, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**ENVIRON, **(env or {})},
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._open = 2
        self._lock = threading.Lock()
        self._lines: queue.Queue[str] = queue.Queue()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._threads = [
            threading.Thread(target=self._read, args=(stream, kept), daemon=True)
            for stream, kept in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def line(self, wanted: Callable[[str], bool], stream: str = "err", patience_s: float = PATIENCE_S) -> str:
        """Wait for the first line on ``stream`` for which ``wanted`` holds; lines before it count too."""
        kept = self.out if stream == "out" else self.err
        deadline = time.monotonic() + patience_s
        looked_at = 0
        while True:
            for text in kept[looked_at:]:
                looked_at += 1
                if wanted(text):
                    return text
            try:
                self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the line did not come: {self}") from None
            if not self._open and looked_at == len(kept):
                raise AssertionError(f"it ended without the line: {self}")

    def event(self, name: str, **facts: object) -> dict[str, Any]:
        """Wait for a structured log line with this event and these facts; return all of it."""

        def wanted(text: str) -> bool:
            found = _document(text)
            return found.get("event") == name and all(found.get(key) == value for key, value in facts.items())

        return _document(self.line(wanted))

    def write(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end, and for its last lines; return its exit code."""
        code = self.process.wait(patience_s)
        for thread in self._threads:
            thread.join(patience_s)
        return code

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def __str__(self) -> str:
        ended = self.process.poll()
        state = "running" if ended is None else f"ended with {ended}"
        return "\n".join((f"{' '.join(self.words)} ({state})", *self.out[-20:], *self.err[-20:]))

    def _read(self, stream: IO[str], kept: list[str]) -> None:
        with stream:
            for text in stream:
                kept.append(text.rstrip("\n"))
                self._lines.put(text)
        with self._lock:
            self._open -= 1
        self._lines.put("")


class Serve(Process):
    """A node process. All its ports are free ones unless told otherwise."""

    def __init__(
        self, name: str, *words: str, env: dict[str, str] | None = None, started_by: Sequence[str] = ()
    ) -> None:
        self.name = name
        ports = [word for option in ("--client", "--http") if option not in words for word in (option, "127.0.0.1:0")]
        super().__init__("serve", "--until-eof", "--name", name, *ports, *words, env=env, started_by=started_by)
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.listening()
        except BaseException:
            self.kill()
            raise
        return self

    def listening(self) -> dict[str, Any]:
        """Wait until it listens; return that line."""
        facts = self.event("listening")
        self.addresses = {kind: facts[kind] for kind in ("client", "mesh", "http") if kind in facts}
        return facts

    @property
    def url(self) -> str:
        """Where its clients connect."""
        return f"liminal://{self.addresses['client']}"

    def linked(self, *peers: str) -> None:
        """Wait until a link with each of the peers has been made."""
        for peer in peers:
            self.event("link_up", peer=peer)


def mesh_words(folder: Path, seeds: Sequence[str] = (), channel: str = "t.>") -> list[str]:
    """Return the options of a node of a mesh: a cookie in ``folder``, a free mesh port, seeds, a channel."""
    cookie = folder / "cookie"
    if not cookie.exists():
        cookie.touch(mode=0o600)
        cookie.write_text(COOKIE)
    words = ["--mesh", "127.0.0.1:0", "--cookie-file", str(cookie), "--channel", channel]
    return words + [word for seed in seeds for word in ("--seed", seed)]


def running(pid: int) -> bool:
    """Whether a process of this id runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pid: int, patience_s: float = PATIENCE_S) -> bool:
    """Wait until a process that is not our child has ended; False when it has not in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    try:
        return bool(select.select([handle], [], [], patience_s)[0])
    finally:
        os.close(handle)


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
