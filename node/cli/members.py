"""``liminal members``: who is in the mesh, as one node sees it; once, as a stream, or as links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import typer

from .errors import Code, Stop
from .loop import run_async
from .options import HttpOption, JsonOption, ServerOption, seconds
from .output import emit_json, emit_table
from .server import ask_json, http_url

__all__ = ["members", "register"]

_MEMBER: Final = ("name", "epoch", "incarnation", "state", "reachable", "stalled", "address")
_LINK: Final = ("from", "to", "link", "epoch", "rtt_ms", "queued_bytes")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("members")(members)


def members(
    server: ServerOption = None,
    http: HttpOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the changes until Ctrl-C.")] = False,
    links: Annotated[
        bool, typer.Option("--links", help="The links of the node instead, and those that are missing anywhere.")
    ] = False,
    json: JsonOption = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line, with --watch.")] = False,
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", min=1, metavar="COUNT", help="With --watch: end after so many events."),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --watch: end after this time; exit code 4 before --count."),
    ] = None,
) -> None:
    """List the nodes of the mesh, as one of them sees it.

    A member is alive, suspect, dead or left: that is what the mesh holds of it. It is reachable if the node that was
    asked has a link with it, and stalled if it answers its peers, but is too busy to work.

    --watch connects as a client does (--server), everything else asks over HTTP (--http).
    """
    if watch:
        if links or json:
            wrong = "--links" if links else "--json"
            raise Stop(f"{wrong} does not go with --watch, which is a stream of members: --jsonl does", Code.USAGE)
        if http and not server:
            raise Stop("--watch connects as a client does: name the node with --server, not --http", Code.USAGE)
        from .watching import watch_members

        patience = None if timeout is None else seconds(timeout, "--timeout")
        raise typer.Exit(run_async(watch_members(server, count, patience, jsonl)))
    if jsonl or count is not None or timeout is not None:
        raise Stop("--jsonl, --count and --timeout go with --watch", Code.USAGE)
    document = ask_json(http_url(http, server), f"/api/v1/{'links' if links else 'members'}")
    if json:
        emit_json(document)
    elif links:
        _emit(_LINK, _edges(document))
    else:
        _emit(_MEMBER, document.get("members", []))


def _emit(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    headings = [column.replace("_", " ").upper() for column in columns]
    emit_table(headings, [[row.get(column) for column in columns] for row in rows])


def _edges(document: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yield the links of the node that was asked, then those that other nodes miss, each seen from one end."""
    here = document.get("node", "")
    missing = [(edge["from"], edge["to"]) for edge in document.get("missing", [])]
    own = {(here, link["peer"]): link for link in document.get("links", [])}
    for edge, link in own.items():
        # A link with a node that nobody sees is down; one is missing if somebody has one with that node.
        how = "up" if link["up"] else "missing" if edge in missing else "down"
        yield {**link, "from": edge[0], "to": edge[1], "link": how}
    for edge in missing:
        if edge not in own:
            yield {"from": edge[0], "to": edge[1], "link": "missing"}
