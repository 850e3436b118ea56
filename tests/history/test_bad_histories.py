"""Histories with one thing wrong in each: the checker finds it, and blames the right promise alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from .__main__ import main
from .check import check
from .invariants import INVARIANTS
from .stories import BAD, Tell, content
from .story import Story
from .violation import Kind


@pytest.mark.parametrize(("invariant", "kind", "tell"), BAD, ids=[tell.__name__ for *_, tell in BAD])
def test_a_bad_history_is_rejected_by_its_invariant_alone(invariant: str, kind: Kind, tell: Tell) -> None:
    """The anomaly is found, named, counted, and shown with the operation."""
    story = Story()
    tell(story)
    report = check(story.history)
    assert report.broken() == {invariant}, str(report)
    assert report.count(kind) >= 1
    text = str(report)
    assert f"{invariant} {kind}: " in text
    assert ">> {" in text


def test_every_invariant_has_bad_histories() -> None:
    """An invariant that never rejected anything proves nothing."""
    assert {invariant for invariant, *_ in BAD} == set(INVARIANTS)
    assert len(BAD) >= 25
    assert all(check.__doc__ for check in INVARIANTS.values())


def test_the_command_says_by_its_exit_code_whether_all_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for a good run, 1 for a bad one with its report, 2 for what is no history."""
    encode = msgspec.json.Encoder().encode
    for tell, code in ((content.a_message_twice, 1), (None, 0)):
        story = Story()
        (tell or (lambda story: story.node("a").end()))(story)
        path = tmp_path / f"{code}.jsonl"
        path.write_bytes(b"".join(encode(event) + b"\n" for event in story.events))
        assert main([str(path)]) == code
        assert ("E2 duplicated" in capsys.readouterr().out) == bool(code)
    path.write_bytes(b"nothing\n")
    assert main([str(path)]) == 2
    assert main([]) == 2
