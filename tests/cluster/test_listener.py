"""The listener: what it takes, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from liminal_mesh.cluster import Address, AddressInUse, Listener


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


def listener(name: str, permits: int = 8) -> Listener:
    return Listener(name, Address("127.0.0.1", 0), 16, permits)


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
        Listener("client", address, 16, 8).open()

    assert first.listening
    first.close()
    assert not first.listening


async def test_a_listener_that_was_closed_while_it_accepted_leaves_its_descriptor_to_others() -> None:
    """The next connection gets the same number, and is served."""
    closed, other = listener("client"), listener("http")
    closed.open()
    address = other.open()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        running = [tasks.create_task(one.run(Echo)) for one in (closed, other)]
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
    loop = asyncio.get_running_loop()
    accept, errors = loop.sock_accept, [errno.ECONNABORTED, errno.EPROTO, errno.ECONNABORTED]

    async def faulty(sock: socket.socket) -> tuple[socket.socket, object]:
        if errors:
            raise OSError(errors.pop(), "broke")
        return await accept(sock)

    monkeypatch.setattr(loop, "sock_accept", faulty)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(10):
        task = tasks.create_task(one.run(Echo))
        assert await echoed(address) == b"hello"
        assert not errors
        one.close()
        task.cancel()
