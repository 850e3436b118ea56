"""Durations and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("5 s", 5), ("1.5m", 90), ("2h", 7200), ("7d", 604_800), ("3", 3), (0.5, 0.5), (4, 4)],
)
def test_a_duration_is_read_as_seconds(text: object, seconds: float) -> None:
    """With a unit, or as a plain number."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"), [("512B", 512), ("4KiB", 4096), ("64MiB", 64 << 20), ("1.5GiB", 3 << 29), ("7", 7), (9, 9)]
)
def test_a_size_is_read_as_bytes(text: object, size: int) -> None:
    """With a unit, or as a plain number."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "s", "5 years", "-5s", "0s", "0ms", 0, -1, True, None, float("inf"), "5s5", "५s"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    """Zero is none either: nothing waits for no time."""
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "MB", "4MB", "-1B", "0", 0, "1.5B", 1.5, False, [], "4 K iB", float("nan")])
def test_what_is_no_size_is_refused(text: object) -> None:
    """Decimal units are refused and not guessed: a MB is something else to everybody."""
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


@given(st.integers(1, 1 << 50))
def test_a_size_reads_back_as_it_was_written(size: int) -> None:
    """So that what 'config show' prints loads again."""
    assert parse_size(format_size(size)) == size


@given(st.integers(1, 10**9))
def test_a_duration_reads_back_as_it_was_written(milliseconds: int) -> None:
    """So that what 'config show' prints loads again."""
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, rel=1e-4)
