"""The listener: what it takes, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import socket
from itertools import pairwise

import pytest

from liminal_mesh.cluster import Address, AddressInUse, Listener, Notice, TcpNetwork


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


def nobody(_: Notice) -> None:
    """Nobody looks."""


def listener(name: str, permits: int = 8) -> Listener:
    return Listener(name, Address("127.0.0.1", 0), 16, permits, TcpNetwork(), 1.0)


async def echoed(address: Address) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"hello")
    answer = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_port_that_is_taken_is_named() -> None:
    """With what it was for."""
    first = listener("client")
    address = first.open()

    with pytest.raises(AddressInUse, match="client"):
        Listener("client", address, 16, 8, TcpNetwork(), 1.0).open()

    assert first.listening
    first.close()
    assert not first.listening


async def test_a_listener_that_was_closed_while_it_accepted_leaves_its_descriptor_to_others() -> None:
    """The next connection gets the same number, and is served."""
    closed, other = listener("client"), listener("http")
    closed.open()
    address = other.open()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        running = [tasks.create_task(one.run(Echo, nobody)) for one in (closed, other)]
        assert await echoed(address) == b"hello"
        closed.close()
        assert await echoed(address) == b"hello"
        other.close()
        for task in running:
            task.cancel()


async def test_a_connection_that_broke_in_the_backlog_does_not_end_the_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one is served."""
    one = listener("client", permits=2)
    address = one.open()
    accept, errors = socket.socket.accept, [errno.ECONNABORTED, errno.EPROTO, errno.ECONNABORTED]

    def faulty(sock: socket.socket) -> tuple[socket.socket, object]:
        if errors:
            raise OSError(errors.pop(), "broke")
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", faulty)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(one.run(Echo, nobody))
        assert await echoed(address) == b"hello"
        assert not errors
        one.close()
        task.cancel()


class Kept(asyncio.Protocol):
    """A connection that a test counts."""

    accepted: asyncio.Queue[Kept]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.accepted.put_nowait(self)


def keeper() -> type[Kept]:
    """Return a class of connections with a count of its own."""
    return type("Kept", (Kept,), {"accepted": asyncio.Queue()})


async def test_no_more_newcomers_than_permits_are_let_in_at_once() -> None:
    """The others wait in the backlog, connected as far as they can tell, and come in as permits are released."""
    one, kept = listener("client", permits=2), keeper()
    address = one.open()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(one.run(kept, nobody))
        writers = [(await asyncio.open_connection(*address))[1] for _ in range(4)]
        connections = [await kept.accepted.get() for _ in range(2)]
        for number, connection in enumerate(connections):
            one.hold(number, "here", connection.transport.abort)
        for _ in range(10):
            await asyncio.sleep(0)
        assert kept.accepted.empty()
        for number in range(2):
            one.release(number)
            connections.append(await kept.accepted.get())
        assert kept.accepted.empty()

        one.close()
        task.cancel()
        for writer in writers:
            writer.transport.abort()
        for connection in connections:
            connection.transport.abort()


async def test_a_newcomer_makes_room_once() -> None:
    """Its permit is not free a second time when its connection has ended: the next one waits as long."""
    loop, kept = asyncio.get_running_loop(), keeper()
    one = Listener("client", Address("127.0.0.1", 0), 16, 1, TcpNetwork(), 0.3)
    address = one.open()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(one.run(kept, nobody))
        came, writers = [], []
        for number in range(4):
            writers.append((await asyncio.open_connection(*address))[1])
            newcomer = await kept.accepted.get()
            came.append(loop.time())
            one.hold(number, "here", newcomer.transport.abort)
            if number:
                one.release(number - 1)  # as its owner does when the connection is gone
        assert all(later - earlier > 0.25 for earlier, later in pairwise(came))

        one.close()
        task.cancel()
        newcomer.transport.abort()
        for writer in writers:
            writer.transport.abort()


async def test_who_is_served_makes_no_room_until_it_waits_again() -> None:
    """However long that takes; then it has its time."""
    loop, kept = asyncio.get_running_loop(), keeper()
    one = Listener("http", Address("127.0.0.1", 0), 16, 1, TcpNetwork(), 0.05)
    address = one.open()
    dropped: list[float] = []
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(one.run(kept, nobody))
        writers = [(await asyncio.open_connection(*address))[1] for _ in range(2)]
        first = await kept.accepted.get()
        one.hold(1, "here", lambda: dropped.append(loop.time()))
        one.serve(1)
        await asyncio.sleep(0.2)
        assert kept.accepted.empty()
        one.hold(1, "here", lambda: dropped.append(loop.time()))
        waits = loop.time()
        second = await kept.accepted.get()
        assert dropped[0] >= waits + 0.05
        one.release(1)  # as its owner does when the connection is gone

        one.close()
        task.cancel()
        for connection in (first, second):
            connection.transport.abort()
        for writer in writers:
            writer.transport.abort()


async def test_cn5_running_out_of_descriptors_or_memory_is_a_rest_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits in the backlog meanwhile is served afterwards; each rest is counted, and told once in a while."""
    told: list[Notice] = []
    monkeypatch.setattr("liminal_mesh.cluster.listener.PAUSE_S", 0.01)
    one = listener("client", permits=1)
    address = one.open()
    accept, errors = socket.socket.accept, [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]

    def exhausted(sock: socket.socket) -> tuple[socket.socket, object]:
        if errors:
            raise OSError(errors.pop(), "no more")
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", exhausted)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(one.run(Echo, told.append))
        assert await echoed(address) == b"hello"
        assert not errors
        assert one.exhausted == 4
        facts = {"listener": "client", "why": "no more", "rests_s": 0.01}
        assert told == [Notice("warning", "accept_exhausted", facts)]
        one.close()
        task.cancel()


@pytest.mark.parametrize("permits", [1, 2])
async def test_one_that_comes_in_the_turn_in_which_the_listener_closes_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, permits: int
) -> None:
    """And accepting ends, with nothing broken, be there room for one more or not."""
    one, kept = listener("client", permits), keeper()
    address = one.open()

    def arrived(came: asyncio.Future[None]) -> None:
        came.set_result(None)
        if first.done():
            one.close()
            one.release(1)

    monkeypatch.setattr("liminal_mesh.cluster.tcp._arrived", arrived)
    first = asyncio.ensure_future(kept.accepted.get())
    async with asyncio.timeout(10):
        running = asyncio.create_task(one.run(kept, nobody))
        with socket.create_connection(address):
            one.hold(1, "here", (await first).transport.abort)
            with socket.create_connection(address):
                await running
    assert kept.accepted.empty()
    first.result().transport.abort()


async def test_who_was_accepted_stays_when_the_listener_closes() -> None:
    """Only newcomers are turned away."""
    one, kept = listener("client"), keeper()
    address = one.open()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(one.run(kept, nobody))
        reader, writer = await asyncio.open_connection(*address)
        connection = await kept.accepted.get()
        connection.transport.write(b"welcome")
        assert await reader.readexactly(7) == b"welcome"
        one.close()
        one.close()
        task.cancel()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        connection.transport.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        writer.transport.abort()
        connection.transport.abort()


async def test_port_0_takes_a_free_port_and_says_which() -> None:
    """Two of them take two."""
    one, two = listener("client"), listener("http")
    ports = {one.open().port, two.open().port}

    assert ports == {one.address.port, two.address.port}
    assert len(ports - {0}) == 2
    one.close()
    two.close()


async def test_an_address_of_another_machine_is_told_as_what_it_is() -> None:
    """Not as a port in use."""
    with pytest.raises(OSError, match=r"the client address 192\.0\.2\.1:0 cannot be listened at: .* assign") as error:
        Listener("client", Address("192.0.2.1", 0), 16, 8, TcpNetwork(), 1.0).open()

    assert not isinstance(error.value, AddressInUse)
