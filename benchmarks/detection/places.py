"""Where processes run: on loopback, or each in a network namespace of its own, on a bridge that can be cut.

The bridge stands in a namespace too, so that nothing of the machine's own network is touched, and everything is gone
with the namespaces. Cuts are rules of that bridge alone: packets vanish on the way, and no end is told.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import Protocol, Self

__all__ = ["Loopback", "Namespaces", "Place", "missing"]

PORT = 7601
COMMAND_S = 20.0
TCP_HEADERS, UDP_HEADERS = 52, 28
"""Bytes of an IPv4 header and what follows it; TCP's with time stamps, which Linux always sends."""

_numbers = count(1)


class Place(Protocol):
    """A network for the processes of one mesh, numbered from 1."""

    def address(self, number: int) -> str:
        """Return where a process shall listen."""

    def prefix(self, number: int) -> Sequence[str]:
        """Return the words before its command."""


class Loopback:
    """All processes on loopback, each at an address of its own. Implements :class:`Place`."""

    def __init__(self) -> None:
        self._net = f"127.{os.getpid() % 200 + 20}.{next(_numbers)}"

    def address(self, number: int) -> str:
        """Return where a process shall listen."""
        return f"{self._net}.{number}:{PORT}"

    def prefix(self, number: int) -> Sequence[str]:
        """Return the words before its command: none."""
        return ()


class Namespaces:
    """A namespace for each process, and one for the bridge between them. Implements :class:`Place`.

    Args:
        size: how many processes.

    Raises:
        RuntimeError: a command failed; the text says which, and why.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._hub = f"liminal-detection-{os.getpid()}-{next(_numbers)}"
        self._cut: set[tuple[int, int]] = set()
        self._loss = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._make(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def address(self, number: int) -> str:
        """Return where a process shall listen."""
        return f"{_ip(number)}:{PORT}"

    def prefix(self, number: int) -> Sequence[str]:
        """Return the words before its command."""
        return ("ip", "netns", "exec", f"{self._hub}-{number}")

    # --- faults ---

    def cut(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let no packet pass from the first to the second of each pair; these cuts are added to those that stand."""
        self._cut |= set(pairs)
        self._apply()

    def part(self, some: Iterable[int], others: Iterable[int]) -> None:
        """Cut some from others, both ways."""
        rest = tuple(others)
        self.cut(pair for one in some for other in rest for pair in ((one, other), (other, one)))

    def lose(self, percent: int) -> None:
        """Lose so many of 100 packets, at random."""
        self._loss = percent
        self._apply()

    def heal(self) -> None:
        """Let everything pass again."""
        self._cut.clear()
        self._loss = 0
        self._apply()

    def sent(self, number: int) -> tuple[int, int]:
        """Return the bytes that a process has sent to others so far: in IP packets, and without all headers."""
        listed = json.loads(_run("nft", "-j", "list", "counters", inside=self._hub))["nftables"]
        counters = {one["counter"]["name"]: one["counter"] for one in listed if "counter" in one}
        whole = inside = 0
        for kind, headers in (("tcp", TCP_HEADERS), ("udp", UDP_HEADERS)):
            counter = counters[f"{kind}{number}"]
            whole += counter["bytes"]
            inside += counter["bytes"] - headers * counter["packets"]
        return whole, inside

    # --- parts ---

    def _apply(self) -> None:
        rules = [f"add rule bridge faults cuts ip saddr {_ip(one)} ip daddr {_ip(two)} drop" for one, two in self._cut]
        if self._loss:
            rules.append(f"add rule bridge faults cuts numgen random mod 100 < {self._loss} drop")
        # One transaction: there is no moment with half of the rules.
        _run("nft", "-f", "-", inside=self._hub, told="\n".join(["flush chain bridge faults cuts", *rules]))

    def _make(self, stack: ExitStack) -> None:
        self._namespace(stack, self._hub)
        # IPv6 would speak of itself, and be counted, or be a way round a cut.
        _ip_commands(self._hub, ["link add name lan type bridge forward_delay 0 mcast_snooping 0", "link set lan up"])
        for number in range(1, self._size + 1):
            name = f"{self._hub}-{number}"
            self._namespace(stack, name)
            wires = [
                f"link add name wire{number} type veth peer name eth0 netns {name}",
                f"link set wire{number} master lan up",
            ]
            _ip_commands(self._hub, wires)
            inner = [f"address add {_ip(number)}/24 dev eth0", "link set eth0 up", "link set lo up"]
            _ip_commands(name, inner)
        _run("nft", "-f", "-", inside=self._hub, told=self._table())

    def _table(self) -> str:
        numbers = range(1, self._size + 1)
        counters = [f"counter {kind}{number} {{ }}" for number in numbers for kind in ("tcp", "udp")]
        counting = [
            f"ip saddr {_ip(number)} ip protocol {kind} counter name {kind}{number}"
            for number in numbers
            for kind in ("tcp", "udp")
        ]
        lines = [
            "table bridge faults {", *counters,
            "chain counting {", "type filter hook forward priority -10;", *counting, "}",
            "chain cuts {", "type filter hook forward priority 0;", "}", "}",
        ]  # fmt: skip
        return "\n".join(lines)

    def _namespace(self, stack: ExitStack, name: str) -> None:
        _run("ip", "netns", "add", name)
        stack.callback(_run, "ip", "netns", "delete", name)
        _run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6", inside=name)


def missing() -> str:
    """Say why namespaces cannot be had here; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    if absent:
        return f"{' and '.join(absent)} not found: apt install iproute2 nftables"
    try:
        with Namespaces(2) as place:
            place.part([1], [2])
    except RuntimeError as error:
        return f"network namespaces do not work here: {error}"
    return ""


def _ip(number: int) -> str:
    return f"10.77.0.{number}"


def _ip_commands(namespace: str, commands: Iterable[str]) -> None:
    _run("ip", "-n", namespace, "-batch", "-", told="\n".join(commands))


def _run(*command: str, inside: str = "", told: str = "") -> str:
    words = ["ip", "netns", "exec", inside, *command] if inside else list(command)
    done = subprocess.run(words, input=told, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
