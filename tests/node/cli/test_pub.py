"""``liminal pub``, against a node in this process."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator

import pytest

from liminal_mesh.node.connecting import connect

from .conftest import Ran, Run
from .live_node import live_node


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A node with the channels ``t.>``."""
    with live_node() as url:
        yield url


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Give the command an input."""
    reader, writer = os.pipe()

    def write(body: bytes) -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(body)

    with os.fdopen(reader) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield write


def test_a_publish_prints_its_outcome(run: Run, url: str) -> None:
    """One line for humans; nobody is subscribed here."""
    ran = run("pub", "t.x", "hello", "-s", url)

    assert ran.code == 0
    assert ran.out.startswith("delivered to nobody (message ")
    assert ran.err == ""


def test_the_outcome_is_a_document_with_its_large_numbers_as_text(run: Run, url: str) -> None:
    """A number above 2**53 would change in most readers of JSON."""
    outcome = run("pub", "t.x", "hello", "-s", url, "--json", "--ack", "nodes").document

    assert int(outcome.pop("message_id")) > 2**53
    assert outcome == {
        "delivered": False,
        "local": 0,
        "duplicate": False,
        "position": None,
        "nodes": {},
        "pressure": {
            "decision": "accept",
            "in_flight": 0,
            "max_in_flight": 0,
            "buffered": 0,
            "max_buffered": 0,
        },
    }


def test_many_are_published_through_a_window(run: Run, url: str) -> None:
    """And told as a sum."""
    told = run("pub", "t.x", "hello", "-s", url, "-n", "5000", "--json").document

    assert (told["sent"], told["acknowledged"], told["undelivered"]) == (5000, 5000, 5000)


def test_each_line_of_the_input_is_a_message(run: Run, url: str, feed: Callable[[bytes], None]) -> None:
    """The last one too when it has no end of line."""
    feed(b"one\ntwo\r\nthree")
    assert run("pub", "t.x", "-s", url, "--lines").out.startswith("published 3, 3 of them taken by nobody in ")


def test_the_whole_input_is_one_message(run: Run, url: str, feed: Callable[[bytes], None]) -> None:
    """Without --lines."""
    feed(b"one\ntwo\xff")
    assert run("pub", "t.x", "-", "-s", url).out.startswith("delivered to nobody")


def test_what_bears_a_key_is_published_once(run: Run, url: str) -> None:
    """What nobody took may be published again; what was taken is told of; another body is refused."""

    async def publish_and_look() -> tuple[list[Ran], int]:
        async with connect(url) as client, client.subscribe("t.k"):
            ran = [await asyncio.to_thread(run, "pub", "t.k", body, "-s", url, "--key", "k") for body in "xxy"]
            document = await asyncio.to_thread(run, "pub", "t.k", "x", "-s", url, "--key", "k", "--json")
            return [*ran, document], int(document.document["message_id"])

    assert run("pub", "t.k", "x", "-s", url, "--key", "k").out.startswith("delivered to nobody")
    (first, again, other, document), original = asyncio.run(publish_and_look())
    assert first.out == f"delivered: 1 here (message {original})\n"
    assert again.out == f"delivered before, and not again (message {original})\n"
    assert document.document["duplicate"] is True
    assert (first.code, again.code, other.code) == (0, 0, 1)
    assert "the key 'k' was used for another message" in other.err


@pytest.mark.parametrize(("key", "said"), [("", "at least one character"), ("x" * 257, "limits.key is 256")])
def test_a_key_that_is_none_is_refused(run: Run, url: str, key: str, said: str) -> None:
    """With the reason."""
    ran = run("pub", "t.k", "x", "-s", url, "--key", key)

    assert ran.code != 0
    assert said in ran.err


@pytest.mark.parametrize("many", [("-n", "2"), ("--lines",)])
def test_a_key_is_of_one_message(run: Run, many: tuple[str, ...]) -> None:
    """It is a mistake to give it to many."""
    ran = run("pub", "t.k", "x", "--key", "k", *many)

    assert ran.code == 2
    assert "--key is of one message" in ran.err


def test_an_unknown_channel_is_refused_with_the_nearest_name(run: Run, url: str) -> None:
    """With exit code 1."""
    ran = run("pub", "u.x", "hello", "-s", url)

    assert ran.code == 1
    assert "channel 'u.x' is not configured" in ran.err


def test_a_stream_that_is_refused_tells_how_far_it_came(run: Run, url: str) -> None:
    """The failure is told after the sum."""
    ran = run("pub", "u.x", "hello", "-s", url, "-n", "10")

    assert ran.code == 1
    assert ran.out.startswith("published 0")
    assert "not configured" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hello", "-H", "novalue"], "NAME=VALUE"),
        (["{", "--encoding", "json"], "is not JSON"),
        (["hello", "--timeout", "soon"], "duration"),
        (["hello", "--lines"], "--lines reads standard input"),
        (["hello", "-s", "nonsense"], "is no address of a node"),
        (["hello", "--ack", "3"], "ack"),
    ],
)
def test_bad_words_are_a_usage_error(run: Run, words: list[str], said: str) -> None:
    """Nothing is sent."""
    ran = run("pub", "t.x", *words)

    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize("verb", ["pub", "sub"])
def test_where_no_node_answers_the_address_is_named(run: Run, verb: str) -> None:
    """In one sentence, with what to do."""
    words = ["t.x", "hello"] if verb == "pub" else ["t.x"]
    ran = run(verb, *words, "-s", "liminal://127.0.0.1:1")

    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "no connection to 127.0.0.1:1: Connection refused" in ran.err


def test_the_server_comes_from_the_environment(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no option names it."""
    monkeypatch.setenv("LIMINAL_URL", url)
    assert run("pub", "t.x", "hello").code == 0
