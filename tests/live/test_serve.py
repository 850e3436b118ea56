"""``liminal serve``, ``pub`` and ``sub`` as real processes."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

from liminal_mesh.cluster import ClientPublish, Confirm, Envelope, Subscribe, parse_address
from liminal_mesh.cluster.frames import Refusal

from .processes import COOKIE, Process, Serve, mesh_words
from .raw_peer import RawClient, RawPeer, hello

pytestmark = pytest.mark.live


def test_what_is_published_at_one_node_is_shown_at_the_other(tmp_path: Path) -> None:
    """The first thing a user tries with two nodes."""
    with Serve("a", *mesh_words(tmp_path)) as a, Serve("b", *mesh_words(tmp_path, [a.addresses["mesh"]])) as b:
        a.linked("b")
        with Process("sub", "t.>", "-s", b.url, "--wait", "cluster", "--jsonl", "-n", "2") as sub:
            sub.line(lambda text: "subscribed" in text)
            with Process("pub", "t.x", "hello", "-s", a.url, "-H", "k=v", "--ack", "nodes", "--json") as pub:
                assert pub.wait() == 0, str(pub)
            with Process("pub", "t.x", '{"n": 1}', "-s", a.url, "--encoding", "json") as second:
                assert second.wait() == 0, str(second)
            assert sub.wait() == 0, str(sub)

    outcome = json.loads(pub.out[0])
    first, last = map(json.loads, sub.out)
    assert (outcome["delivered"], outcome["nodes"]) == (True, {"b": "delivered"})
    assert {key: first[key] for key in ("channel", "origin", "sequence", "id", "headers", "payload")} == {
        "channel": "t.x",
        "origin": "a",
        "sequence": "1",
        "id": outcome["message_id"],
        "headers": {"k": "v"},
        "payload": "hello",
    }
    assert (last["sequence"], last["payload"]) == ("2", {"n": 1})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_node_that_is_told_to_stop_drains_and_exits_0(number: signal.Signals, loop: str) -> None:
    """And its log says why it stopped."""
    with Serve("a", "--loop", loop) as node:
        node.signal(number)
        assert node.wait() == 0, str(node)
        assert node.event("stopped")["why"] == number.name


async def keep_it(address: str, stack: AsyncExitStack) -> None:
    """Be a client for whom the node has a message that it does not take, so that the node has to wait for it."""
    raw = await stack.enter_async_context(RawClient.to(parse_address(address)))
    await raw.greet()
    raw.send(Subscribe(1, 1, "t.x", 1, "", 0))
    raw.send(ClientPublish(1, 1, "t.x", "", 0, [Envelope(0, 0, 0, 0, 0, b"x")] * 2))
    await raw.expect(Confirm)


@pytest.mark.parametrize("ends", ["told", "failed"])
async def test_hc3_a_node_that_drains_ends_at_once_when_it_is_told_so_again(ends: str, tmp_path: Path) -> None:
    """Whether it was told to stop, or could not go on in its mesh: with the code of what was interrupted."""
    async with AsyncExitStack() as stack:
        node = stack.enter_context(Serve("a", *mesh_words(tmp_path)))
        await keep_it(node.addresses["client"], stack)
        if ends == "failed":
            peer = await stack.enter_async_context(RawPeer.to(parse_address(node.addresses["mesh"])))
            await peer.shake_hands(hello("z"), COOKIE.encode())
            peer.send(Refusal("stale-epoch", "there is a later run", 1 << 60))
            node.event("node_failed")
        node.signal(signal.SIGTERM)
        node.event("draining")
        assert node.process.poll() is None
        node.signal(signal.SIGINT)  # two of one kind may arrive as one
        assert node.wait(15) == 130, str(node)
        assert node.event("stopped")["drained"] is False


async def test_hc3_a_node_that_has_to_cut_somebody_off_says_so_with_its_exit_code() -> None:
    """Its time was up before a client had taken what was its own."""
    async with AsyncExitStack() as stack:
        node = stack.enter_context(Serve("a", "--channel", "t.>", env={"LIMINAL_DRAIN_TIMEOUT": "500ms"}))
        await keep_it(node.addresses["client"], stack)
        node.signal(signal.SIGTERM)
        assert node.wait() == 1, str(node)
        assert node.event("clients_cut_off")["count"] == 1
        assert node.event("stopped", why="SIGTERM")["drained"] is False


async def test_hc3_a_node_that_fails_drains_and_its_exit_code_says_so(tmp_path: Path) -> None:
    """Its clients are told and go; the code is that of a failure, however well it drained."""
    with Serve("a", *mesh_words(tmp_path)) as node:
        async with RawPeer.to(parse_address(node.addresses["mesh"])) as peer:
            await peer.shake_hands(hello("z"), COOKIE.encode())
            peer.send(Refusal("stale-epoch", "there is a later run", 1 << 60))
            assert node.wait() == 1, str(node)
        assert node.event("stopped") == node.event("stopped", why="the node failed", drained=True)


def test_a_hang_up_reloads_the_level_of_the_log_and_the_seeds(tmp_path: Path) -> None:
    """The node finds whom the new seeds lead to; the log says what changed, and what needs a restart."""
    file = tmp_path / "node.toml"

    def write(*lines: str) -> None:
        file.write_text("\n".join(lines))

    write('drain_timeout = "9s"')
    words = mesh_words(tmp_path)
    with Serve("b", *words) as b, Serve("a", *words, "--config", str(file)) as a:
        seed = b.addresses["mesh"]
        write('drain_timeout = "8s"', "[log]", 'level = "debug"', "[cluster]", f'seeds = ["{seed}"]')
        a.signal(signal.SIGHUP)
        told = a.event("reloaded")
        assert told["changed"] == {"cluster.seeds": [seed], "log.level": "debug"}
        assert told["needs_restart"] == ["drain_timeout"]
        assert told["level"] == "warning"
        a.event("link_up", peer="b")
        with urlopen(f"http://{a.addresses['http']}/api/v1/config", timeout=10) as answer:
            served = json.load(answer)
        assert (served["config"]["drain_timeout"], served["origins"]["drain_timeout"]) == (9, "node.toml:1")
        assert (served["config"]["log"]["level"], served["origins"]["log.level"]) == ("debug", "node.toml:3")
        assert (served["config"]["cluster"]["seeds"], served["file"]) == ([seed], str(file))
        assert served["origins"]["channels[0].name"] == "command line"

        write("[log]", 'level = "loud"', "[cluster]", 'seeds = ["nowhere"]')
        a.signal(signal.SIGHUP)
        problems = a.event("reload_refused")["problems"]
        assert [problem.split(": ")[:2] for problem in problems] == [
            ["node.toml:2", "log.level"],
            ["node.toml:4", "cluster.seeds[0]"],
        ]

        write('drain_timeout = "9s"', "[log]", 'level = "error"', "[cluster]", f'seeds = ["{seed}"]')
        a.signal(signal.SIGHUP)
        assert a.event("reloaded", changed={"log.level": "error"})["needs_restart"] == []
        a.signal(signal.SIGTERM)
        assert a.wait() == 0
        assert json.loads(a.err[-1])["event"] == "reloaded"


def test_a_hang_up_of_a_node_without_a_file_changes_nothing() -> None:
    """And ends nothing."""
    with Serve("a") as node:
        node.signal(signal.SIGHUP)
        assert node.event("reloaded", changed={})["needs_restart"] == []
        node.signal(signal.SIGTERM)
        assert node.wait() == 0


def test_a_watch_of_the_members_shows_a_node_that_is_killed(tmp_path: Path) -> None:
    """As one JSON object a line; Ctrl-C ends it."""
    with Serve("a", *mesh_words(tmp_path)) as a, Serve("b", *mesh_words(tmp_path, [a.addresses["mesh"]])) as b:
        a.linked("b")
        with Process("members", "--watch", "--jsonl", "-s", a.url) as watch:
            snapshot = json.loads(watch.line(lambda _: True, "out"))
            assert {one["name"]: one["state"] for one in snapshot["members"]} == {"a": "alive", "b": "alive"}
            b.process.kill()

            def lost(text: str) -> bool:
                after = json.loads(text).get("after")
                return after is not None and after["name"] == "b" and after["state"] == "dead"

            change = json.loads(watch.line(lost, "out"))
            assert change["before"]["name"] == "b"
            assert change["before"]["epoch"] == change["after"]["epoch"]
            watch.signal(signal.SIGINT)
            assert watch.wait() == 130


def test_the_end_of_its_input_ends_a_node_that_was_told_so() -> None:
    """So no node outlives the program that started it."""
    with Serve("a") as node:
        assert node.process.stdin is not None
        node.process.stdin.close()
        assert node.wait() == 0
        assert node.event("stopped")["why"] == "end of input"


def test_a_taken_port_is_named_with_its_listener() -> None:
    """Which of the three, and where."""
    with Serve("a") as a, Process("serve", "--client", a.addresses["client"], "--http", "127.0.0.1:0") as second:
        assert second.wait() == 2
        assert f"client address {a.addresses['client']} is in use" in "\n".join(second.err)


def test_a_node_whose_seeds_lead_nowhere_says_so_and_serves() -> None:
    """Else whoever reads its log sees a node that is well, and wonders where the others are."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        seed = f"127.0.0.1:{nobody.getsockname()[1]}"
        with Serve("a", "--mesh", "127.0.0.1:0", "--seed", seed) as node:
            said = node.event("no_peers")
            assert (said["unreached"], said["level"]) == ({seed: "nothing-listens"}, "info")
            with Process("health", "--ready", "--http", node.addresses["http"]) as health:
                assert health.wait() == 0


def test_a_second_node_of_a_live_name_does_not_start(tmp_path: Path) -> None:
    """The mesh tells it so, and the first one goes on."""
    with Serve("a", *mesh_words(tmp_path)) as a, Serve("b", *mesh_words(tmp_path, [a.addresses["mesh"]])) as b:
        ports = ("--client", "127.0.0.1:0", "--http", "127.0.0.1:0")
        with Process("serve", "--name", "b", *ports, *mesh_words(tmp_path, [a.addresses["mesh"]])) as second:
            assert second.wait() == 2, str(second)
            assert "a live node named 'b' is already in the mesh" in "\n".join(second.err)
        b.signal(signal.SIGTERM)
        assert b.wait() == 0


def test_an_interrupted_subscriber_says_what_it_has_got() -> None:
    """Ctrl-C is how most of them end."""
    with Serve("a", "--channel", "t.>") as node, Process("sub", "t.>", "-s", node.url) as sub:
        sub.line(lambda text: "subscribed" in text)
        with Process("pub", "t.x", "hello", "-s", node.url, "-n", "3") as pub:
            assert pub.wait() == 0, str(pub)
        for _ in range(3):
            sub.line(lambda text: text == "hello", "out")
        sub.signal(signal.SIGINT)
        assert sub.wait() == 130
        assert sub.out == ["hello"] * 3
        assert "received 3, missed 0" in "\n".join(sub.err)


def test_a_publisher_that_waits_for_lines_can_be_interrupted() -> None:
    """Its input stays open, and nobody waits for what may never come."""
    with Serve("a", "--channel", "t.>") as node, Process("sub", "t.>", "-s", node.url) as sub:
        sub.line(lambda text: "subscribed" in text)
        with Process("pub", "t.x", "--lines", "-s", node.url) as pub:
            pub.write("one\n")
            sub.line(lambda text: text == "one", "out")
            pub.signal(signal.SIGINT)
            assert pub.wait() == 130, str(pub)
            assert pub.out[0].startswith("published 1")


def test_a_reader_that_has_enough_ends_the_subscriber_quietly() -> None:
    """As with ``liminal sub ... | head``."""
    with Serve("a", "--channel", "t.>") as node, Process("sub", "t.>", "-s", node.url) as sub:
        sub.line(lambda text: "subscribed" in text)
        with Process("pub", "t.x", "--lines", "-s", node.url) as pub:
            pub.write("1\n")
            sub.line(lambda text: text == "1", "out")
            pub.write("2\n")
            assert pub.process.stdin is not None
            pub.process.stdin.close()
            assert pub.wait() == 0, str(pub)
        sub.line(lambda text: text == "2", "out")
        sub.signal(signal.SIGINT)
        assert sub.wait() == 130
        assert "Traceback" not in "\n".join(sub.err)
