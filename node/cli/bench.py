"""``liminal bench``: measure a mesh that runs, with publishers and subscribers of its own."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import typer

from .errors import Code, Stop
from .loop import run_async
from .options import DurationOption, JsonOption, ServerOption, seconds

__all__ = ["register"]

bench = typer.Typer(help="Measure a running mesh.", no_args_is_help=True)

ChannelOption = Annotated[str, typer.Option("--channel", metavar="NAME", help="A channel that the nodes configure.")]
SizeOption = Annotated[int, typer.Option("--size", min=16, metavar="BYTES", help="The size of each payload.")]
WindowOption = Annotated[
    int, typer.Option("--window", min=1, metavar="COUNT", help="How many publishes may be in flight.")
]
AckName: TypeAlias = Literal["accepted", "nodes", "none"]
AckOption = Annotated[
    AckName,
    typer.Option("--ack", help="What each publish waits for: its node, every interested node's receipt, or nothing."),
]
SubscribeAtOption = Annotated[
    str | None, typer.Option("--subscribe-at", metavar="URL", help="Subscribe at this node. Default: the same.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(bench, name="bench")


@bench.command("pub")
def pub(
    server: ServerOption = None,
    subscribe_at: SubscribeAtOption = None,
    channel: ChannelOption = "bench",
    messages: Annotated[int, typer.Option("--messages", min=1, metavar="COUNT", help="How many to publish.")] = 100_000,
    size: SizeOption = 128,
    window: WindowOption = 256,
    ack: AckOption = "accepted",
    timeout: DurationOption = "5s",
    json: JsonOption = False,
) -> None:
    """Publish to one subscription, and print rates and latencies.

    A latency is the time from a publish to its delivery, by the clock of this machine: both ends are in this process.
    It grows with the window, since what is in flight waits; --window 1 shows it alone. Exit code 4: for so long
    nothing came any more, and some messages were neither delivered nor told as a gap.
    """
    from .benching import Plan, measure

    patience = seconds(timeout, "--timeout")
    plan = Plan(
        _exact(channel), messages, size, window, None if ack == "none" else ack, 1, subscribe_at, patience, json
    )
    raise typer.Exit(run_async(measure(server, plan)))


@bench.command("fanout")
def fanout(
    server: ServerOption = None,
    subscribe_at: SubscribeAtOption = None,
    channel: ChannelOption = "bench",
    subscribers: Annotated[
        int, typer.Option("--subscribers", min=1, metavar="COUNT", help="How many subscriptions.")
    ] = 1000,
    messages: Annotated[int, typer.Option("--messages", min=1, metavar="COUNT", help="How many to publish.")] = 200,
    size: SizeOption = 128,
    window: WindowOption = 256,
    ack: AckOption = "accepted",
    timeout: DurationOption = "5s",
    json: JsonOption = False,
) -> None:
    """Publish to many subscriptions, and print the same.

    Deliveries, rates and latencies, as 'bench pub' does.
    """
    from .benching import Plan, measure

    patience, level = seconds(timeout, "--timeout"), None if ack == "none" else ack
    plan = Plan(_exact(channel), messages, size, window, level, subscribers, subscribe_at, patience, json)
    raise typer.Exit(run_async(measure(server, plan)))


def _exact(channel: str) -> str:
    from ..names import check_name

    try:
        return check_name(channel)
    except ValueError as error:
        raise Stop(str(error), Code.USAGE) from error
