"""Which node a verb talks to, and how it asks it over HTTP."""

from __future__ import annotations

import json
import os
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from .errors import Code, Stop

__all__ = ["CLIENT_PORT", "HTTP_PORT", "Answer", "ask", "ask_json", "client_url", "http_url"]

CLIENT_PORT: Final = 7600
HTTP_PORT: Final = 7602

_BODY_MAX: Final = 64 << 20
_TIMEOUT_S: Final = 5.0


class Answer(NamedTuple):
    """What a node answered: the status, and the body as JSON (``None`` when it is none)."""

    status: int
    body: Any


def client_url(server: str | None) -> str:
    """Return the client URL: from the option, else ``LIMINAL_URL``, else the default port here."""
    return server or os.environ.get("LIMINAL_URL") or f"liminal://127.0.0.1:{CLIENT_PORT}"


def http_url(http: str | None, server: str | None) -> str:
    """Return where a node serves HTTP; flags go before the environment, and its own address before the client URL.

    A client URL with the default port stands for the default HTTP port of the same host. With another port nobody
    can know, and asking some other node instead would be worse than an error.
    """
    named = http or (None if server else os.environ.get("LIMINAL_HTTP_URL"))
    if named:
        return named if "://" in named else f"http://{named}"
    url = client_url(server)
    if url.startswith(("http://", "https://")):
        return url
    first = url.partition("://")[2].split(",")[0]
    host, colon, port = first.rpartition(":")
    if not colon or port != str(CLIENT_PORT):
        raise Stop(f"{url} does not tell the node's HTTP address: name it with --http or LIMINAL_HTTP_URL", Code.USAGE)
    return f"http://{host}:{HTTP_PORT}"


def ask(url: str, path: str, timeout: float = _TIMEOUT_S, method: str = "GET") -> Answer:
    """Ask a node over HTTP.

    Raises:
        Stop: there was no answer.
    """
    try:
        parts = urlsplit(url)
        kind = {"http": HTTPConnection, "https": HTTPSConnection}[parts.scheme]
        connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    except (KeyError, ValueError) as error:
        raise Stop(f"{url} is no HTTP address: expected http://host:port", Code.USAGE) from error
    try:
        connection.request(method, path, headers={"Accept": "application/json"})
        # Closed by hand: Ctrl-C while a finalizer closes it would be lost without a trace.
        with connection.getresponse() as response:
            text = response.read(_BODY_MAX)
    except TimeoutError as error:
        raise Stop(f"{url} did not answer within {timeout:g} s", Code.TIMED_OUT) from error
    except UnicodeError as error:
        raise Stop(f"{url} is no HTTP address: no host can have this name", Code.USAGE) from error
    except HTTPException as error:
        raise Stop(
            f"{url} gave no answer in HTTP: is that a node's HTTP address, and not one of its others?"
        ) from error
    except OSError as error:
        said = error.strerror or f"{type(error).__name__}: {error}"
        raise Stop(f"cannot reach {url}: {said}. Is a node running there ('liminal serve')?") from error
    finally:
        connection.close()
    try:
        return Answer(response.status, json.loads(text))
    except ValueError:
        return Answer(response.status, None)


def ask_json(url: str, path: str) -> dict[str, Any]:
    """Ask a node for a JSON object.

    Raises:
        Stop: there was no answer, or another one.
    """
    answer = ask(url, path)
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise Stop(f"{url}{path} answered with status {answer.status}: is that the HTTP address of a liminal node?")
    return answer.body
