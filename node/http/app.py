"""What is served where: the routes, and what every request must pass before it gets to one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from liminal_mesh.cluster import Pid

from .. import status
from ..logs import get_logger
from ..metrics import Metrics
from ..node_only import BY_FORCE
from .guard import Guard
from .held import Held
from .hosts import allowed_hosts, is_allowed, is_same_origin

if TYPE_CHECKING:
    from ..runtime import Runtime

__all__ = ["BODY_MAX", "make_app"]

log = get_logger("http")

BODY_MAX: Final = 1 << 20
"""The largest body of a request."""

HEADERS_MAX: Final = 16 << 10
"""The largest sum of a request's headers."""

_DOCUMENTS: Final[Mapping[str, Callable[[Runtime], status.Document]]] = {
    "/health": status.health,
    "/api/v1/node": status.node,
    "/api/v1/members": status.members,
    "/api/v1/links": status.links,
    "/api/v1/discovery": status.discovery,
    "/api/v1/channels": status.channels,
    "/api/v1/connections": status.connections,
    "/api/v1/config": status.config,
}

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "liminal",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every answer says. Channels and nodes are named by others, so no browser may take an answer for a page."""


def make_app(run: Runtime, metrics: Metrics, crowded: Callable[[], bool]) -> web.Application:
    """Return the application of a node. Reading has no effects.

    Args:
        run: the node.
        metrics: its metrics.
        crowded: whether somebody waits for a connection; then none that has its answer is kept.
    """
    app = web.Application(middlewares=[_gate(allowed_hosts(run.config.http), crowded)], client_max_size=BODY_MAX)
    for path, document in _DOCUMENTS.items():
        _get(app, path, _serve(run, document))
    held = Held(run.config.limits.handshakes // 4)
    _get(app, "/api/v1/events", _events(run, held))
    _get(app, "/api/v1/groups", _groups(run, held))
    app.on_shutdown.append(_closing(held))
    _get(app, "/ready", _readiness(run))
    _get(app, "/metrics", _aggregated(metrics))
    _get(app, "/metrics/channels", _per_channel(metrics))
    app.router.add_delete("/api/v1/connections/{pid}", _disconnect(run))
    return app


def _get(app: web.Application, path: str, handler: Handler) -> None:
    app.router.add_get(path, handler, allow_head=False)


def _serve(run: Runtime, document: Callable[[Runtime], status.Document]) -> Handler:
    async def serve(_request: web.Request) -> web.StreamResponse:
        return _json(document(run))

    return serve


def _readiness(run: Runtime) -> Handler:
    async def serve(_request: web.Request) -> web.StreamResponse:
        document = status.ready(run)
        return _json(document, 200 if document["ready"] else 503)

    return serve


def _events(run: Runtime, held: Held) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        after, events = request.query.get("after", ""), run.hub.events
        last = events.last
        try:
            behind = bool(events.after(after).events)
            await held.until(run.hub.noted, lambda: behind or events.last != last, request.query.get("wait", ""))
        except ValueError as error:
            return _error(400, "bad_query", str(error))
        return _json(status.events(run, after))

    return serve


def _groups(run: Runtime, held: Held) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        after, watches = request.query.get("after", ""), run.hub.watches
        try:
            wait = request.query.get("wait", "")
            await held.until(watches.changed, lambda: status.groups_version(run) != after, wait)
        except ValueError as error:
            return _error(400, "bad_query", str(error))
        return _json(status.groups(run))

    return serve


def _closing(held: Held) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_app: web.Application) -> None:
        held.close()

    return close


def _aggregated(metrics: Metrics) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        body, kind = await metrics.node(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    return serve


def _per_channel(metrics: Metrics) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        body, kind = await metrics.channels(request.query.getall("name", []), request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    return serve


def _disconnect(run: Runtime) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        text = request.match_info["pid"]
        try:
            pid = Pid.parse(text)
        except ValueError as error:
            return _error(400, "bad_pid", str(error))
        if not await run.server.disconnect(pid, request.query.get("reason") or BY_FORCE):
            return _error(404, "unknown_connection", f"no client is connected as {pid}")
        return _json({"closed": str(pid)})

    return serve


def _gate(hosts: frozenset[str], crowded: Callable[[], bool]) -> Middleware:
    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what is not for us or too large, answer every error as JSON, and keep the connection's deadline."""
        guard = request.transport.get_protocol() if request.transport is not None else None
        if isinstance(guard, Guard):
            guard.serve()
        try:
            response = _refusal(request, hosts) or await handler(request)
        except web.HTTPMethodNotAllowed as error:
            allowed = sorted(error.allowed_methods)
            response = _error(405, "method_not_allowed", f"only {', '.join(allowed)}")
            response.headers["Allow"] = ", ".join(allowed)
        except web.HTTPNotFound:
            response = _error(404, "not_found", "nothing is served under this path")
        except Exception:
            log.exception("http_failed", method=request.method, path=request.path)
            response = _error(500, "internal", "the node failed to answer; its log says why")
        response.headers.update(_HEADERS)
        if crowded():
            response.force_close()
        if isinstance(guard, Guard):
            guard.wait()
        return response

    return gate


def _refusal(request: web.Request, hosts: frozenset[str]) -> web.Response | None:
    if not is_allowed(request.headers.getall("Host", []), hosts):
        return _error(403, "host_refused", "the Host header names none of http.allowed_hosts")
    if request.method != "GET" and not is_same_origin(request.headers.getall("Origin", []), request.headers["Host"]):
        return _error(403, "origin_refused", "a page of another origin may change nothing here")
    if not request.raw_path.startswith("/"):
        # A whole URL instead of a path names a host of its own, beside the one that was looked at.
        return _error(400, "bad_target", "expected a path, as to any server that is no proxy")
    if sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > HEADERS_MAX:
        return _error(431, "headers_too_large", f"more than {HEADERS_MAX} bytes of headers")
    if (request.content_length or 0) > BODY_MAX:
        return _error(413, "body_too_large", f"a body of more than {BODY_MAX} bytes")
    return None


def _json(document: object, code: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=code, content_type="application/json")


def _error(code: int, error: str, message: str) -> web.Response:
    return _json({"error": error, "message": message}, code)
