"""``python -m tests.dns``: serves a zone on a free port of loopback, over UDP and TCP.

Its standard input takes one zone as a JSON object a line, which replaces the last one; its standard output says
``{"port": ...}`` once, ``{"zone": n}`` for each zone that is in force, and ``{"query": ...}`` for each question that
came. It ends with its standard input.

A zone maps names (small letters, no final dot) to entries::

    {"A": ["127.0.0.1"], "AAAA": ["::1"], "SRV": [[priority, weight, port, "host"]],
     "ttl": 300, "mode": "answer" | "servfail" | "refused" | "silent" | "truncate", "silent": ["AAAA"]}

A name that is not there does not exist (NXDOMAIN); a kind that is not there has no records (NODATA). ``truncate`` gives
an answer over TCP alone.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from typing import Any

KINDS = {1: "A", 28: "AAAA", 33: "SRV"}
CODES = {"answer": 0, "truncate": 0, "servfail": 2, "refused": 5}
NXDOMAIN = 3


class Zone:
    """What is answered."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}

    def answer(self, question: bytes, transport: str) -> bytes | None:
        """Return the answer to a packet; None is silence."""
        number, _, _ = struct.unpack_from(">HHH", question)
        name, end = _name(question, 12)
        kind = KINDS.get(struct.unpack_from(">H", question, end)[0], "?")
        print(json.dumps({"query": name, "kind": kind, "transport": transport}), flush=True)
        asked = question[12 : end + 4]
        entry = self.entries.get(name)
        if entry is None:
            return _packet(number, NXDOMAIN, asked, [])
        mode = entry.get("mode", "answer")
        if mode == "silent" or kind in entry.get("silent", ()):
            return None
        if mode == "truncate" and transport == "udp":
            return _packet(number, 0, asked, [], truncated=True)
        records = [] if CODES[mode] else [_record(kind, value) for value in entry.get(kind, ())]
        return _packet(number, CODES[mode], asked, records, ttl=entry.get("ttl", 300))


def _name(packet: bytes, at: int) -> tuple[str, int]:
    labels = []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode().lower())
        at += 1 + packet[at]
    return ".".join(labels), at + 1


def _record(kind: str, value: Any) -> tuple[int, bytes]:
    match kind:
        case "A":
            return 1, socket.inet_pton(socket.AF_INET, value)
        case "AAAA":
            return 28, socket.inet_pton(socket.AF_INET6, value)
        case _:
            priority, weight, port, host = value
            labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
            return 33, struct.pack(">HHH", priority, weight, port) + labels + b"\0"


def _packet(
    number: int, code: int, asked: bytes, records: list[tuple[int, bytes]], *, truncated: bool = False, ttl: int = 300
) -> bytes:
    flags = 0x8180 | code | (0x0200 if truncated else 0)
    head = struct.pack(">HHHHHH", number, flags, 1, len(records), 0, 0)
    body = [b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data for kind, data in records]
    return head + asked + b"".join(body)


class Datagrams(asyncio.DatagramProtocol):
    """Answers over UDP."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    def connection_made(self, transport: Any) -> None:
        """Keep what answers are sent through."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Answer a question."""
        answer = self.zone.answer(data, "udp")
        if answer is not None:
            self.transport.sendto(answer, address)


async def _serve_stream(zone: Zone, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            (length,) = struct.unpack(">H", await reader.readexactly(2))
            answer = zone.answer(await reader.readexactly(length), "tcp")
            if answer is not None:
                writer.write(struct.pack(">H", len(answer)) + answer)
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def main() -> None:
    """Serve until the standard input ends."""
    loop, zone = asyncio.get_running_loop(), Zone()
    server = await asyncio.start_server(lambda *ends: _serve_stream(zone, *ends), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await loop.create_datagram_endpoint(lambda: Datagrams(zone), local_addr=("127.0.0.1", port))
    print(json.dumps({"port": port}), flush=True)
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    count = 0
    while line := await reader.readline():
        zone.entries = json.loads(line)
        count += 1
        print(json.dumps({"zone": count}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
