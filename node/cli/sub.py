"""``liminal sub``: show what is published on a channel."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from .errors import Code, Stop
from .loop import run_async
from .options import DurationOption, ServerOption, seconds

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sub")(sub)


def sub(
    channel: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL", help="A channel; * stands for one token of its name, a last > for one or more."
        ),
    ],
    server: ServerOption = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Share the messages with all others of this group: each goes to one of them, in the mesh.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, metavar="COUNT", help="End after so many messages.")
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="End after this time; exit code 4 if --count was not reached."),
    ] = None,
    wait: Annotated[
        Literal["cluster"] | None, typer.Option(help="Begin when every linked node knows of the subscription.")
    ] = None,
    wait_timeout: DurationOption = "5s",
    json: Annotated[
        bool, typer.Option("--json", "--jsonl", help="One JSON object a line; gaps are objects too.")
    ] = False,
) -> None:
    """Show what is published on a channel.

    Each message goes to standard output: text as it is, other payloads as JSON. What was missed is told on standard
    error, as is the sum at the end.
    """
    from ..names import check_name, check_pattern
    from .subscribing import Wanted, watch_channel

    try:
        check_pattern(channel)
        if group is not None:
            check_name(group, "group")
    except ValueError as error:
        raise Stop(str(error), Code.USAGE) from error
    patience = None if timeout is None else seconds(timeout, "--timeout")
    wanted = Wanted(channel, group, count, patience, wait, seconds(wait_timeout, "--wait-timeout"), json)
    raise typer.Exit(run_async(watch_channel(server, wanted)))
