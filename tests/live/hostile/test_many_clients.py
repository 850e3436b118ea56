"""A thousand clients at once, at a node in a process of its own: all are served, and what they cost is known."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from liminal_mesh.cluster import (
    ClientPublish,
    Confirm,
    Connect,
    Connected,
    Deliver,
    Disconnect,
    Envelope,
    Subscribe,
    Subscribed,
    parse_address,
)

from ...usage import cpu_s, descriptors, resident_bytes
from ..processes import PATIENCE_S, Serve
from ..raw_peer import RawClient

pytestmark = pytest.mark.live

CLIENTS = 1000
MORE = 50
CLIENT_BYTES_MAX = 32 << 10
"""What an idle client with a subscription may cost a node."""

CPU_S_MAX = 10.0
"""What all of them together may cost it, on a slow machine."""

SLACK = 5


@pytest.fixture(autouse=True)
def _room() -> Iterator[None]:
    """Let this process have a descriptor for each client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_thousand_clients_at_once_are_all_served(loop: str) -> None:
    """P12: each gets the message, those beyond the limit are told so; and when they are gone, so is what they cost."""
    # A machine that is busy with other things must not look like a crowd that dawdles.
    limits = {"LIMINAL_LIMITS__CONNECTIONS": str(CLIENTS), "LIMINAL_LIMITS__HANDSHAKE_TIMEOUT": "60s"}
    with Serve("a", "--channel", "ticks", "--loop", loop, env=limits) as node:
        address = parse_address(node.addresses["client"])
        async with RawClient.to(address) as first:  # what is taken once for all is there already
            await served(first)
        files, memory, computed = descriptors(node.pid), resident_bytes(node.pid), cpu_s(node.pid)
        async with AsyncExitStack() as stack, asyncio.timeout(2 * PATIENCE_S):
            clients = await asyncio.gather(
                *(stack.enter_async_context(RawClient.to(address)) for _ in range(CLIENTS + MORE))
            )
            answers = Counter(await asyncio.gather(*map(served, clients)))
            assert answers == {"Subscribed": CLIENTS, "connections": MORE}
            inside = [one for one in clients if one.open]
            inside[0].send(ClientPublish(9, 1, "ticks", "", 0, [Envelope(0, 0, 0, 0, 0, b"to all of you")]))
            for got in await asyncio.gather(*(one.expect(Deliver) for one in inside)):
                assert [item.body for item in got.items] == [b"to all of you"]
            await inside[0].expect(Confirm)
            assert abs(descriptors(node.pid) - files - CLIENTS) <= SLACK
            grown = resident_bytes(node.pid) - memory
            print(f"{grown // CLIENTS} bytes a client, {cpu_s(node.pid) - computed:.1f} s")
            assert grown < CLIENTS * CLIENT_BYTES_MAX
        deadline = time.monotonic() + PATIENCE_S
        while descriptors(node.pid) > files + SLACK:
            assert time.monotonic() < deadline, f"{descriptors(node.pid)} descriptors are open, and {files} were"
            await asyncio.sleep(0.05)
        assert cpu_s(node.pid) - computed < CPU_S_MAX
        async with RawClient.to(address) as last:
            assert await served(last) == "Subscribed"


async def served(raw: RawClient) -> str:
    """Come in and subscribe; return what came of it."""
    raw.send(Connect(1, 1, "raw"))
    answer = await raw.receive()
    if isinstance(answer, Disconnect):
        await raw.ended()
        return answer.code
    assert isinstance(answer, Connected)
    raw.send(Subscribe(1, 1, "ticks", 8, "", 0))
    return type(await raw.expect(Subscribed)).__name__
