"""The command as a whole: verbs, help, exit codes, and that nobody ever sees a traceback."""

import os
import re
import signal
import subprocess
import sys

import pytest

from liminal_mesh.node.cli import errors, verbs
from liminal_mesh.node.cli.errors import Code, Stop, explain
from liminal_mesh.node.errors import ChannelNotConfigured, ConfigError, DeadlineExceeded, OutcomeUnknown, Problem

from .conftest import Node, Run

LIMINAL = [sys.executable, "-m", "liminal_mesh"]
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("LIMINAL_")}


def test_the_help_lists_every_verb(run: Run) -> None:
    """Asked for, it is data."""
    ran = run("--help")

    assert ran.code == 0
    assert all(verb in ran.out for verb in verbs.VERBS)
    assert ran.err == ""


@pytest.mark.parametrize("group", ["", "bench", "config", "cookie"])
def test_a_help_says_of_each_verb_what_it_does_in_one_whole_sentence(run: Run, group: str) -> None:
    """That fits beside its name, in the narrowest of terminals and in a pipe."""
    listed = run(*group.split(), "--help").out.partition("Commands:\n")[2].splitlines()

    assert listed
    assert [line for line in listed if not line.endswith(".") or line.endswith("..")] == []


def test_no_words_show_the_help_as_a_usage_error(run: Run) -> None:
    """A script that forgot its verb hears of it."""
    ran = run()

    assert ran.code == 2
    assert "Commands" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_every_verb_has_a_help(run: Run, verb: str) -> None:
    """By itself, loaded alone."""
    ran = run(verb, "--help")

    assert ran.code == 0
    assert "sage: liminal" in ran.out
    assert not re.search(r"--\w+ <(str|int|float)", ran.out), "an option does not say what it takes"


def test_a_misspelt_verb_or_option_is_a_usage_error_with_a_hint(run: Run) -> None:
    """On stderr, with exit code 2."""
    ran = run("membres")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean 'members'?" in ran.err

    ran = run("members", "--wacth")
    assert (ran.code, ran.out) == (2, "")
    assert "Try 'liminal members --help'." in ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Stop("no", Code.NOT_READY), 3),
        (ConfigError([Problem("name", "is bad")]), 2),
        (DeadlineExceeded("the receipts"), 4),
        (TimeoutError(), 4),
        (OutcomeUnknown("the receipts of b are missing"), 4),
        (ChannelNotConfigured("a"), 1),
        (FileNotFoundError(2, "No such file", "x"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("a bug"), 1),
    ],
)
def test_each_error_has_its_exit_code_and_a_text(error: BaseException, code: int) -> None:
    """The table of exit codes."""
    text, given = explain(error)

    assert given == code
    assert text
    assert given in errors.Code


def test_a_bug_is_one_line_and_names_the_way_to_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even then no traceback, unless it is asked for."""

    def broken(words: object) -> int:
        raise RuntimeError("a bug\x1b[2J")

    monkeypatch.setattr(verbs, "run_verb", broken)

    ran = run("version")
    assert ran.code == 1
    assert "unexpected RuntimeError: a bug\\x1b[2J" in ran.err
    assert "Traceback" not in ran.err

    monkeypatch.setenv("LIMINAL_DEBUG", "1")
    with pytest.raises(RuntimeError):
        run("version")


def test_the_program_runs_as_a_module_and_exits_with_the_code() -> None:
    """What a shell sees."""
    done = subprocess.run([*LIMINAL, "version"], capture_output=True, text=True, env=ENVIRON, timeout=30, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("liminal ")

    done = subprocess.run([*LIMINAL, "nothing"], capture_output=True, text=True, env=ENVIRON, timeout=30, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


FAILS = """
import sys
from liminal_mesh.node.cli import main, verbs
from liminal_mesh.node.cli.errors import Stop
def fail(words):
    print("half of it")
    raise Stop("the rest is missing")
verbs.run_verb = fail
sys.exit(main(["pub"]))
"""


@pytest.mark.parametrize(
    "command",
    [[*LIMINAL, "config", "schema"], [*LIMINAL, "health", "--help"], [sys.executable, "-c", FAILS]],
    ids=["ends", "exits", "fails"],
)
def test_output_that_nobody_reads_any_more_ends_it_quietly(command: list[str]) -> None:
    """As in ``liminal config schema | head -1``, however it would have ended otherwise."""
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in ENVIRON.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=buffered, timeout=30, check=False)
    os.close(writer)

    assert done.returncode == 1
    assert done.stderr == b""


def test_an_interrupt_ends_it_with_130(node: Node) -> None:
    """Ctrl-C is no error to be explained at length."""
    node.answers["/health"] = 503, None
    command = [*LIMINAL, "health", "--http", node.url, "--wait", "50s"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRON, text=True)
    assert node.heard.wait(20)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert err == "interrupted\n"


def test_a_value_that_an_option_cannot_take_is_told_in_our_words(run: Run) -> None:
    """And not in those of the library that has looked at it."""
    ran = run("pub", "orders", "x", "--count", "0")
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        "error: Invalid value for '--count' / '-n': it has to be greater than or equal to 1",
    )
    assert "'all' is not one of 'accepted', 'nodes'" in run("pub", "orders", "x", "--ack", "all").err
    assert "Value error" not in run("pub", "orders", "x", "--ack", "all").err
