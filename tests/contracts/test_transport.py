"""What a connection does for a protocol, be it of sockets or in memory: one suite, so that what is tested on the
second holds on the first.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest

from liminal_mesh.cluster import Address, Network, PipeNetwork, TcpNetwork

DEADLINE_S = 10.0

HERE = Address("127.0.0.1", 0)

MUCH = 16 << 20
"""More than any kernel buffers for a connection."""


class End(asyncio.Protocol):
    """One end: writes down what happens, and wakes whoever waits for it."""

    def __init__(self, *, half_open: bool = False) -> None:
        self.half_open = half_open
        self.received = bytearray()
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.failure: Exception | None = None
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._note("made")

    def data_received(self, data: bytes) -> None:
        """Keep the bytes."""
        assert type(data) is bytes
        if self.failure is not None:
            raise self.failure
        self.received += data
        self._changed.set()

    def eof_received(self) -> bool:
        """Say whether to stay half open."""
        self._note("eof")
        return self.half_open

    def connection_lost(self, error: Exception | None) -> None:
        """Keep the reason."""
        self.error = error
        self._note("lost")

    def pause_writing(self) -> None:
        """Note it."""
        self._note("pause")

    def resume_writing(self) -> None:
        """Note it."""
        self._note("resume")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to happen here."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def called(self, call: str) -> None:
        """Wait for a call."""
        await self.until(lambda: call in self.calls)

    async def got(self, count: int) -> bytes:
        """Wait for so many bytes."""
        await self.until(lambda: len(self.received) >= count)
        return bytes(self.received)


class Pair(NamedTuple):
    """Two ends of one connection, the one that dialled first."""

    client: End
    server: End


Join = Callable[..., Awaitable[Pair]]


@pytest.fixture(params=["tcp", "pipe"])
def network(request: pytest.FixtureRequest) -> Network:
    """Each network."""
    return TcpNetwork() if request.param == "tcp" else PipeNetwork(3, (0.0, 0.002)).host(HERE.host)


@pytest.fixture
async def join(network: Network) -> AsyncIterator[Join]:
    """What makes connections, and ends them with the test."""
    made: list[End] = []

    async def make(*, half_open: bool = False) -> Pair:
        port = network.bind(HERE, 16)
        client, server = End(half_open=half_open), End(half_open=half_open)
        accepted, _ = await asyncio.gather(port.accept(lambda: server), network.connect(lambda: client, port.address))
        assert accepted
        port.close()
        made.extend((client, server))
        return Pair(client, server)

    async with asyncio.timeout(DEADLINE_S):
        yield make
        for end in made:
            if "lost" not in end.calls:
                end.transport.abort()
                await end.called("lost")


async def test_bytes_arrive_in_order_in_both_directions(join: Join) -> None:
    """However they were cut when they were written."""
    client, server = await join()
    parts = [bytes([number % 256]) * (number * 7 % 5000) for number in range(300)]
    for part in parts:
        client.transport.write(part)
        server.transport.writelines([bytearray(part), b"", memoryview(part)])

    expected = b"".join(parts)
    assert await server.got(len(expected)) == expected
    assert await client.got(2 * len(expected)) == b"".join(part * 2 for part in parts)


async def test_an_end_knows_both_addresses(join: Join) -> None:
    """As the other end does, the other way round."""
    client, server = await join()

    here, there = client.transport.get_extra_info("sockname"), client.transport.get_extra_info("peername")
    assert (here[0], there[0]) == (HERE.host, HERE.host)
    assert here != there
    assert (here, there) == (server.transport.get_extra_info("peername"), server.transport.get_extra_info("sockname"))


async def test_a_reader_that_pauses_fills_the_writer_up(join: Join) -> None:
    """The protocol is told to pause; what it wrote nevertheless arrives when it is read, and then it may go on."""
    client, server = await join()
    server.transport.pause_reading()
    assert not server.transport.is_reading()
    client.transport.set_write_buffer_limits(high=100_000)
    client.transport.write(b"x" * MUCH)

    assert client.calls == ["made", "pause"]
    assert 100_000 < client.transport.get_write_buffer_size() <= MUCH
    server.transport.resume_reading()
    await server.got(MUCH)
    await client.called("resume")
    assert client.transport.get_write_buffer_size() <= 25_000
    assert client.calls == ["made", "pause", "resume"]


async def test_a_writer_whose_limits_are_lowered_hears_when_all_is_written(join: Join) -> None:
    """It is paused at once by what is buffered already, and resumed when nothing is left of it."""
    client, server = await join()
    server.transport.pause_reading()
    client.transport.set_write_buffer_limits(high=2 * MUCH)
    client.transport.write(b"x" * MUCH)
    assert client.calls == ["made"]
    client.transport.set_write_buffer_limits(high=0)
    assert client.calls == ["made", "pause"]

    server.transport.resume_reading()
    await client.called("resume")
    assert client.transport.get_write_buffer_size() == 0
    client.transport.set_write_buffer_limits(high=0)
    client.transport.set_write_buffer_limits(high=1000)
    assert client.calls == ["made", "pause", "resume"]


async def test_a_paused_reader_gets_nothing(join: Join) -> None:
    """Not even what came before."""
    client, server = await join()
    server.transport.pause_reading()
    client.transport.write(b"later")
    server.transport.write(b"now")
    await client.got(3)
    assert not server.received

    server.transport.resume_reading()
    assert await server.got(5) == b"later"


async def test_close_ends_after_what_was_written(join: Join) -> None:
    """The other end reads it all, then the end; neither sees an error."""
    client, server = await join()
    client.transport.write(b"x" * MUCH)
    client.transport.close()
    assert client.transport.is_closing()
    client.transport.close()

    await server.called("lost")
    await client.called("lost")
    assert len(server.received) == MUCH
    assert server.calls == ["made", "eof", "lost"]
    assert (client.error, server.error) == (None, None)
    assert client.calls[-1] == "lost"
    assert client.calls.count("lost") == 1


async def test_a_closed_end_reads_no_more(join: Join) -> None:
    """Even while it still writes."""
    client, server = await join()
    server.transport.pause_reading()
    client.transport.write(b"x" * MUCH)
    client.transport.close()
    server.transport.write(b"not heard")
    server.transport.resume_reading()

    await client.called("lost")
    assert not client.received


async def test_half_a_connection_can_be_closed(join: Join) -> None:
    """The other half goes on until it is closed too."""
    client, server = await join(half_open=True)
    client.transport.write(b"question")
    client.transport.write_eof()
    await server.called("eof")
    assert bytes(server.received) == b"question"
    with pytest.raises(RuntimeError):
        client.transport.write(b"more")

    server.transport.write(b"answer")
    server.transport.close()
    assert await client.got(6) == b"answer"
    await client.called("eof")
    client.transport.close()
    await client.called("lost")
    assert (client.error, server.error) == (None, None)


async def test_abort_ends_at_once(join: Join) -> None:
    """Nothing waits for what was not written; the other end hears of it."""
    client, server = await join()
    server.transport.pause_reading()
    client.transport.write(b"x" * MUCH)
    client.transport.abort()
    await client.called("lost")
    assert client.error is None

    server.transport.resume_reading()
    await server.called("lost")
    assert len(server.received) < MUCH


async def test_whoever_writes_to_a_closed_end_is_reset(join: Join) -> None:
    """A half that stays open learns that nobody is there."""
    client, server = await join(half_open=True)
    client.transport.close()
    await client.called("lost")
    await server.called("eof")
    while "lost" not in server.calls:
        server.transport.write(b"is anybody there?")
        await asyncio.sleep(0.001)

    assert isinstance(server.error, ConnectionResetError | BrokenPipeError)


async def test_the_end_is_told_once(join: Join) -> None:
    """However often it is asked for."""
    client, server = await join()
    client.transport.close()
    client.transport.abort()
    client.transport.abort()
    client.transport.close()
    await client.called("lost")
    client.transport.close()

    await server.called("lost")
    assert client.calls == ["made", "lost"]
    assert server.calls.count("lost") == 1


async def test_a_protocol_that_fails_ends_the_connection(join: Join) -> None:
    """The loop is told, and so are both ends."""
    client, server = await join()
    told: list[BaseException | None] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context.get("exception")))
    failure = server.failure = ZeroDivisionError("in a protocol")
    client.transport.write(b"x")
    await server.called("lost")
    await client.called("lost")
    loop.set_exception_handler(None)

    assert told == [failure]
    assert server.error is failure


async def test_nobody_listens(network: Network) -> None:
    """Before a port is open, and after it was closed."""
    port = network.bind(HERE, 16)
    port.close()

    with pytest.raises(ConnectionRefusedError):
        await network.connect(End, port.address)


async def test_a_port_belongs_to_one(network: Network) -> None:
    """Until it is closed; port 0 is one that nobody has."""
    one, other = network.bind(HERE, 16), network.bind(HERE, 16)
    assert one.address != other.address
    with pytest.raises(OSError, match="in use") as error:
        network.bind(one.address, 16)
    assert error.value.errno == errno.EADDRINUSE

    one.close()
    network.bind(one.address, 16).close()
    other.close()


async def test_an_address_of_another_machine_cannot_be_listened_at(network: Network) -> None:
    """It is not ours."""
    with pytest.raises(OSError, match="assign") as error:
        network.bind(Address("192.0.2.1", 0), 16)
    assert error.value.errno == errno.EADDRNOTAVAIL


async def test_whoever_is_not_accepted_yet_is_connected(network: Network) -> None:
    """What it writes waits; when the port closes, it is gone."""
    port = network.bind(HERE, 16)
    early, late, server = End(), End(), End()
    async with asyncio.timeout(DEADLINE_S):
        await network.connect(lambda: early, port.address)
        await network.connect(lambda: late, port.address)
        early.transport.write(b"early")
        assert await port.accept(lambda: server)
        assert await server.got(5) == b"early"
        port.close()
        await late.called("lost")
        assert "lost" not in early.calls
        for end in (early, server):
            end.transport.abort()
            await end.called("lost")
