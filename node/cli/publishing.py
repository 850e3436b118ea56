"""The work of ``liminal pub``: one publish with its outcome, or a windowed stream with a sum."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from liminal_mesh.cluster import Encoding

from ..errors import OutcomeUnknown
from ..payload import Encoded
from .connection import open_client
from .documents import outcome_document
from .errors import Code, Stop
from .lines import read_lines
from .output import emit, emit_json

if TYPE_CHECKING:
    from ..bus import Ack
    from ..publisher import Publisher
    from ..values import PublishOutcome

__all__ = ["Work", "encode", "encode_lines", "publish_one", "publish_stream", "repeat"]

EncodingName = Literal["auto", "text", "raw", "json", "msgpack"]


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be published, but for the payloads."""

    channel: str
    headers: dict[str, str]
    encoding: EncodingName
    ack: Ack | None
    timeout_s: float
    json: bool
    key: str | None = None


def encode(body: bytes, encoding: EncodingName) -> object:
    """Return what is published for the bytes that were given.

    Raises:
        Stop: they are not what they are said to be.
    """
    if encoding == "raw":
        return body
    try:
        if encoding in ("json", "msgpack"):
            value = json.loads(body)
            return Encoded(Encoding.JSON, body) if encoding == "json" else _packable(value)
        return body.decode()
    except UnicodeDecodeError as error:
        if encoding == "auto":
            return body
        raise Stop(f"the payload is not UTF-8 text: {error}", Code.USAGE) from error
    except (ValueError, RecursionError) as error:
        raise Stop(f"the payload is not JSON: {error}", Code.USAGE) from error


def _packable(value: object) -> object:
    # A text alone would travel as text: here it was asked to be msgpack.
    import msgpack

    return Encoded(Encoding.MSGPACK, msgpack.packb(value))


async def publish_one(server: str | None, work: Work, payload: object) -> int:
    """Publish one message and print its outcome; return the exit code."""
    async with open_client(server) as client:
        try:
            outcome = await client.publish(
                work.channel, payload, key=work.key, headers=work.headers, ack=work.ack, timeout=work.timeout_s
            )
        except ValueError as error:
            raise Stop(str(error), Code.USAGE) from error
        except OutcomeUnknown as error:
            if work.key is None:
                raise
            raise Stop(f"{error}; publish again with the same key", Code.TIMED_OUT) from error
    if work.json:
        emit_json(outcome_document(outcome))
    else:
        emit(_sentence(outcome))
    return Code.TIMED_OUT if "unknown" in outcome.nodes.values() else Code.OK


def _sentence(outcome: PublishOutcome) -> str:
    took = [f"{outcome.local} here"] if outcome.local else []
    took += [f"{node} {fate}" for node, fate in sorted(outcome.nodes.items())]
    verdict = {True: "delivered", False: "delivered to nobody", None: "accepted"}[outcome.delivered]
    if outcome.duplicate:
        verdict = "delivered before, and not again"
    who = f": {', '.join(took)}" if took and not outcome.duplicate else ""
    return f"{verdict}{who} (message {outcome.message_id})"


async def publish_stream(
    server: str | None, work: Work, messages: AsyncIterator[object], count: int | None = None
) -> int:
    """Publish many messages through a window and print the sum, also when it ends early; return the exit code.

    Args:
        server: the node.
        work: what they have in common.
        messages: the payloads.
        count: how many there are, if that is known.
    """
    begin = time.monotonic()
    async with open_client(server) as client:
        publisher = client.publisher(work.channel, ack=work.ack, timeout=work.timeout_s)
        try:
            async with publisher:
                with _progress(count) as bar:
                    async for message in messages:
                        await publisher.send(message, headers=work.headers)
                        bar.step(publisher.statistics.acknowledged)
                    await publisher.flush()
                    bar.step(publisher.statistics.acknowledged, at_once=True)
        finally:
            _sum(work, publisher, time.monotonic() - begin)
    return Code.OK


async def repeat(payload: object, count: int) -> AsyncIterator[object]:
    """Yield one payload so often."""
    for _ in range(count):
        yield payload


async def encode_lines(descriptor: int, encoding: EncodingName) -> AsyncIterator[object]:
    """Yield what is published for each line of a file.

    Raises:
        Stop: one is not what it is said to be.
    """
    async for line in read_lines(descriptor):
        yield encode(line, encoding)


def _sum(work: Work, publisher: Publisher, seconds: float) -> None:
    told = publisher.statistics
    rate = told.acknowledged / seconds if seconds else 0.0
    if work.json:
        facts: dict[str, Any] = {"channel": work.channel, "sent": told.sent, "acknowledged": told.acknowledged}
        emit_json({**facts, "undelivered": told.undelivered, "seconds": round(seconds, 3), "rate": round(rate)})
        return
    nobody = f", {told.undelivered} of them taken by nobody" if told.undelivered else ""
    missing = f" ({told.sent} were sent)" if told.sent != told.acknowledged else ""
    emit(f"published {told.acknowledged}{missing}{nobody} in {seconds:.2f} s, {rate:,.0f}/s")


class _Bar:
    """No progress bar."""

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        """Take it down."""

    def step(self, done: int, at_once: bool = False) -> None:
        """Show how many are done."""


class _TerminalBar(_Bar):
    """A progress bar on stderr, drawn ten times a second at most."""

    def __init__(self, count: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = [TextColumn("publishing {task.completed:,.0f}"), BarColumn(), TaskProgressColumn(show_speed=True)]
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        self._task = self._bar.add_task("", total=count)
        self._drawn = 0.0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def step(self, done: int, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now - self._drawn > 0.1:
            self._drawn = now
            self._bar.update(self._task, completed=done)
            self._bar.refresh()


def _progress(count: int | None) -> _Bar:
    return _TerminalBar(count) if sys.stderr.isatty() else _Bar()
