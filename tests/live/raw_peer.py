"""The other side of a node's connections, played by hand: what a stranger, a wrong peer or a bad client would send.

The frames are the shipped ones and so is the handshake, so that a test deviates in the one thing it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from liminal_mesh.cluster import CLIENT_CODEC, Address, Connect, Connected, Network, NodeId, TcpNetwork, derive_key
from liminal_mesh.cluster.auth import Role
from liminal_mesh.cluster.codec import HEADER_BYTES, LINK_CODEC, Codec
from liminal_mesh.cluster.control_frames import CONTROL_CODEC, CONTROL_HELLO
from liminal_mesh.cluster.digest import EntryDigest
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.cluster.frames import Adopt, AdoptAck, Heartbeat, Hello, LinkFrame, Range
from liminal_mesh.cluster.handshake import NO_FACTS, Handshake

from ..nodes import DEADLINE_S

__all__ = [
    "NOWHERE",
    "RawClient",
    "RawConnection",
    "RawControl",
    "RawPeer",
    "header",
    "hello",
    "members",
    "raw_seed",
]

NOWHERE = "127.0.0.1:1"
"""What a raw peer says that others shall dial: nobody answers there."""

F = TypeVar("F", bound=Frame)


def header(size: int, kind: int | None = None) -> bytes:
    """Return the header of a frame that claims to have ``size`` bytes of type and body."""
    return struct.pack(">I", size) + (b"" if kind is None else bytes([kind]))


def hello(name: str, *, epoch: int = 1, cluster: str = "default", run: bytes | None = None) -> Hello:
    """Return what a peer of this name says first."""
    return Hello(1, 1, cluster, name, epoch, run or secrets.token_bytes(8), secrets.token_bytes(32), NOWHERE)


def members(node: NodeId, scope: int, groups: dict[str, list[int]]) -> list[LinkFrame]:
    """Return what a peer says first of its members in one scope: all of them, and that these are all."""
    digest, last = EntryDigest(node, scope).of_all(groups), sum(map(len, groups.values()))
    joins = list(groups.items())
    return [
        Range(scope, node.epoch, 1, last, joins, [], digest),
        Range(scope, node.epoch, last + 1, last, [], [], digest),
    ]


class _Reading(asyncio.StreamReaderProtocol):
    """Lets what came before a reset be read: a node that refuses somebody need not have read all that it said."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End, in whatever way."""
        super().connection_lost(None)


class RawConnection:
    """A connection to a node on which anything can be sent.

    Args:
        reader: what the node writes.
        writer: what is written to it.
        codec: reads its frames.
    """

    codec: Codec = LINK_CODEC

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seen: list[Frame] = []
        """Every frame that was received, in order."""
        self._header = b""
        """What was read of the next frame to see what it is."""

    @classmethod
    @asynccontextmanager
    async def to(cls, address: Address, network: Network | None = None) -> AsyncIterator[Self]:
        """Connect, over sockets unless another network is given, and close in the end."""
        reader = asyncio.StreamReader()
        protocol = _Reading(reader)
        await (network or TcpNetwork()).connect(lambda: protocol, address)
        one = cls.over(reader, protocol)
        try:
            yield one
        finally:
            await one.close()

    @classmethod
    def over(cls, reader: asyncio.StreamReader, protocol: asyncio.StreamReaderProtocol) -> Self:
        """Return the connection that a protocol was given."""
        transport: asyncio.WriteTransport = protocol._transport  # type: ignore[attr-defined]
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop()))

    async def close(self) -> None:
        """Close, whatever became of the connection."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, *frames: Frame) -> None:
        """Send frames."""
        self.send_bytes(b"".join(map(self.codec.encode, frames)))

    def send_bytes(self, data: bytes) -> None:
        """Send any bytes."""
        self.writer.write(data)

    async def receive(self) -> Frame:
        """Return the node's next frame.

        Raises:
            IncompleteReadError: the connection ended.
        """
        async with asyncio.timeout(DEADLINE_S):
            try:
                header = self._header or await self.reader.readexactly(HEADER_BYTES)
                self._header = b""
                block = header[-1:] + await self.reader.readexactly(int.from_bytes(header[:-1], "big") - 1)
            except ConnectionError as error:  # it closed with bytes of ours unread
                raise asyncio.IncompleteReadError(b"", None) from error
        frame = self.codec.decode(block[0], block[1:])
        self.seen.append(frame)
        return frame

    async def expect(self, kind: type[F]) -> F:
        """Return the node's next frame of this type; what comes before it is passed over."""
        while True:
            frame = await self.receive()
            if isinstance(frame, kind):
                return frame

    async def ended(self) -> list[Frame]:
        """Wait until the node closes; return what it said before."""
        rest: list[Frame] = []
        try:
            while True:
                rest.append(await self.receive())
        except asyncio.IncompleteReadError:
            return rest

    async def begins_with(self, kind: int) -> bool:
        """Whether the node's first frame is of this type; it can be received all the same."""
        self._header = await self.reader.readexactly(HEADER_BYTES)
        return self._header[-1] == kind

    @property
    def open(self) -> bool:
        """Whether the node has not closed, as far as is known here."""
        ended = self.reader._eof  # type: ignore[attr-defined]  # at_eof() is told only when all was read
        return not ended and self.reader.exception() is None

    @property
    def heard(self) -> bool:
        """Whether the node has written anything that was not received yet."""
        return bool(self.reader._buffer)  # type: ignore[attr-defined]  # reading it would wait


class RawPeer(RawConnection):
    """A connection to the mesh port of a node, or one that a node has dialled."""

    codec = LINK_CODEC
    handshake: Handshake

    async def shake_hands(self, mine: Hello, cookie: bytes = b"", role: Role = "dialler") -> Handshake:
        """Go through the handshake as the shipped class does; return it when it is over."""
        keys = [derive_key(cookie, mine.cluster)]
        self.handshake = Handshake(mine, keys, role, lambda _: NO_FACTS)
        self.send(*self.handshake.open())
        while self.handshake.state not in {"done", "refused"}:
            frame = await self.receive()
            assert isinstance(frame, LinkFrame)
            self.send(*self.handshake.received(frame))
        return self.handshake

    async def join(self, mine: Hello, cookie: bytes = b"", role: Role = "dialler") -> int:
        """Become a peer of the node; return the number of the session, which the one with the lower name offers."""
        handshake = await self.shake_hands(mine, cookie, role)
        assert handshake.state == "done", handshake.refusal
        if mine.name < handshake.node.name:
            self.send(Adopt(mine.epoch, 1))
            number = (await self.expect(AdoptAck)).g
        else:
            number = (await self.expect(Adopt)).g
            self.send(AdoptAck(number))
        await self.expect(Heartbeat)
        return number


class RawClient(RawConnection):
    """A connection to the client port of a node."""

    codec = CLIENT_CODEC

    async def greet(self, name: str = "raw") -> Connected:
        """Be let in."""
        self.send(Connect(1, 1, name))
        return await self.expect(Connected)


class RawControl(RawPeer):
    """The same, to be a control link."""

    codec = CONTROL_CODEC


class RawSeed:
    """A listener that a node has as its seed; its visitors are handed out in order."""

    def __init__(self) -> None:
        self.address = ""
        self.peers: list[RawPeer] = []
        self._visitors: asyncio.Queue[RawPeer] = asyncio.Queue()

    async def visitor(self) -> RawPeer:
        """Return the next connection that is to be a data link."""
        async with asyncio.timeout(DEADLINE_S):
            while await (peer := await self._visitors.get()).begins_with(CONTROL_HELLO):
                await peer.close()
            return peer

    def met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep a connection."""
        peer = RawPeer(reader, writer)
        self.peers.append(peer)
        self._visitors.put_nowait(peer)


@asynccontextmanager
async def raw_seed() -> AsyncIterator[RawSeed]:
    """Listen on a free port until the end."""
    seed = RawSeed()
    server = await asyncio.start_server(seed.met, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    seed.address = f"{host}:{port}"
    try:
        yield seed
    finally:
        server.close()
        for peer in seed.peers:
            await peer.close()
