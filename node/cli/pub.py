"""``liminal pub``: publish a message, or a stream of them."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from .errors import Code, Stop
from .loop import run_async
from .options import DurationOption, JsonOption, ServerOption, seconds

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("pub")(pub)


def pub(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's exact name.")],
    payload: Annotated[
        str | None, typer.Argument(metavar="PAYLOAD|-", help="The message; - reads it from standard input.")
    ] = None,
    server: ServerOption = None,
    lines: Annotated[bool, typer.Option("--lines", help="Each line of standard input is a message.")] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=1, metavar="COUNT", help="Publish it so often.")] = 1,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME=VALUE", help="A header; may be repeated.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="KEY", help="Of your choice: what bears a key that was delivered is not delivered again."
        ),
    ] = None,
    encoding: Annotated[
        Literal["auto", "text", "raw", "json", "msgpack"],
        typer.Option(help="What the payload is; msgpack is written as JSON. auto: text, or raw if it is none."),
    ] = "auto",
    ack: Annotated[
        Literal["accepted", "nodes"] | None,
        typer.Option(help="Wait for the node, or for every interested node's receipt. Default: the channel's own."),
    ] = None,
    timeout: DurationOption = "5s",
    json: JsonOption = False,
) -> None:
    """Publish on a channel, and print how it fared.

    With --count or --lines many publishes are in flight at once, and what is printed is their sum. Exit code 1: it was
    refused. 4: the fate of some is unknown, since the time was up or the connection was lost; with --key it is safe to
    publish again.
    """
    from .publishing import Work, encode, encode_lines, publish_one, publish_stream, repeat

    if key is not None and (lines or count > 1):
        raise Stop("--key is of one message: leave out --count and --lines", Code.USAGE)
    source = _source(payload, lines)
    work = Work(channel, _headers(header or []), encoding, ack, seconds(timeout, "--timeout"), json, key)
    if source is None and lines:
        raise typer.Exit(run_async(publish_stream(server, work, encode_lines(sys.stdin.fileno(), encoding))))
    body = sys.stdin.buffer.read() if source is None else source.encode("utf-8", "surrogateescape")
    message = encode(body, encoding)
    if count == 1:
        raise typer.Exit(run_async(publish_one(server, work, message)))
    raise typer.Exit(run_async(publish_stream(server, work, repeat(message, count), count)))


def _source(payload: str | None, lines: bool) -> str | None:
    """Return the payload, or None when it is to be read from standard input."""
    if payload is None and sys.stdin.isatty():
        raise Stop("there is no payload: give one, or - to type it in (Ctrl-D ends it)", Code.USAGE)
    if lines and payload not in (None, "-"):
        raise Stop("--lines reads standard input, and there is a payload too", Code.USAGE)
    return None if payload == "-" else payload


def _headers(texts: list[str]) -> dict[str, str]:
    headers = {}
    for text in texts:
        name, found, value = text.partition("=")
        if not (name and found):
            raise Stop(f"{text!r} is no header: write NAME=VALUE", Code.USAGE)
        headers[name] = value
    return headers
