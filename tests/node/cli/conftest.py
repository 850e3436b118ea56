"""What the tests of the command line share."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from liminal_mesh.node.cli import main


@dataclass
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it wrote to stdout, as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, without variables that this machine may have."""
    for name in ("LIMINAL_URL", "LIMINAL_HTTP_URL", "LIMINAL_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str) -> Ran:
        code = main(words)
        return Ran(code, *capsys.readouterr())

    return command


class Answers(dict[str, tuple[int, object]]):
    """Answers one after another, whatever is asked; the last one for ever."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        super().__init__()
        self._answers = list(answers)

    def get(self, path: str, default: object = None) -> tuple[int, object]:
        """Return the next one."""
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Node:
    """A stand-in for a node's HTTP side: answers by path, as it is told; one with ``DELETE`` before it is deleted."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {}
        self.asked: list[str] = []
        self.heard = threading.Event()
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(self.path)

            def do_DELETE(self) -> None:
                self.answer(f"DELETE {self.path}")

            def answer(self, asked: str) -> None:
                node.asked.append(asked)
                node.heard.set()
                status, body = node.answers.get(asked, (404, None))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *args: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def node() -> Iterator[Node]:
    """A stand-in for a node's HTTP side."""
    node = Node()
    yield node
    node.close()


@pytest.fixture
def nobody(node: Node) -> str:
    """Return an HTTP address where nobody listens."""
    node._server.server_close()
    return node.url
