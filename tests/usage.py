"""What a process uses of the machine, as the kernel tells."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_s", "descriptors", "resident_bytes"]


def resident_bytes(pid: int | None = None) -> int:
    """Return what a process, or this one, keeps in memory."""
    return int(_proc(pid, "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int | None = None) -> int:
    """Return how many files and sockets it has open."""
    return len(list(_proc(pid, "fd").iterdir()))


def cpu_s(pid: int | None = None) -> float:
    """Return the seconds that it has computed, the kernel's for it included."""
    fields = _proc(pid, "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _proc(pid: int | None, name: str) -> Path:
    return Path("/proc") / ("self" if pid is None else str(pid)) / name
