"""The work of ``liminal health``: is the node alive, is it ready.

It runs every few seconds beside every node, so it reads its words with argparse and imports nothing heavy.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from ..units import parse_duration
from .errors import Code, Stop
from .output import emit, emit_json, say
from .server import Answer, ask, http_url

__all__ = ["run"]

_PAUSE_S = 0.1


def run(words: Sequence[str]) -> int:
    """Ask, and return the exit code.

    Raises:
        Stop: there was no answer.
    """
    options = _parser().parse_args(words)
    url, path = http_url(options.http, options.server), "/ready" if options.ready else "/health"
    answer = _wait(url, path, options.wait) if options.wait else ask(url, path)
    good = answer.status == 200
    if options.json:
        emit_json({"ok": good, "status": answer.status, "answer": answer.body})
    elif good:
        emit("ready" if options.ready else "alive")
    else:
        say(f"not {'ready' if options.ready else 'healthy'}: {_unmet(answer)}")
    if good:
        return Code.OK
    return Code.TIMED_OUT if options.wait else Code.NOT_READY


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="liminal health",
        description="Ask a node whether it is alive, or ready.",
        epilog="Exit codes: 0 yes, 1 no answer, 3 not ready, 4 waited in vain.",
    )
    parser.add_argument("-s", "--server", metavar="URL", help="the node; default: $LIMINAL_URL, or here")
    parser.add_argument("--http", metavar="URL", help="its HTTP address; default: $LIMINAL_HTTP_URL, or by --server")
    parser.add_argument("--ready", action="store_true", help="ask whether it is ready, not only alive")
    parser.add_argument("--wait", type=_duration, metavar="TIME", help="wait so long for a yes, such as 10s")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


def _wait(url: str, path: str, seconds: float) -> Answer:
    """Ask again and again until it is a yes or the time is up; then the last answer counts."""
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        try:
            answer = ask(url, path, timeout=max(left, _PAUSE_S))
            if answer.status == 200 or left <= _PAUSE_S:
                return answer
        except Stop as stop:
            if stop.code is Code.USAGE:
                raise
            if left <= _PAUSE_S:
                raise Stop(f"waited {seconds:g} s in vain: {stop.text}", Code.TIMED_OUT) from stop
        time.sleep(_PAUSE_S)


def _unmet(answer: Answer) -> str:
    """Name the unmet conditions, as far as the answer names them, and what is wanting."""
    body = answer.body if isinstance(answer.body, dict) else {}
    unmet, said = body.get("unmet"), {one["name"]: _wanting(one) for one in body.get("conditions", ())}
    if not (isinstance(unmet, list) and unmet):
        return f"status {answer.status}"
    return ", ".join(f"{name} ({said[name]})" if said.get(name) else str(name) for name in unmet)


def _wanting(condition: dict[str, Any]) -> str:
    """Return what a condition tells beside its name."""
    parts = [f"{condition['linked']} of {condition['needed']} nodes"] if "needed" in condition else []
    for key, words in (("missing", "misses"), ("closed", "closed:")):
        if condition.get(key):
            parts.append(f"{words} {', '.join(condition[key])}")
    for key in ("unresolved", "unreached"):
        parts += [f"{seed}: {why}" for seed, why in condition.get(key, {}).items()]
    return "; ".join([*parts, *([condition["error"]] if condition.get("error") else [])])
