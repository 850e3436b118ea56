"""``liminal bench``: against two real nodes in a thread of their own."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from ...nodes import DEADLINE_S, mesh
from .conftest import Run


@pytest.fixture(scope="module")
def urls() -> Iterator[list[str]]:
    """Run two linked nodes with a channel ``bench``; gives where their clients connect."""
    told: SimpleQueue[list[str]] = SimpleQueue()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with mesh(2, channels=[{"name": "bench"}]) as nodes:
            told.put([f"liminal://{node.addresses['client']}" for node in nodes])
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield told.get(timeout=DEADLINE_S)
    loop.call_soon_threadsafe(over.set)
    thread.join(DEADLINE_S)
    loop.close()


@pytest.mark.parametrize("ack", ["accepted", "nodes", "none"])
def test_every_message_is_delivered_or_missed_across_two_nodes(run: Run, urls: list[str], ack: str) -> None:
    ran = run("bench", "pub", "-s", urls[0], "--subscribe-at", urls[1], "--messages", "500", "--ack", ack, "--json")

    assert ran.code == 0, ran.err
    told = ran.document
    assert told["published"] == told["delivered"] + told["missed"] == 500
    assert (told["ack"], told["subscribers"], told["unaccounted"]) == (ack, 1, 0)
    assert told["bytes_per_s"] >= 100 * told["messages_per_s"] > 0
    spread = list(told["latency_us"].values())
    assert spread[0] > 0
    assert spread == sorted(spread)


def test_a_fanout_counts_the_deliveries_of_all_subscriptions(run: Run, urls: list[str]) -> None:
    ran = run("bench", "fanout", "-s", urls[0], "--subscribers", "20", "--messages", "30", "--size", "16", "--json")

    assert ran.code == 0, ran.err
    assert (ran.document["published"], ran.document["delivered"] + ran.document["missed"]) == (30, 600)


def test_without_json_it_is_a_few_lines_for_humans(run: Run, urls: list[str]) -> None:
    ran = run("bench", "pub", "-s", urls[0], "--messages", "10")

    assert ran.code == 0, ran.err
    assert [line.split()[0] for line in ran.out.splitlines()] == ["published", "delivered", "missed", "latency"]
    assert "p99.9" in ran.out
    assert ran.err == ""


def test_a_terminal_gets_a_progress_bar_that_leaves_the_data_alone(
    run: Run, urls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    ran = run("bench", "pub", "-s", urls[0], "--messages", "2000", "--json")

    assert ran.code == 0, ran.err
    assert "delivered" in ran.err
    assert ran.document["published"] == 2000


def test_a_channel_that_is_not_configured_is_named_with_the_lines_that_configure_it(run: Run, urls: list[str]) -> None:
    ran = run("bench", "pub", "-s", urls[0], "--channel", "bunch")

    assert ran.code == 2
    assert ran.out == ""
    assert "'bunch'" in ran.err
    assert "--channel bench" in ran.err
    assert '[[channels]]\n  name = "bunch"' in ran.err


def test_more_subscriptions_than_a_connection_may_hold_are_refused_by_the_name_of_the_bound(
    run: Run, urls: list[str]
) -> None:
    ran = run("bench", "fanout", "-s", urls[0], "--subscribers", "1025")

    assert ran.code == 1
    assert "limits.subscriptions_per_connection is 1024" in ran.err


def test_nobody_there_is_one_sentence(run: Run) -> None:
    ran = run("bench", "pub", "-s", "liminal://127.0.0.1:1")

    assert ran.code == 1
    assert "no connection to " in ran.err


def test_a_payload_has_room_for_its_mark(run: Run) -> None:
    assert run("bench", "pub", "--size", "15").code == 2


@pytest.mark.parametrize("verb", ["pub", "fanout"])
def test_a_pattern_is_no_channel_to_publish_on(run: Run, verb: str) -> None:
    """Told before anything is measured."""
    ran = run("bench", verb, "--channel", "m.*")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: 'm.*' is a pattern: a channel has an exact name here\n"
