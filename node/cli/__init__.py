"""The command line: one file a verb, loaded when it is called for."""

from .app import main

__all__ = ["main"]
