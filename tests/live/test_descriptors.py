"""A node process that runs out of file descriptors, or would (CN5)."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import resource
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from liminal_mesh.node import connect
from liminal_mesh.node.cli.errors import Code

from .processes import PATIENCE_S, Process, Serve, mesh_words

pytestmark = pytest.mark.live

EMPTY_S = 4.0
"""How long there are no descriptors."""

LISTENERS = ("client", "http", "mesh")


def leave(process: Process, count: int) -> None:
    """Let a process open so many descriptors and no more; those that it has stay."""
    highest = max(int(name) for name in os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208 - names, not paths
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (highest + 1 + count, hard))


def rests(page: http.client.HTTPConnection) -> dict[str, float]:
    """Return how often each listener has rested; the node needs no descriptor for the answer."""
    page.request("GET", "/metrics")
    text = page.getresponse().read().decode()
    found = re.findall(r'^liminal_accept_exhausted_total{listener="(\w+)"} (\S+)$', text, re.MULTILINE)
    return {listener: float(count) for listener, count in found}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_cn5_a_node_without_descriptors_serves_on_and_takes_newcomers_when_it_has_some(
    tmp_path: Path, loop: str
) -> None:
    """Clients publish and receive meanwhile, the peer's link stands, and the log has some lines and not hundreds."""
    with (
        Serve("a", "--loop", loop, *mesh_words(tmp_path)) as node,
        Serve("b", *mesh_words(tmp_path, [node.addresses["mesh"]])) as peer,
        closing(http.client.HTTPConnection(node.addresses["http"], timeout=PATIENCE_S)) as page,
    ):
        node.linked("b")
        assert rests(page) == {"client": 0, "http": 0, "mesh": 0}
        async with connect(node.url) as client, client.subscribe("t.x") as ticks:
            with ExitStack() as crowd:
                leave(node, 4)
                for listener in LISTENERS:
                    host, _, port = node.addresses[listener].rpartition(":")
                    for _ in range(20):
                        crowd.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE_S))
                    told = await asyncio.to_thread(node.event, "accept_exhausted", listener=listener)
                    assert (told["level"], told["why"]) == ("warning", "Too many open files")
                before, ends = len(node.err), time.monotonic() + EMPTY_S
                while time.monotonic() < ends:
                    outcome = await client.publish("t.x", "on", ack="nodes")
                    assert (outcome.local, dict(outcome.nodes)) == (1, {})
                    assert getattr(await anext(ticks), "payload", None) == "on"
                    await asyncio.sleep(0.05)
                assert all(0 < count < EMPTY_S + PATIENCE_S for count in rests(page).values())
                assert len(node.err) - before < 20, str(node)
            async with asyncio.timeout(PATIENCE_S), connect(node.url) as newcomer:
                assert (await newcomer.publish("t.x", "in")).local == 1
        assert not [line for line in (*node.err, *peer.err) if "link_down" in line or "Traceback" in line]


def test_cn5_a_node_process_raises_its_soft_limit_to_what_it_may_need() -> None:
    """As far as its hard limit allows; what the soft limit was is nobody's concern."""
    with Serve("a", started_by=limited(300, 4096)) as node:
        assert resource.prlimit(node.pid, resource.RLIMIT_NOFILE) == (1024 + 2 * 64 + 256, 4096)


def test_cn5_a_node_process_that_may_not_have_what_it_may_need_does_not_start() -> None:
    """It says which setting, both figures, and what to do."""
    with Process("serve", "--client", "127.0.0.1:0", "--http", "127.0.0.1:0", started_by=limited(300, 1024)) as node:
        assert node.wait() == Code.USAGE, str(node)
    said = "\n".join(node.err)
    assert "limits.connections: is 1024; " in said
    assert "makes 1408 file descriptors, and this process may have 1024: " in said
    assert said.endswith("or lower limits.connections to 640")


def limited(soft: int, hard: int) -> tuple[str, ...]:
    """Return the words that start a command with these limits."""
    return "sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$0" "$@"'
