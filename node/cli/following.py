"""Following a node over HTTP: it is asked again and again for what is new, and holds its answers back until then."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from .errors import Code, Stop
from .output import say
from .server import ask

__all__ = ["Following"]

WAIT_S: Final = 5.0
"""How long a node may hold its answer back."""

PATIENCE_S: Final = 5.0
"""How much longer the answer may take."""

MOMENT_S: Final = 0.001
"""The shortest time that a question can name."""


class Following:
    """Asks a node, from the first answer to the end of time or of patience.

    Args:
        url: its HTTP address.
        path: what is asked for.
        cursor: the part of an answer that the next question names: what came after it is news.
        show: shows an answer; is told how many more things are wanted (None: all), and returns how many it has shown.
        count: after how many things to end; None for never.
        timeout_s: after what time to end; None for never.
        pause_s: how long it is at least from one question to the next.
    """

    def __init__(
        self,
        url: str,
        path: str,
        cursor: str,
        show: Callable[[dict[str, Any], int | None], int],
        count: int | None,
        timeout_s: float | None,
        pause_s: float = 0.2,
    ) -> None:
        self._url = url
        self._path = path
        self._cursor = cursor
        self._show = show
        self._left = count
        self._deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._pause_s = pause_s
        self._last = ""
        self._lost = False

    def run(self) -> int:
        """Follow, and return the exit code.

        Raises:
            Stop: the node does not answer at first, or is none.
        """
        document = self._ask(0.0)
        say(f"following node {document.get('node')}")
        self._take(document)
        while self._left is None or self._left > 0:
            left_s = self._deadline - time.monotonic()
            if left_s < MOMENT_S:
                return Code.OK if self._left is None else Code.TIMED_OUT
            self._next(min(left_s, WAIT_S))
        return Code.OK

    def _next(self, wait_s: float) -> None:
        begin = time.monotonic()
        try:
            document = self._ask(wait_s)
        except Stop as stop:
            if stop.code is Code.USAGE:
                raise
            if not self._lost:
                say(f"{stop.text}\ntrying again until it answers or you stop this")
            self._lost = True
        else:
            if self._lost:
                say(f"node {document.get('node')} answers again")
            self._lost = False
            self._take(document)
        if self._left != 0:
            time.sleep(max(0.0, begin + min(self._pause_s, wait_s) - time.monotonic()))

    def _ask(self, wait_s: float) -> dict[str, Any]:
        query = f"?after={quote(self._last)}&wait={wait_s:.3f}s" if self._last else ""
        answer = ask(self._url, self._path + query, timeout=wait_s + PATIENCE_S)
        if answer.status != 200 or not isinstance(answer.body, dict) or self._cursor not in answer.body:
            raise Stop(f"{self._url}{self._path} answered with status {answer.status}: is that a liminal node?")
        return answer.body

    def _take(self, document: dict[str, Any]) -> None:
        before, self._last = self._last, document[self._cursor]
        if before and before.partition(".")[0] != self._last.partition(".")[0]:
            say(f"node {document.get('node')} was started again: what follows is of its new run")
        shown = self._show(document, self._left)
        if self._left is not None:
            self._left -= shown
        sys.stdout.flush()
