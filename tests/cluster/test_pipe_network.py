"""The network in memory, where it can do what no test can tell real ones to: cut ways, and programs that die."""

from __future__ import annotations

import asyncio

from liminal_mesh.cluster import Address, PipeHost, PipeNetwork

from ..contracts.test_transport import MUCH, End

HERE, THERE = "127.0.0.1", "127.0.0.2"
DEADLINE_S = 10.0


async def joined(network: PipeNetwork) -> tuple[PipeHost, PipeHost, End, End]:
    """Return two hosts, and two ends of a connection between them."""
    here, there = network.host(HERE), network.host(THERE)
    port = there.bind(Address(THERE, 1), 16)
    client, server = End(), End()
    await asyncio.gather(port.accept(lambda: server), here.connect(lambda: client, port.address))
    return here, there, client, server


async def turns() -> None:
    """Let everything arrive that can: nothing here travels for any time."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_what_was_on_its_way_is_held_by_a_cut() -> None:
    """And what is sent meanwhile; healed, all of it arrives, in order."""
    network = PipeNetwork()
    async with asyncio.timeout(DEADLINE_S):
        _, _, client, server = await joined(network)
        client.transport.write(b"before ")
        network.cut(HERE, THERE)
        client.transport.write(b"meanwhile ")
        server.transport.write(b"back")
        assert await client.got(4) == b"back"
        await turns()
        assert not server.received

        network.heal()
        client.transport.write(b"after")
        assert await server.got(22) == b"before meanwhile after"


async def test_without_acknowledgements_a_writer_fills_up() -> None:
    """What it sends arrives, and it does not hear of it."""
    network = PipeNetwork()
    async with asyncio.timeout(DEADLINE_S):
        _, _, client, server = await joined(network)
        network.cut(THERE, HERE)
        client.transport.write(b"x" * MUCH)
        await turns()
        arrived = len(server.received)
        assert 0 < arrived < MUCH
        assert client.transport.get_write_buffer_size() == MUCH - arrived

        network.heal()
        await server.got(MUCH)
        await client.called("resume")


async def test_a_reset_does_not_cross_a_cut() -> None:
    """The other side hears nothing until it is healed."""
    network = PipeNetwork()
    async with asyncio.timeout(DEADLINE_S):
        here, _, client, server = await joined(network)
        network.cut(HERE, THERE)
        here.kill()
        await client.called("lost")
        await turns()
        assert "lost" not in server.calls

        network.heal()
        await server.called("lost")
        assert isinstance(server.error, ConnectionResetError)


async def test_a_connection_that_ended_is_forgotten() -> None:
    """By the network, when both programs have heard of it."""
    network = PipeNetwork()
    async with asyncio.timeout(DEADLINE_S):
        _, _, client, server = await joined(network)
        assert len(network.connections) == 1
        client.transport.close()
        await server.called("lost")
        assert not network.connections


async def test_a_connection_into_a_cut_is_neither_made_nor_refused() -> None:
    """In either direction of it, whether anybody listens there or not."""
    network = PipeNetwork()
    here, there = network.host(HERE), network.host(THERE)
    port = there.bind(Address(THERE, 1), 16)
    for ways in ((HERE, THERE), (THERE, HERE)):
        network.cut(*ways)
        tries = [asyncio.create_task(here.connect(End, Address(THERE, number))) for number in (1, 2)]
        await turns()
        assert not any(one.done() for one in tries)
        for one in tries:
            one.cancel()
        await asyncio.wait(tries)
        network.heal()
    port.close()
