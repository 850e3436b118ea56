"""``liminal serve`` that does not start: what is wrong, where, and exit code 2."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from liminal_mesh.node.logs import configure_logging

from .conftest import Run

FREE = ("--client", "127.0.0.1:0", "--http", "127.0.0.1:0")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Take away the log handler that the verb has put in place."""
    import logging

    before = list(logging.getLogger().handlers), logging.getLogger().level, logging.getLogger("liminal").level
    yield
    configure_logging()
    root = logging.getLogger()
    root.handlers[:], level, ours = before
    root.setLevel(level)
    logging.getLogger("liminal").setLevel(ours)


def test_every_problem_of_a_file_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    """All at once."""
    file = tmp_path / "node.toml"
    file.write_text('nmae = "a"\n[client]\nlisten = "nowhere"\n[[channels]]\nname = "a b"\n')
    ran = run("serve", "--config", str(file))

    assert ran.code == 2
    assert "3 problems in the configuration" in ran.err
    assert "node.toml:1: nmae: unknown key; did you mean 'name'?" in ran.err
    assert "node.toml:3: client.listen" in ran.err
    assert "node.toml:5: channels[0].name" in ran.err


def test_a_flag_is_held_to_the_same_rules(run: Run) -> None:
    """And named as the place."""
    ran = run("serve", "--name", "no name")
    assert ran.code == 2
    assert "command line: name: " in ran.err

    ran = run("serve", "--channel", "a b")
    assert ran.code == 2
    assert "name: " in ran.err


@pytest.mark.parametrize(("option", "listener"), [("--client", "client"), ("--http", "http"), ("--mesh", "mesh")])
def test_a_port_in_use_is_named_with_its_listener(run: Run, option: str, listener: str) -> None:
    """Which of the three, and where."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = run("serve", *FREE, option, address)

    assert ran.code == 2
    assert f"the {listener} address {address} is in use" in ran.err


@pytest.mark.parametrize(("cookie", "said"), [("secret", "cookie"), (None, "No such file")])
def test_a_cookie_that_is_weak_or_cannot_be_read_is_refused(
    run: Run, tmp_path: Path, cookie: str | None, said: str
) -> None:
    """A node does not start with a secret that anybody would guess."""
    file = tmp_path / "cookie"
    if cookie:
        file.write_text(cookie)
        file.chmod(0o600)
    ran = run("serve", *FREE, "--mesh", "127.0.0.1:0", "--cookie-file", str(file))

    assert ran.code == 2
    assert said in ran.err
    assert "cluster.cookie_file" in ran.err


def test_off_loopback_it_opens_only_when_that_is_said_in_words(run: Run) -> None:
    """And the message tells the words."""
    ran = run("serve", "--client", "0.0.0.0:0", "--http", "127.0.0.1:0")

    assert ran.code == 2
    assert "client.allow_insecure = true" in ran.err


def test_an_address_or_a_folder_that_cannot_be_used_is_named(run: Run, tmp_path: Path) -> None:
    """With what the system says of it, and without its numbers."""
    file = tmp_path / "node.toml"
    file.write_text('[client]\nlisten = "192.0.2.1:7600"\nallow_insecure = true\n[http]\nlisten = "127.0.0.1:0"\n')
    ran = run("serve", "--config", str(file))
    said = "the client address 192.0.2.1:7600 cannot be listened at: Cannot assign requested address"
    assert (ran.code, ran.err) == (1, f"error: the node does not start: {said}\n")

    ran = run("serve", *FREE, "--data-dir", "/proc/nowhere")
    assert ran.code == 2
    assert "data_dir: /proc/nowhere cannot be written to: No such file or directory" in ran.err
