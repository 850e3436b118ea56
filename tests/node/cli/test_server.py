"""Which node a verb talks to."""

import socket
import threading

import pytest

from liminal_mesh.node.cli.errors import Code, Stop
from liminal_mesh.node.cli.server import ask, client_url, http_url


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Begin without variables that this machine may have."""
    monkeypatch.delenv("LIMINAL_URL", raising=False)
    monkeypatch.delenv("LIMINAL_HTTP_URL", raising=False)
    return monkeypatch


def test_without_a_word_it_is_the_node_here() -> None:
    """The default ports."""
    assert client_url(None) == "liminal://127.0.0.1:7600"
    assert http_url(None, None) == "http://127.0.0.1:7602"


def test_a_flag_goes_before_the_environment(environment: pytest.MonkeyPatch) -> None:
    """For the client URL and for the HTTP address."""
    environment.setenv("LIMINAL_URL", "liminal://b:7600")
    environment.setenv("LIMINAL_HTTP_URL", "http://b:9000")

    assert client_url(None) == "liminal://b:7600"
    assert client_url("liminal://c:7600") == "liminal://c:7600"
    assert http_url(None, None) == "http://b:9000"
    assert http_url("c:9001", None) == "http://c:9001"
    assert http_url(None, "liminal://c:7600") == "http://c:7602"


def test_the_http_address_follows_the_client_url_where_it_can() -> None:
    """The first of several addresses; a bracketed host keeps its brackets."""
    assert http_url(None, "liminal://b:7600,c:7600") == "http://b:7602"
    assert http_url(None, "liminal://[::1]:7600") == "http://[::1]:7602"
    assert http_url(None, "http://b:80") == "http://b:80"


def test_a_port_of_ones_own_is_no_ground_for_guessing() -> None:
    """To ask another node instead would be worse than an error."""
    with pytest.raises(Stop, match="--http") as stop:
        http_url(None, "liminal://127.0.0.1:7610")

    assert stop.value.code is Code.USAGE


@pytest.mark.parametrize("url", ["ftp://a:1", "http://[::1", "http://a..b:1"])
def test_what_is_no_http_address_is_a_mistake_of_the_command(url: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(Stop, match="is no HTTP address") as stop:
        ask(url, "/health")

    assert stop.value.code is Code.USAGE


@pytest.mark.parametrize("said", [b"\x00\x00\x00\x05\x93", b""])
def test_a_port_that_speaks_something_else_is_called_that(said: bytes) -> None:
    """The node's port for clients, most often, whose answer is nothing to show; or its mesh port, which gives none."""

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Stop) as stop:
            ask(url, "/health")
        thread.join()

    assert stop.value.text.startswith(f"{url} gave no answer in HTTP: ")
