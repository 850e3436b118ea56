"""Notices that repeat are held back."""

from __future__ import annotations

from liminal_mesh.cluster.effects import Notice
from liminal_mesh.cluster.notices import EVERY_S, KEYS_MAX, Notices


def test_what_repeats_is_told_once_in_a_while() -> None:
    """With how many were held back; other keys and events are counted apart."""
    notices = Notices()

    assert notices.take("info", "refused", "a", 0, code="x") == Notice("info", "refused", {"code": "x"})
    assert notices.take("info", "refused", "a", 1, code="x") is None
    assert notices.take("info", "refused", "b", 1) == Notice("info", "refused")
    assert notices.take("info", "refused", "a", EVERY_S, code="x") == Notice(
        "info", "refused", {"code": "x", "held_back": 1}
    )


def test_the_memory_of_notices_is_bounded() -> None:
    """Whoever invents keys makes us forget, and not grow."""
    notices = Notices()
    for number in range(3 * KEYS_MAX):
        assert notices.take("info", "refused", str(number), 0) is not None

    assert len(notices._told) <= KEYS_MAX
