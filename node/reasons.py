"""Why a process is over, as a text that fits into a frame and can be told everywhere."""

from __future__ import annotations

from typing import Final

__all__ = ["REASON_CHARS_MAX", "clean_reason", "error_reason"]

REASON_CHARS_MAX: Final = 1000
"""How long a reason may be; the rest is cut off."""


def clean_reason(reason: str) -> str:
    """Return a reason as it can be sent: cut, and without the lone surrogates that file names bring into errors."""
    return reason[:REASON_CHARS_MAX].encode(errors="replace").decode()


def error_reason(error: BaseException) -> str:
    """Return the reason of a process that an error has ended."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - it is the program's own class, and the process is over all the same
        text = "(its text could not be made)"
    return clean_reason(f"error: {type(error).__name__}: {text}")
