"""``liminal serve``: a node as a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import Code, Stop
from .loop import LoopKind, run_async

if TYPE_CHECKING:
    from ..config_sources import LoadedConfig

__all__ = ["register"]

_ADDRESS = "HOST:PORT"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("serve")(serve)


def serve(
    file: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="A TOML file. Default: only defaults.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The node's name, the same at every start.")] = None,
    client: Annotated[str | None, typer.Option(metavar=_ADDRESS, help="Where clients connect.")] = None,
    mesh: Annotated[str | None, typer.Option(metavar=_ADDRESS, help="Where peers connect.")] = None,
    http: Annotated[str | None, typer.Option(metavar=_ADDRESS, help="Where HTTP is served.")] = None,
    seed: Annotated[
        list[str] | None, typer.Option(metavar=_ADDRESS, help="A node of the mesh to join; may be repeated.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(metavar="NAME", help="The cluster's name.")] = None,
    cookie_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The secret of the cluster.")] = None,
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the node keeps what outlives it.")] = None,
    channel: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="One more channel, or a pattern; may be repeated.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = None,
    loop: Annotated[LoopKind, typer.Option(help="auto takes uvloop where it is installed.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Write the log as JSON lines on a terminal too.")] = False,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="Stop when standard input ends too, as when the caller is gone.")
    ] = False,
) -> None:
    """Run a node until it is told to stop.

    A flag goes before the environment (LIMINAL_CLUSTER__SEEDS=...), and that before the file. Without any the node
    listens on loopback alone: 7600 for clients, 7602 for HTTP; in a mesh also 7601 for its peers.

    SIGTERM and Ctrl-C let it finish what it has accepted, within drain_timeout; a second one stops it at once.
    SIGHUP lets it read its configuration again: it takes the log's level and the seeds, and names what needs a restart.
    """
    overrides: dict[str, object] = {
        "name": name,
        "data_dir": data_dir and str(data_dir),
        "client.listen": client,
        "http.listen": http,
        "log.level": log_level,
        "log.format": "json" if json else None,
        "cluster.listen": mesh,
        "cluster.seeds": seed or None,
        "cluster.name": cluster,
        "cluster.cookie_file": cookie_file and str(cookie_file),
    }
    raise typer.Exit(_run(partial(_load, file, overrides, channel or []), loop, until_eof))


def _load(file: Path | None, overrides: dict[str, object], channels: list[str]) -> LoadedConfig:
    from ..config import ChannelConfig, NodeConfig
    from ..config_sources import COMMAND_LINE, load_config

    loaded = load_config(file, os.environ, overrides)
    config, origins = loaded.config, dict(loaded.origins)
    if not channels:
        return loaded
    values = {key: getattr(config, key) for key in config.model_fields_set}
    known = {one.name for one in config.channels}
    more = [ChannelConfig(name=name) for name in dict.fromkeys(channels) if name not in known]
    origins |= {f"channels[{len(config.channels) + index}].name": COMMAND_LINE for index in range(len(more))}
    return replace(loaded, config=NodeConfig(**{**values, "channels": [*config.channels, *more]}), origins=origins)


def _run(load: Callable[[], LoadedConfig], loop: LoopKind, until_eof: bool) -> int:
    from liminal_mesh.cluster import AddressInUse, CookieRejected, NameInUse, StaleEpoch

    from ..logs import configure_logging
    from .serving import run_node

    loaded = load()
    configure_logging(loaded.config.log.level, loaded.config.log.format)
    try:
        return run_async(run_node(loaded, load, until_eof), loop)
    except (AddressInUse, CookieRejected, NameInUse, StaleEpoch) as error:
        raise Stop(f"the node does not start: {error}", Code.USAGE) from error
    except OSError as error:
        raise Stop(f"the node does not start: {error.strerror or error}") from error
