"""Writes a history as it happens: each event is with the kernel before the process goes on, so a kill loses none."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from .events import Event

__all__ = ["Recorder"]

E = TypeVar("E", bound=Event)


class Recorder:
    """The history of one process.

    Args:
        folder: where histories are; the file is named for the process.
        proc: the process's name, unique in its folder.
    """

    def __init__(self, folder: Path, proc: str) -> None:
        self.proc = proc
        self.path = folder / f"{proc}.jsonl"
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def now(self) -> int:
        """Return the time, in nanoseconds."""
        return time.monotonic_ns()

    def write(self, event: Event) -> None:
        """Write an event down.

        No buffer of ours: what a killed process has written stays written, but for a line it was in the middle of.
        """
        line = self._encode(event) + b"\n"
        written = os.write(self._fd, line)
        assert written == len(line), "the disk is full"
