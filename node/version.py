"""The version of this program, as it was installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]


def _version() -> str:
    try:
        return version("liminal-mesh")
    except PackageNotFoundError:  # run from a tree that was not installed
        return "0+unknown"


VERSION = _version()
"""Such as ``0.1.0``."""
