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
    nodes: Annotated[int, typer.Option(min=2, max=16, help="How many nodes.")] = 3,
    duration: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End after this time: 10s, 2m. Default: at Ctrl-C.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="Lines a second.")] = 20.0,
    json: JsonOption = False,
) -> None:
    """Run a mesh of real node processes on loopback, joined from one seed, until Ctrl-C.

    A publisher at the first node streams a text line by line; each of the others has a subscriber. Nothing is left
    behind at the end.
    """
    from .demo_run import Plan, run_demo

    plan = Plan(nodes, None if duration is None else seconds(duration, "--duration"), rate, json)
    raise typer.Exit(run_async(run_demo(plan)))
