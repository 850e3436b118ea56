"""Reasons of exits: whatever an error says, it can be told."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import CLIENT_CODEC, ExitProcess
from liminal_mesh.node.reasons import REASON_CHARS_MAX, clean_reason, error_reason


@pytest.mark.parametrize("reason", ["bad \ud800", "\udcff" * 5000, "x" * 5000, "ok", "\U0001f600" * 1000])
def test_a_clean_reason_fits_into_a_frame(reason: str) -> None:
    """And is the same when it is cleaned again."""
    clean = clean_reason(reason)
    assert CLIENT_CODEC.encode(ExitProcess(1, clean))
    assert len(clean) == min(len(reason), REASON_CHARS_MAX)
    assert clean_reason(clean) == clean


def test_an_error_is_named_with_its_text() -> None:
    """Also one that names a file with bytes that are no text."""
    assert error_reason(ValueError("no such thing")) == "error: ValueError: no such thing"
    assert error_reason(ValueError("file \udcff")) == "error: ValueError: file ?"
    assert len(error_reason(ValueError("x" * 5000))) == REASON_CHARS_MAX


def test_an_error_whose_text_fails_has_a_reason_all_the_same() -> None:
    """The process that it ended is over."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("twice")

    assert error_reason(Broken()) == "error: Broken: (its text could not be made)"
