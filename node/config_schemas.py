"""The schemas that a configuration names for its channels: read from their files, and made ready."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import ConfigError, Problem

if TYPE_CHECKING:
    from .config import NodeConfig
    from .schema import Schema

__all__ = ["make_schema", "read_schemas"]


def read_schemas(config: NodeConfig) -> dict[str, Schema]:
    """Return the schemas of those channels that have one, by the channel's name.

    Raises:
        ConfigError: some cannot be read, or are none; with all of them.
    """
    problems: list[Problem] = []
    found: dict[str, Schema] = {}
    for index, channel in enumerate(config.channels):
        source: Path | Mapping[str, Any] | None = channel.schema
        if source is not None:
            try:
                found[channel.name] = make_schema(source)
            except ConfigError as error:
                problems += [Problem(f"channels[{index}].schema", one.message) for one in error.problems]
    if problems:
        raise ConfigError(problems)
    return found


def make_schema(source: str | Path | Mapping[str, Any] | bool) -> Schema:
    """Return a schema, from its file or from what stands in one.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    from .schema import Schema  # imported late, since few need it

    where = f"{source}: " if isinstance(source, str | Path) else ""
    try:
        return Schema(_read(Path(source)) if isinstance(source, str | Path) else source)
    except OSError as error:
        said = error.strerror or type(error).__name__
    except (ValueError, RecursionError) as error:
        said = str(error)
    raise ConfigError([Problem("schema", f"{where}{said}")])


def _read(path: Path) -> Any:
    from .schema import SCHEMA_BYTES_MAX

    with path.open("rb") as file:
        text = file.read(SCHEMA_BYTES_MAX + 1)
    if len(text) > SCHEMA_BYTES_MAX:
        raise ValueError(f"is larger than {SCHEMA_BYTES_MAX >> 20} MiB")
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"there is no {constant} in it")
