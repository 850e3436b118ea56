"""Real node processes on uvloop, met with what does not belong."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from pathlib import Path

import pytest

from liminal_mesh.cluster import Address, parse_address

from ...usage import resident_bytes
from ..processes import Process, Serve, mesh_words
from .conftest import OTHER_COOKIE
from .fuzzing import KINDS, fuzz

pytestmark = pytest.mark.live

SEED = int(os.environ.get("LIMINAL_FUZZ_SEED") or secrets.randbits(32))
WARM, CONNECTIONS = 60, 400
GROWTH_BYTES_MAX = 24 << 20


def test_a_wrong_cookie_is_named_in_both_logs_and_a_right_one_gets_in_meanwhile(tmp_path: Path) -> None:
    """ME7: both processes serve on, and stop as they should."""
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "cookie").touch(mode=0o600)
    (wrong / "cookie").write_bytes(OTHER_COOKIE)
    with Serve("a", *mesh_words(tmp_path)) as a:
        seeds = [a.addresses["mesh"]]
        with Serve("x", *mesh_words(wrong, seeds)) as x, Serve("b", *mesh_words(tmp_path, seeds)) as b:
            assert x.event("peer_refused", code="cookie")["peer"] == "a"
            assert a.event("refused_by_peer", code="cookie")["peer"] == "x"
            b.linked("a")
            for node in (x, b):
                node.signal(signal.SIGTERM)
                assert node.wait() == 0, str(node)
        for node in (a, x, b):
            assert OTHER_COOKIE.decode() not in str(node)


@pytest.mark.parametrize(("cookie", "reason"), [("monster", "well-known"), ("0123456789abcdef", "32 are the least")])
def test_a_weak_cookie_is_told_at_the_start(tmp_path: Path, cookie: str, reason: str) -> None:
    """With the file, and the way out."""
    path = tmp_path / "cookie"
    path.touch(mode=0o600)
    path.write_text(cookie)
    with Process("serve", "--mesh", "127.0.0.1:0", "--cookie-file", str(path)) as node:
        assert node.wait() == 2, str(node)
        said = "\n".join(node.err)
        assert all(part in said for part in (str(path), reason, "liminal cookie new")), said
        assert "Traceback" not in said


def test_mutated_conversations_cost_a_node_neither_its_life_nor_memory() -> None:
    """Hundreds of connections of every kind to both ports of a node on uvloop; its log has no traceback."""
    limits = {"LIMINAL_LIMITS__HANDSHAKE_TIMEOUT": "1s"}
    words = ("--mesh", "127.0.0.1:0", "--channel", "ticks", "--channel", "m.*", "--loop", "uvloop")
    with Serve("a", *words, env=limits) as node:
        ports = {kind: parse_address(node.addresses[kind]) for kind in ("client", "mesh")}
        asyncio.run(talk(ports, 0, WARM))
        before = resident_bytes(node.pid)
        asyncio.run(talk(ports, WARM, CONNECTIONS))
        grown = resident_bytes(node.pid) - before

        with Process("health", "--http", node.addresses["http"]) as health:
            assert health.wait() == 0, str(health)
        node.signal(signal.SIGTERM)
        assert node.wait() == 0, str(node)
        assert "Traceback" not in "\n".join(node.err), f"LIMINAL_FUZZ_SEED={SEED}: {node}"
        assert grown < GROWTH_BYTES_MAX, f"LIMINAL_FUZZ_SEED={SEED}: {grown >> 20} MiB"


async def talk(ports: dict[str, Address], first: int, last: int) -> None:
    """Make connections of these numbers, of every kind in turn."""
    limit, rng = asyncio.Semaphore(20), random.Random(f"{SEED} {first}")

    async def one(kind: str, number: int, seed: float) -> None:
        async with limit:
            await fuzz(kind, ports, random.Random(seed), number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(first, last):
            tasks.create_task(one(list(KINDS)[number % len(KINDS)], number, rng.random()))
