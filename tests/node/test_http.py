"""HTTP of real nodes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from liminal_mesh.cluster import Address, Listener, TcpNetwork
from liminal_mesh.node import status
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.events import EVENTS_MAX
from liminal_mesh.node.http import HttpServer, held
from liminal_mesh.node.http.server import TIMEOUT_S
from liminal_mesh.node.node import Node
from liminal_mesh.node.server import Server

from ..nodes import DEADLINE_S, mesh, node_config

DOCUMENTS = {
    "/health": "alive",
    "/ready": "unmet",
    "/api/v1/node": "addresses",
    "/api/v1/members": "members",
    "/api/v1/links": "missing",
    "/api/v1/discovery": "cluster",
    "/api/v1/groups": "groups",
    "/api/v1/channels": "channels",
    "/api/v1/connections": "connections",
    "/api/v1/config": "origins",
    "/api/v1/events": "events",
}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        assert self.headers["content-type"].startswith("application/json")
        return json.loads(self.body)


async def send(address: Address, request: bytes) -> Answer:
    """Send bytes, and read one answer to the end of the connection."""
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
        finally:
            writer.close()
            await writer.wait_closed()
    return Answer(int(head[0].split()[1]), headers, body)


async def ask(node: Node, path: str, method: str = "GET", host: str = "localhost", more: str = "") -> Answer:
    return await send(node.addresses["http"], f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())


@asynccontextmanager
async def lone(**more: Any) -> AsyncIterator[Node]:
    async with Node(node_config("a", **more)) as node:
        yield node


async def test_every_document_is_served_as_json() -> None:
    """With the fields that programs rely on, on each node of a mesh."""
    async with mesh(2) as nodes:
        for node in nodes:
            for path, field in DOCUMENTS.items():
                answer = await ask(node, path)
                assert (answer.status, field in answer.document) == (200, True), path
        members = (await ask(nodes[1], "/api/v1/members")).document
        assert members == status.members(nodes[1].running)
        assert [one["name"] for one in members["members"]] == ["a", "b"]


async def test_the_configuration_is_served_with_origins_and_without_secrets(tmp_path: Path) -> None:
    """Where a cookie is may be known; what it is, may not."""
    secret = secrets.token_hex(32)
    (tmp_path / "cookie").write_text(secret)
    async with lone(cluster={"cookie_file": tmp_path / "cookie"}) as node:
        answer = await ask(node, "/api/v1/config")

    assert secret.encode() not in answer.body
    config, origins = answer.document["config"], answer.document["origins"]
    assert (config["cluster"]["cookie_file"], origins["cluster.cookie_file"]) == (str(tmp_path / "cookie"), "program")
    assert (config["log"]["level"], origins["log.level"]) == ("info", "default")


async def test_events_are_served_from_where_the_reader_has_got_to() -> None:
    """And what it missed is counted."""
    async with lone() as node:
        hub = node.running.hub
        hub.note("link_up", peer="x")
        first = (await ask(node, "/api/v1/events")).document
        assert [(one["kind"], one["peer"]) for one in first["events"]] == [("link_up", "x")]
        assert first["node"] == "a"
        for _ in range(EVENTS_MAX + 3):
            hub.note("link_down", peer="x")
        then = (await ask(node, f"/api/v1/events?after={first['last']}")).document
        assert (len(then["events"]), then["missed"]) == (EVENTS_MAX, 3)
        end = (await ask(node, f"/api/v1/events?after={then['last']}")).document
        assert (end["events"], end["missed"], end["last"]) == ([], 0, then["last"])


async def test_an_answer_about_groups_waits_for_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version comes at once, the one that is known with the next change, or when the time is up."""
    monkeypatch.setattr(held, "WAIT_MAX_S", 2 * DEADLINE_S)
    async with lone() as node:
        first = (await ask(node, "/api/v1/groups?after=&wait=5s")).document
        path = f"/api/v1/groups?after={first['version']}"
        assert (await ask(node, f"{path}&wait=1ms")).document == first
        waiting = asyncio.create_task(ask(node, f"{path}&wait=1m"))
        await noted(lambda: node.running.hub.watches.changed.waiting == 1)
        await node.join("jobs")
        then = (await waiting).document
        assert [group["name"] for group in then["groups"]] == ["jobs"]
        assert then["version"] != first["version"]
        assert (await ask(node, "/api/v1/groups?wait=never")).status == 400


@pytest.mark.parametrize("query", ["after=x", "after=1.-1", "wait=soon", "wait=-1s", f"after={'9' * 80}.1"])
async def test_a_query_that_is_none_is_refused(query: str) -> None:
    """400, with what was expected."""
    async with lone() as node:
        answer = await ask(node, f"/api/v1/events?{query}")
        assert (answer.status, answer.document["error"]) == (400, "bad_query")


async def test_an_answer_about_events_waits_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with it; without one it comes when the time is up."""
    monkeypatch.setattr(held, "WAIT_MAX_S", 2 * DEADLINE_S)
    async with lone() as node:
        hub = node.running.hub
        waiting = asyncio.create_task(ask(node, f"/api/v1/events?after={hub.events.last}&wait=1m"))
        await noted(lambda: hub.noted.waiting == 1)
        hub.note("dial_failed", "debug")
        hub.note("link_up", peer="x")
        assert [one["kind"] for one in (await waiting).document["events"]] == ["link_up"]
        answer = await ask(node, f"/api/v1/events?after={hub.events.last}&wait=10ms")
        assert answer.document["events"] == []


async def test_only_a_quarter_of_the_connections_waits_for_events() -> None:
    """One too many is answered at once: the node's health is asked for over such connections too."""
    async with lone(limits={"handshakes": 7}) as node:
        hub = node.running.hub
        path = f"/api/v1/events?after={hub.events.last}&wait=5s"
        waiting = asyncio.create_task(ask(node, path))
        await noted(lambda: hub.noted.waiting == 1)
        assert (await ask(node, path)).document["events"] == []
        assert not waiting.done()
        hub.note("link_up", peer="x")
        assert (await waiting).document["events"]
        again = asyncio.create_task(ask(node, f"/api/v1/events?after={hub.events.last}&wait=5s"))
        await noted(lambda: hub.noted.waiting == 1)
        hub.note("link_down", peer="x")
        assert (await again).document["events"]


async def test_who_waits_for_events_gets_an_answer_from_a_server_that_ends() -> None:
    """At once, and so it does not hold it up."""
    async with lone() as node:
        hub = node.running.hub
        listener = Listener("http", Address("127.0.0.1", 0), 16, 8, TcpNetwork(), 1.0)
        address = listener.open()
        server = asyncio.create_task(HttpServer(node.running, listener).run())
        request = f"GET /api/v1/events?after={hub.events.last}&wait=5s HTTP/1.1\r\nHost: localhost\r\n\r\n"
        waiting = asyncio.create_task(send(address, request.encode()))
        await noted(lambda: hub.noted.waiting == 1)
        server.cancel()
        assert (await waiting).document["events"] == []
        await asyncio.wait([server])


async def test_a_node_that_drains_tells_its_followers() -> None:
    """It is the last that they hear."""
    node = Node(node_config("a"))
    await node.start()
    hub = node.running.hub
    waiting = asyncio.create_task(ask(node, f"/api/v1/events?after={hub.events.last}&wait=5s"))
    await noted(lambda: hub.noted.waiting == 1)
    await node.stop("maintenance")
    (last,) = (await waiting).document["events"]
    assert (last["kind"], last["reason"], last["within_s"]) == ("draining", "maintenance", 30)


async def noted(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - a request that is on its way tells nobody
            await asyncio.sleep(0)


async def test_metrics_are_served_as_text() -> None:
    """Aggregated, and by channel when that is asked for."""
    async with lone() as node:
        await node.publish("ticks", b"x")
        await node.publish("m.x", b"x")
        page = await ask(node, "/metrics")
        channels = await ask(node, "/metrics/channels")
        one = await ask(node, "/metrics/channels?name=m.x&name=m.x")

    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'liminal_publish_total{result="accepted"} 2.0' in page.body
    assert b"channel=" not in page.body
    assert b'liminal_channel_published_total{channel="ticks"} 1.0' in channels.body
    assert b'channel="ticks"' not in one.body
    assert one.body.count(b'liminal_channel_published_total{channel="m.x"} 1.0') == 1, "however often it is named"


async def test_other_paths_and_methods_are_refused_as_json() -> None:
    """404 and 405, which says what is allowed."""
    async with lone() as node:
        for path in (
            "/",
            "/api",
            "/api/v1",
            "/api/v2/node",
            "/health/",
            "/api/v1/node/x",
            "/%2e%2e/etc/passwd",
            "//health",
        ):
            answer = await ask(node, path)
            assert (answer.status, answer.document["error"]) == (404, "not_found"), path
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            answer = await ask(node, "/health", method)
            assert (answer.status, answer.document["error"]) == (405, "method_not_allowed"), method
            assert answer.headers["allow"] == "GET"


async def test_a_head_is_refused_without_a_body() -> None:
    """It is another method, too; a body behind its answer would be taken for the next one."""
    async with lone() as node, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*node.addresses["http"])
        writer.write(b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = (await ended(reader)).partition(b"\r\n\r\n")
        writer.close()
    assert (head.split()[1], body) == (b"405", b"")


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost", True),
        ("LOCALHOST:7602", True),
        ("127.0.0.1:1", True),
        ("[::1]:7602", True),
        ("[::1]", True),
        ("a.example", True),
        ("a.example:80", True),
        ("b.example", False),
        ("a.example.evil.example", False),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("[::]", False),
        ("127.0.0.1.evil.example:7602", False),
        ("localhost:7602:7602", False),
        ("evil@localhost", False),
        ("localhost, evil.example", False),
        ("", False),
    ],
)
async def test_only_requests_for_our_names_are_answered(host: str, answered: bool) -> None:
    """On every path, also on those that are none."""
    http = {"listen": "127.0.0.1:0", "allowed_hosts": ["a.example"]}
    async with lone(http=http) as node:
        for path in ("/health", "/metrics", "/nowhere"):
            answer = await ask(node, path, host=host)
            assert (answer.status != 403) == answered
            if not answered:
                assert answer.document["error"] == "host_refused"


async def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    """Neither says for whom it is."""
    async with lone() as node:
        address = node.addresses["http"]
        assert (await send(address, b"GET /health HTTP/1.0\r\n\r\n")).status in {400, 403}
        two = await send(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert two.status in {400, 403}


@pytest.mark.parametrize("target", ["http://evil.example/health", "http://localhost/health", "*"])
async def test_a_request_for_a_whole_url_is_refused(target: str) -> None:
    """It would name a second host."""
    async with lone() as node:
        answer = await ask(node, target, "OPTIONS" if target == "*" else "GET")
        assert (answer.status, answer.document["error"]) == (400, "bad_target")


async def test_answers_tell_browsers_to_keep_their_hands_off() -> None:
    """No caching, no frames, no guessing of types, and no word that lets other sites read."""
    async with lone() as node:
        for answer in (
            await ask(node, "/health", more="Origin: https://evil.example\r\n"),
            await ask(node, "/nowhere"),
        ):
            headers = answer.headers
            assert headers["x-frame-options"] == "DENY"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert headers["content-security-policy"].startswith("default-src 'self'")
            assert headers["server"] == "liminal"
            assert not any(name.startswith("access-control-") for name in headers)


async def test_what_is_too_large_is_refused() -> None:
    """Heads of many or of long lines, and bodies by what they claim."""
    async with lone() as node:
        many = "".join(f"X-{number}: {'x' * 700}\r\n" for number in range(30))
        assert (await ask(node, "/health", more=many)).status == 431
        assert (await ask(node, "/health", more=f"X: {'x' * 20_000}\r\n")).status in {400, 431}
        assert (await ask(node, "/health", more="".join(f"X-{n}: x\r\n" for n in range(200)))).status in {400, 431}
        assert (await ask(node, "/health", more="Content-Length: 2000000\r\n")).status == 413
        assert (await ask(node, "/health")).status == 200


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Content-Length: 0_0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n",
        "X: a\r\n b\r\n\r\n",
        "X: a\0b\r\n\r\n",
        "X: a\n\n",
    ],
    ids=ascii,
)
async def test_where_a_request_ends_is_never_guessed(framing: str) -> None:
    """Nothing that follows one whose end can be read in two ways is taken for a request."""
    async with lone() as node, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*node.addresses["http"])
        hidden = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(f"GET /health HTTP/1.1\r\nHost: localhost\r\n{framing}{hidden}".encode())
        answers = re.findall(rb"HTTP/1\.\d (\d+)", await ended(reader))
        assert answers == [b"400"]
        writer.close()


async def test_bytes_that_are_no_http_end_only_their_connection() -> None:
    """TLS at a plain port, another protocol, nothing readable."""
    async with lone() as node:
        for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"NOT HTTP\r\n\r\n"):
            assert (await send(node.addresses["http"], rubbish)).status == 400
        assert (await ask(node, "/health")).status == 200


@pytest.mark.parametrize("sent", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "])
async def test_a_request_that_does_not_come_ends_its_connection(sent: bytes) -> None:
    """However much of it has come."""
    async with quick_server() as address, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        assert await ended(reader) == b""
        writer.close()


async def test_an_idle_connection_is_ended_after_its_answer() -> None:
    """The answer came first."""
    async with quick_server() as address, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in await ended(reader)
        writer.close()


async def test_more_connections_than_may_be_open_wait_for_their_turn() -> None:
    """They are served when others have ended."""
    async with server(permits=1, timeout_s=0.05) as (_, address), asyncio.timeout(DEADLINE_S):
        _, idle = await asyncio.open_connection(*address)
        answer = await send(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.status == 200
        idle.close()


ONE: dict[str, Any] = {"limits": {"handshakes": 1, "handshake_timeout": 0.5}}


@pytest.mark.parametrize("sent", ["", "GET /health HT", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
async def test_a_connection_that_dawdles_makes_room_for_one_that_waits(sent: str) -> None:
    """It has sent nothing, or half a request, or has its answer; long before its own time is over."""
    async with lone(**ONE) as node, asyncio.timeout(DEADLINE_S / 2):
        reader, writer = await asyncio.open_connection(*node.addresses["http"])
        writer.write(sent.encode())
        if sent.endswith("\n"):
            await reader.readuntil(b"}")
        assert (await ask(node, "/health")).status == 200
        assert await ended(reader) == b""
        writer.close()


async def test_a_request_that_is_being_served_makes_no_room() -> None:
    """Whoever comes waits until it has its answer."""
    async with server(permits=1) as (node, address), asyncio.timeout(DEADLINE_S):
        hub = node.running.hub
        get = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        path = f"/api/v1/events?after={hub.events.last}&wait=5s"
        served = asyncio.create_task(send(address, get.format(path).encode()))
        await noted(lambda: hub.noted.waiting == 1)
        waiting = asyncio.create_task(send(address, get.format("/health").encode()))
        await asyncio.sleep(0.3)
        assert not served.done()
        assert not waiting.done()
        hub.note("link_up", peer="x")
        assert (await served).document["events"]
        assert (await waiting).status == 200


async def test_a_connection_that_asks_again_and_again_makes_room_too() -> None:
    """With the answer that it gets while somebody waits."""
    async with lone(**ONE) as node, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*node.addresses["http"])
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        await reader.readuntil(b"}")
        waiting = asyncio.create_task(ask(node, "/health"))
        while not waiting.done():
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
                await reader.readuntil(b"}")
            await asyncio.sleep(0)
        assert (await waiting).status == 200
        writer.close()


async def test_what_comes_behind_a_request_waits_until_it_has_its_answer() -> None:
    """Megabytes of it, on many connections, cost as much as one read, and not what is wrong with them."""
    async with lone() as node, asyncio.timeout(DEADLINE_S), AsyncExitStack() as stack:
        events = node.running.hub.events
        request = f"GET /api/v1/events?after={events.last}&wait=5s HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        ends = [await asyncio.open_connection(*node.addresses["http"]) for _ in range(8)]
        for _, writer in ends:
            writer.write(request)
        await noted(lambda: node.running.hub.noted.waiting == 8)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _, writer in ends:
            await write_all(writer, b"x" * 100_000, 0.2)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        events.note("link_up", peer="x")
        for reader, writer in ends:
            await ended(reader)
            writer.close()
        assert (await ask(node, "/health")).status == 200


async def write_all(writer: asyncio.StreamWriter, block: bytes, patience_s: float) -> None:
    """Write as long as the other side takes it."""
    with contextlib.suppress(TimeoutError):
        while True:
            writer.write(block)
            async with asyncio.timeout(patience_s):
                await writer.drain()


async def test_requests_that_come_at_once_are_answered_in_turn() -> None:
    """However they are cut."""
    async with lone() as node, asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(*node.addresses["http"])
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(request * 500 + request[:10])
        for _ in range(500):
            assert b"200 OK" in await reader.readuntil(b"}")
        writer.write(request[10:])
        assert b"200 OK" in await reader.readuntil(b"}")
        writer.close()


@asynccontextmanager
async def server(permits: int = 8, timeout_s: float = TIMEOUT_S) -> AsyncIterator[tuple[Node, Address]]:
    """A second HTTP server of a node."""
    async with lone() as node:
        listener = Listener("http", Address("127.0.0.1", 0), 16, permits, TcpNetwork(), 0.1)
        address = listener.open()
        task = asyncio.create_task(HttpServer(node.running, listener, timeout_s).run())
        yield node, address
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def quick_server() -> AsyncIterator[Address]:
    """The same, of which each part of a request must come at once."""
    async with server(timeout_s=0.05) as (_, address):
        yield address


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the other side ends the connection, in whatever manner."""
    got = b""
    try:
        while data := await reader.read(4096):
            got += data
    except ConnectionResetError:
        pass
    return got


async def test_a_node_that_waits_for_its_mesh_is_alive_and_not_ready() -> None:
    """HC1: 503 with the names, and 200 for whoever asks for its health; then 200 for both."""
    async with lone(cluster={"ready": "joined"}) as node:
        assert (await ask(node, "/health")).status == 200
        answer = await ask(node, "/ready")
        assert (answer.status, answer.document["unmet"]) == (503, ["membership"])
    async with mesh(2, cluster={"ready": "joined"}) as nodes:
        for node in nodes:
            assert (await ask(node, "/ready")).status == 200


async def test_a_node_that_drains_says_so_until_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """HC1, HC3: it answers to the end, so that nobody is sent there any more; then its port is free."""
    node = Node(node_config("a"))
    await node.start()
    assert (await ask(node, "/ready")).status == 200
    run, address = node.running, node.addresses["http"]
    monkeypatch.setattr(Server, "empty", False)
    stopping = asyncio.create_task(node.stop())
    async with asyncio.timeout(DEADLINE_S):
        while not run.hub.draining:  # noqa: ASYNC110 - the turn in which it begins tells nobody
            await asyncio.sleep(0)

    answer = await send(address, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (answer.status, answer.document["unmet"]) == (503, ["listeners", "draining"])
    health = await send(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert health.status == 200

    monkeypatch.setattr(Server, "empty", True)
    run.hub.changed()
    assert await stopping
    with pytest.raises(ConnectionRefusedError):
        await send(address, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def test_stopping_does_not_wait_for_open_connections() -> None:
    """They are closed."""
    async with asyncio.timeout(DEADLINE_S):
        async with lone() as node:
            reader, writer = await asyncio.open_connection(*node.addresses["http"])
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        await ended(reader)
        writer.close()


async def test_a_connection_is_closed_by_its_pid() -> None:
    """CN4: the client hears the reason; one that is not there is told by name."""
    async with lone() as node, connect(f"liminal://{node.addresses['client']}") as client:
        pid = client.pid
        answer = await ask(node, f"/api/v1/connections/{pid}?reason=too+slow", "DELETE")
        assert (answer.status, answer.document) == (200, {"closed": str(pid)})
        assert pid not in [one.pid for one in node.connections()]
        for path, status, error in (
            (f"/api/v1/connections/{pid}", 404, "unknown_connection"),
            (f"/api/v1/connections/b.1.{pid.number}", 404, "unknown_connection"),
            ("/api/v1/connections/7", 400, "bad_pid"),
        ):
            answer = await ask(node, path, "DELETE")
            assert (answer.status, answer.document["error"]) == (status, error)
        answer = await ask(node, f"/api/v1/connections/{pid}")
        assert (answer.status, answer.headers["allow"]) == (405, "DELETE")


@pytest.mark.parametrize(
    ("origin", "closed"),
    [
        ("Origin: http://localhost:7602\r\n", True),
        ("Origin: HTTPS://LOCALHOST:7602\r\n", True),
        ("Origin: http://localhost\r\n", False),
        ("Origin: http://localhost:3000\r\n", False),
        ("Origin: http://evil.example\r\n", False),
        ("Origin: null\r\n", False),
        ("Origin: http://localhost:7602\r\nOrigin: http://localhost:7602\r\n", False),
    ],
)
async def test_a_page_of_another_origin_changes_nothing(origin: str, closed: bool) -> None:
    """Whatever a visitor's browser can be made to send; reading is another matter, which it may not show."""
    async with lone() as node, connect(f"liminal://{node.addresses['client']}") as client:
        pid = client.pid
        answer = await ask(node, f"/api/v1/connections/{pid}", "DELETE", "localhost:7602", origin)
        assert answer.status == (200 if closed else 403)
        assert (pid in [one.pid for one in node.connections()]) is not closed
        assert (await ask(node, "/health", host="localhost:7602", more=origin)).status == 200


async def test_a_failure_of_ours_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 without details for the asker, and all of them in the log."""
    async with lone() as node:
        await ask(node, "/health")
        monkeypatch.setattr(type(node.running), "members", lambda _run: 1 / 0)
        answer = await ask(node, "/api/v1/members")
    assert (answer.status, answer.document["error"]) == (500, "internal")
    assert b"ZeroDivision" not in answer.body
    assert "ZeroDivisionError" in caplog.text


async def test_requests_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Health is asked for every few seconds for ever, and what strangers send is no news."""
    caplog.set_level("INFO")
    async with lone() as node:
        caplog.clear()
        await ask(node, "/health")
        await send(node.addresses["http"], b"NOT HTTP\r\n\r\n")
        assert caplog.records == []


def test_a_program_that_imports_the_node_does_not_import_aiohttp() -> None:
    """It takes a quarter of a second, and an embedded node may serve no HTTP at all."""
    code = (
        "import sys, liminal_mesh.node.node; sys.exit('aiohttp' in sys.modules or 'prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
