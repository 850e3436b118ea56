"""Structured logs, in a program that embeds us and in our own."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from liminal_mesh.node.lines import write_line
from liminal_mesh.node.logs import configure_logging, get_logger

log = get_logger("test")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    """Leave logging as it was."""
    root, ours = logging.getLogger(), logging.getLogger("liminal")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before[0], before[1], before[2]


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "code",
    [
        "from liminal_mesh.node.logs import get_logger; get_logger('mesh').error('peer_lost', peer='b')",
        "from liminal_mesh import Client; import logging; logging.getLogger('liminal.client').error('peer_lost')",
    ],
)
def test_an_unconfigured_program_hears_nothing(code: str) -> None:
    """Not even warnings, which Python would otherwise write to stderr; structlog's own default would print."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert (done.stdout, done.stderr) == ("", "")


def test_a_program_with_handlers_of_its_own_gets_readable_lines_and_the_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As from any library; nothing global of structlog is touched."""
    with caplog.at_level(logging.INFO, "liminal"):
        log.info("peer_up", peer="b\n", rate="50%")
        log.debug("not_wanted")

    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("liminal.test", "peer_up peer=b\\n rate=50%")
    assert record.__dict__["fields"] == {"event": "peer_up", "peer": "b\n", "rate": "50%"}
    assert not structlog.is_configured()


def test_json_holds_the_event_its_level_and_its_fields() -> None:
    """One object a line."""
    stream = io.StringIO()
    configure_logging("info", "auto", stream)
    log.bind(node="a").warning("peer_lost", peer="b", members=3)

    (line,) = lines(stream)
    assert line.pop("timestamp")
    assert line == {
        "event": "peer_lost",
        "level": "warning",
        "logger": "liminal.test",
        "node": "a",
        "peer": "b",
        "members": 3,
    }


def test_a_level_is_a_level() -> None:
    """Ours is as configured, other libraries' begins with warnings; a second call replaces the first."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("debug", "json", first)
    configure_logging("debug", "json", second)
    log.debug("ours")
    logging.getLogger("other").info("theirs")
    logging.getLogger("other").warning("theirs, %s", "loud")

    assert [line["event"] for line in lines(second)] == ["ours", "theirs, loud"]
    assert first.getvalue() == ""


@pytest.mark.parametrize("format_", ["console", "json"])
def test_what_a_client_wrote_cannot_forge_lines_or_move_the_cursor(format_: str) -> None:
    """Names and reasons come from outside."""
    stream = io.StringIO()
    configure_logging("info", format_, stream)  # type: ignore[arg-type]
    log.info("refused", client="x\r\n2026 all is well\x1b[2J\x9b")

    (text,) = stream.getvalue().splitlines()
    assert text.isprintable()


@pytest.mark.parametrize("format_", ["console", "json"])
def test_an_exception_keeps_its_traceback(format_: str) -> None:
    """What went wrong is found from the log alone."""
    stream = io.StringIO()
    configure_logging("info", format_, stream)  # type: ignore[arg-type]
    try:
        raise ValueError("the cause\x1b[2J")
    except ValueError:
        log.exception("failed")

    assert "Traceback" in stream.getvalue()
    assert "the cause" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is the console format, when nothing is said."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, terminal = io.StringIO(), Terminal()
    configure_logging("info", "console", plain)
    log.info("up")
    configure_logging("info", "auto", terminal)
    log.info("up")

    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in terminal.getvalue()


@pytest.mark.parametrize("where", ["liminal.subscription", "liminal.node"])
def test_lines_of_every_kind_are_the_same_for_every_handler(where: str, caplog: pytest.LogCaptureFixture) -> None:
    """A program's own shows the facts, ours has them apart, and nobody's text is taken for a format."""
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    write_line(logging.getLogger(where), logging.WARNING, "subscription_dropped", {"pattern": "m.*", "why": "100%s\n"})
    write_line(logging.getLogger(where), logging.DEBUG, "not_wanted", {})

    (record,) = caplog.records
    assert record.getMessage() == "subscription_dropped pattern=m.* why=100%s\\n"
    (line,) = lines(stream)
    del line["timestamp"]
    told = {"event": "subscription_dropped", "level": "warning", "logger": where}
    assert line == {**told, "pattern": "m.*", "why": "100%s\\n"}
