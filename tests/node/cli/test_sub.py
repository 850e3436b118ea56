"""``liminal sub``, against a node in this process, with a publisher beside it."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from liminal_mesh.node.cli import main

from .conftest import Run
from .live_node import live_node


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A node with the channels ``t.>``."""
    with live_node() as url:
        yield url


@pytest.fixture
def while_publishing(url: str) -> Iterator[Callable[[list[str]], None]]:
    """Publish again and again until the test ends; whoever subscribes gets what comes then."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def start(words: list[str]) -> None:
        def publish() -> None:
            from asyncio import run

            from liminal_mesh.node.cli.publishing import Work, encode
            from liminal_mesh.node.connecting import connect

            work = Work("t.x", {"k": "v"}, words[1], None, 5.0, False)  # type: ignore[arg-type]

            async def repeat() -> None:
                async with connect(url) as client:
                    while not ended.is_set():
                        payload = encode(words[0].encode("latin-1"), work.encoding)
                        await client.publish("t.x", payload, headers=work.headers)

            run(repeat())

        threads.append(threading.Thread(target=publish))
        threads[0].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize(
    ("payload", "encoding", "shown"),
    [
        ("hello", "text", "hello"),
        ("hello", "raw", "hello"),
        ("\xff\xfe", "auto", '{"base64": "//4="}'),
        ('{"a": [1, null]}', "json", '{"a": [1, null]}'),
        ('{"a": [1, null]}', "msgpack", '{"a": [1, null]}'),
    ],
)
def test_text_is_shown_as_it_is_and_other_payloads_as_json(
    run: Run, url: str, while_publishing: Callable[[list[str]], None], payload: str, encoding: str, shown: str
) -> None:
    """Bytes that are text are shown as text."""
    while_publishing([payload, encoding])
    ran = run("sub", "t.x", "-s", url, "-n", "2")

    assert (ran.code, ran.out) == (0, f"{shown}\n{shown}\n")
    assert "subscribed to t.x at node a" in ran.err


def test_as_json_each_message_is_an_object_on_its_line(
    run: Run, url: str, while_publishing: Callable[[list[str]], None]
) -> None:
    """With where it came from, and its large numbers as text."""
    while_publishing(["hello", "text"])
    ran = run("sub", "t.>", "-s", url, "-n", "2", "--jsonl")
    first, second = map(json.loads, ran.out.splitlines())

    assert int(second["sequence"]) == int(first["sequence"]) + 1
    assert (first["channel"], first["origin"], first["payload"], first["headers"]) == ("t.x", "a", "hello", {"k": "v"})
    assert isinstance(first["id"], str)
    assert first["published_at"] > 1e9


def test_time_is_up_before_the_count_is_reached(run: Run, url: str) -> None:
    """Exit code 4, with the sum so far; without a count it is what was asked for."""
    ran = run("sub", "t.nothing", "-s", url, "-n", "1", "--timeout", "50ms")
    assert ran.code == 4
    assert "received 0, missed 0" in ran.err

    assert main(["sub", "t.nothing", "-s", url, "--timeout", "50ms"]) == 0


def test_an_unknown_channel_is_refused(run: Run, url: str) -> None:
    """At once, not as silence."""
    ran = run("sub", "u.x", "-s", url)

    assert ran.code == 1
    assert "channel 'u.x' is not configured" in ran.err


def test_a_group_shares_what_is_published(run: Run, url: str, while_publishing: Callable[[list[str]], None]) -> None:
    """Alone in it one gets everything; the banner says so."""
    while_publishing(["hello", "text"])
    ran = run("sub", "t.x", "-s", url, "-n", "2", "--group", "g")

    assert (ran.code, ran.out) == (0, "hello\nhello\n")
    assert "subscribed to t.x in group g at node a" in ran.err


@pytest.mark.parametrize("words", [["t.x", "--group", "a b"], ["t x"]])
def test_names_that_can_be_none_are_a_mistake_of_the_command(run: Run, words: list[str]) -> None:
    """Of a group as of a channel; no node is asked."""
    ran = run("sub", *words, "-s", "liminal://127.0.0.1:1")

    assert (ran.code, ran.out) == (2, "")
    assert "it may hold A-Z a-z 0-9 . _ -" in ran.err
