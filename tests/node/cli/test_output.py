"""What is written where, and how."""

import pytest

from liminal_mesh.node.cli import output


def test_a_table_has_headings_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And names are never taken for markup."""
    monkeypatch.setenv("NO_COLOR", "1")
    output.emit_table(["NAME"], [["[red]a"]])
    assert capsys.readouterr().out == "[red]a\n"

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.emit_table(["NAME"], [["[red]a"]])
    out = capsys.readouterr().out
    assert "NAME" in out
    assert "[red]a" in out


def test_what_a_row_is_called_stays_in_one_piece(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However narrow the terminal is: it is what the next command is given."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.emit_table(["PID", "CLIENT", "ADDRESS"], [["node-1.1767225600000.7", "a client with a long name", "x" * 30]])

    assert "node-1.1767225600000.7" in capsys.readouterr().out


def test_what_humans_are_told_cannot_move_their_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines stay lines, everything else is escaped."""
    output.say("one\ntwo\x1b[2J")

    assert capsys.readouterr().err == "one\ntwo\\x1b[2J\n"
