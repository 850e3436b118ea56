"""The work of ``liminal events --follow``: a line for each event that is kept, then for each that happens."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from ..text import printable
from .errors import Code, Stop
from .output import emit, say
from .server import ask

__all__ = ["PATH", "Tailing", "cells"]

PATH: Final = "/api/v1/events"

WAIT_S: Final = 5.0
"""How long a node may hold its answer back."""

PATIENCE_S: Final = 5.0
"""How much longer the answer may take."""

MOMENT_S: Final = 0.001
"""The shortest time that a question can name."""

PAUSE_S: Final = 0.2
"""How long to wait before the next question, when a node is gone, or will not hold its answer back."""


class Tailing:
    """Shows the events of a node.

    Args:
        url: its HTTP address.
        jsonl: whether each is shown as JSON.
        count: after how many to end; None for never.
        timeout_s: after what time to end; None for never.
    """

    def __init__(self, url: str, jsonl: bool, count: int | None, timeout_s: float | None) -> None:
        self._url = url
        self._jsonl = jsonl
        self._count = count
        self._deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._last = ""
        self._shown = 0
        self._lost = False

    def run(self, follow: bool) -> int:
        """Show what is kept, and to follow, what happens from then on; return the exit code.

        Raises:
            Stop: the node does not answer at first, or is none.
        """
        self._show(self._ask(0.0))
        while follow and not self._done():
            left = self._deadline - time.monotonic()
            if left < MOMENT_S:
                return Code.OK if self._count is None else Code.TIMED_OUT
            self._next(min(left, WAIT_S))
        return Code.OK

    def _done(self) -> bool:
        return self._count is not None and self._shown >= self._count

    def _next(self, wait_s: float) -> None:
        begin = time.monotonic()
        try:
            document = self._ask(wait_s)
        except Stop as stop:
            if stop.code is Code.USAGE:
                raise
            if not self._lost:
                say(f"{stop.text}; trying again until it answers or you stop this")
            self._lost = True
            time.sleep(min(PAUSE_S, wait_s))
            return
        if self._lost:
            say(f"node {document.get('node')} answers again")
        self._lost = False
        self._show(document)
        if not document["events"] and time.monotonic() - begin < min(PAUSE_S, wait_s):
            time.sleep(PAUSE_S)

    def _ask(self, wait_s: float) -> dict[str, Any]:
        query = f"?after={quote(self._last)}&wait={wait_s:.3f}s" if self._last else ""
        answer = ask(self._url, PATH + query, timeout=wait_s + PATIENCE_S)
        if answer.status != 200 or not isinstance(answer.body, dict) or "last" not in answer.body:
            raise Stop(f"{self._url}{PATH} answered with status {answer.status}: is that a liminal node?")
        return answer.body

    def _show(self, document: Mapping[str, Any]) -> None:
        before, self._last = self._last, document["last"]
        if before and before.partition(".")[0] != self._last.partition(".")[0]:
            say(f"node {document.get('node')} was started again: what follows is of its new run")
        if document["missed"]:
            say(f"missed {document['missed']} events: more happened than a node keeps")
            if self._jsonl:
                emit(json.dumps({"missed": document["missed"]}))
        events = document["events"]
        for event in events if self._count is None else events[: self._count - self._shown]:
            self._shown += 1
            emit(json.dumps(event) if self._jsonl else "\t".join(map(printable, cells(event))))
        sys.stdout.flush()


def cells(event: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return an event in words: when, how important, what, and its facts."""
    own = {"id", "at", "kind", "level"}
    facts = (f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in event.items())
    told = " ".join(fact for fact, key in zip(facts, event, strict=True) if key not in own)
    at = datetime.fromtimestamp(event["at"]).astimezone().isoformat(" ", "milliseconds")
    return at, str(event.get("level", "")), str(event["kind"]), told
