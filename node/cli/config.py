"""``liminal config``: begin one, check it, show what a node would run with, and its schema for editors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import Code, Stop
from .options import JsonOption
from .output import emit, emit_json, say

if TYPE_CHECKING:
    from ..config_sources import LoadedConfig

__all__ = ["register"]

config = typer.Typer(help="Begin, check, show and describe a node's configuration.", no_args_is_help=True)

FileArgument = Annotated[Path | None, typer.Argument(metavar="FILE", help="A TOML file. Default: none, only defaults.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="The same, as for serve.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(config, name="config")


@config.command("init")
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write.")] = Path("node.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    json: JsonOption = False,
) -> None:
    """Write a file to begin with.

    It has every key with what it means, commented out at its default, and loads as it stands. A file that is there
    already is left as it is, unless --force is given.
    """
    from ..config_example import to_example

    _write(file, to_example(), force)
    if json:
        emit_json({"file": str(file)})
    else:
        say(f"{file} is written: 'liminal serve --config {file}' starts a node with it")


@config.command("check")
def check(file: FileArgument = None, config_file: ConfigOption = None, json: JsonOption = False) -> None:
    """Report everything that is wrong, with its place.

    The environment counts too: what is checked is what 'liminal serve' would start with from here.
    """
    from ..errors import ConfigError

    path = _path(file, config_file)
    try:
        _load(path)
    except ConfigError as error:
        if not json:
            raise
        emit_json({"ok": False, "problems": [_problem(problem) for problem in error.problems]})
        raise typer.Exit(Code.USAGE) from error
    if json:
        emit_json({"ok": True, "problems": []})
    else:
        say(f"{path or 'the configuration without a file'}: no problems")


@config.command("show")
def show(
    file: FileArgument = None,
    config_file: ConfigOption = None,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value came from.")] = False,
    json: JsonOption = False,
) -> None:
    """Show every value that a node would start with.

    It is written as a file that loads.
    """
    from ..config_text import to_toml

    loaded = _load(_path(file, config_file))
    if json:
        document = loaded.document()
        emit_json(document if origin else {"config": document["config"]})
    else:
        emit(to_toml(loaded.config, loaded.origin if origin else None).rstrip("\n"))


@config.command("schema")
def schema(json: JsonOption = False) -> None:
    """Write the JSON Schema of the file, for editors."""
    from ..config import NodeConfig

    emit_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **NodeConfig.model_json_schema()})


def _write(file: Path, text: str, force: bool) -> None:
    # What is replaced is whole until its successor is.
    target = file.with_name(f".{file.name}.{os.getpid()}") if force else file
    try:
        out = target.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise Stop(f"{target} is there already: name another file, or replace it with --force") from error
    try:
        with out:
            out.write(text)
        target.replace(file)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def _path(argument: Path | None, option: Path | None) -> Path | None:
    if argument and option:
        raise typer.BadParameter("the file is named twice", param_hint="--config")
    return argument or option


def _load(path: Path | None) -> LoadedConfig:
    from ..config_sources import load_config

    return load_config(path, os.environ, {})


def _problem(problem: Any) -> dict[str, str]:
    return {"path": problem.path, "message": problem.message, "place": problem.place}
