"""The loop that verbs run on: uvloop where it is installed, Python's own elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeAlias, TypeVar

from .errors import Code, Stop

__all__ = ["LoopKind", "loop_factory", "run_async"]

T = TypeVar("T")

LoopKind: TypeAlias = Literal["auto", "uvloop", "asyncio"]
"""Which loop is wanted; ``auto`` is the fastest one that is there."""


def run_async(main: Coroutine[Any, Any, T], kind: LoopKind = "auto") -> T:
    """Run a verb's coroutine to its end and return what it returns.

    Ctrl-C cancels the coroutine, which may use that to print its summary so far.

    Raises:
        KeyboardInterrupt: after that.
        Stop: the loop that is wanted is not there.
    """
    try:
        factory = loop_factory(kind)
    except Stop:
        main.close()
        raise
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def loop_factory(kind: LoopKind = "auto") -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop that is wanted; ``None`` stands for Python's own.

    Raises:
        Stop: uvloop is wanted, and not installed.
    """
    if kind == "asyncio":
        return None
    try:
        import uvloop
    except ImportError as error:
        if kind == "uvloop":
            raise Stop("uvloop is not installed: pip install 'liminal-mesh[uvloop]'", Code.USAGE) from error
        return None
    return uvloop.new_event_loop
