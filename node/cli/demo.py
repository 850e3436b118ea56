"""``liminal demo``: a mesh on this machine at once, with traffic."""

from __future__ import annotations

from typing import Annotated

import typer

from .loop import run_async
from .options import JsonOption, seconds

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo")(demo)


def demo(
    nodes: Annotated[int, typer.Option(min=2, max=16, metavar="COUNT", help="How many nodes.")] = 3,
    duration: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End after this time: 10s, 2m. Default: at Ctrl-C.")
    ] = None,
    kill: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Kill the last node after this time, to show what the others see."),
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, metavar="RATE", help="Lines a second.")] = 20.0,
    json: JsonOption = False,
) -> None:
    """Run a mesh of real nodes on this machine, until Ctrl-C.

    Each is a process of its own, and all are joined from one seed. A publisher at the first node streams a text line by
    line; each of the others has a subscriber. A process at each node joins one process group, and the first node
    monitors them all. Nothing is left behind at the end.
    """
    from .demo_run import Plan, run_demo

    limit = None if duration is None else seconds(duration, "--duration")
    plan = Plan(nodes, limit, None if kill is None else seconds(kill, "--kill"), rate, json)
    raise typer.Exit(run_async(run_demo(plan)))
